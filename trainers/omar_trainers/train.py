"""``omar-envs train``: from a YAML recipe to a trained model.

::

    omar-envs train --recipe werewolf_house_demo --output_dir runs/demo
    python -m omar_trainers.train --recipe my.yaml --learning_rate 1e-5
    torchrun --nproc_per_node 8 -m omar_trainers.train --recipe werewolf_qwen3_4b

A recipe is a YAML file, or the name of one that comes with the package. Its keys
are the fields of :class:`~omar_trainers.config.OMARConfig` and of TRL's
``ModelConfig`` (``model_name_or_path``, ``dtype``, ``lora_r`` …); arguments on
the command line win over it. A key ``env`` sets environment variables.

The output folder receives ``metrics.jsonl``, some games as text in ``games/``,
checkpoints, and at the end the model in ``final/`` with ``summary.md`` and
``learning.png``, which are also written when the run is stopped.

However a run was stopped, the same command goes on from the last complete checkpoint
(setting ``resume``). SIGTERM writes one at the end of the iteration and then stops.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import yaml
from rich.console import Console
from transformers import AutoConfig
from trl import ModelConfig, TrlParser, get_peft_config

from omar_envs.errors import ConfigError, OmarError, PolicyError
from omar_trainers.config import OMARConfig
from omar_trainers.guards import STOPPED, TrainingError
from omar_trainers.house import house_directory
from omar_trainers.recipe_files import recipe_path
from omar_trainers.resuming.checkpoints import last_checkpoint
from omar_trainers.resuming.interruption import INTERRUPTED, TERMINATED, Terminated
from omar_trainers.shown.summary import report

FINAL_FOLDER = "final"
HOUSE = "house"
"""Model name that means the house model of this package."""


class _Parser(TrlParser):
    """TRL's parser, whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def parse(argv: Sequence[str]) -> tuple[OMARConfig, ModelConfig]:
    """Settings from a recipe and the command line.

    Raises:
        ConfigError: an unknown key or argument, a bad value, or no recipe there.
    """
    args = list(argv)
    parser = _Parser((OMARConfig, ModelConfig), prog="omar-envs train", allow_abbrev=False)
    recipe = _take(args, "--recipe")
    if recipe is not None:
        path = recipe_path(recipe)
        _check_keys(path)
        args += ["--config", str(path)]
    refuse_unknown(parser, args)
    try:
        config, model = parser.parse_args_and_config(args)
    except OmarError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return config, model


def main(argv: Sequence[str] | None = None) -> int:
    """Train. Returns as :func:`launch`, or 2 after one line about wrong settings."""
    try:
        config, model = parse(sys.argv[1:] if argv is None else argv)
        return launch(config, model)
    except ConfigError as error:
        print(f"omar-envs train: {error}", file=sys.stderr)
        return 2


def launch(config: OMARConfig, model: ModelConfig) -> int:
    """:func:`run`, and say how to go on if it is stopped.

    Returns:
        0; 3 after one line about what ended training on purpose, an alarm (the model
        is saved), a guard, or a model that gives no numbers; 130 after Ctrl-C, 143 after SIGTERM.

    Raises:
        ConfigError: as :func:`run`.
    """
    try:
        run(config, model)
    except (TrainingError, PolicyError) as error:
        _summarize(config, "ended early")
        print(f"omar-envs train: {error}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        _summarize(config, "interrupted")
        return _stopped(config, INTERRUPTED)
    except Terminated:
        _summarize(config, "interrupted")
        return _stopped(config, TERMINATED)
    _summarize(config, "finished")
    return 0


def _summarize(config: OMARConfig, status: str) -> None:
    if config.process_index == 0:
        report(config.output_dir, status, Console())


def run(config: OMARConfig, model: ModelConfig) -> None:
    """Train by settings already parsed, and save the model.

    Raises:
        ConfigError: no model is named or it cannot be loaded, or ``output_dir`` holds
            another run.
        Terminated: SIGTERM stopped the run, and its last checkpoint is complete.
        TrainingError: an alarm or a guard ended the run.
        PolicyError: the model's logits are no numbers.
    """
    from omar_trainers.trainer import OMARTrainer

    if model.model_name_or_path is None:
        raise ConfigError("model_name_or_path is missing: name a model folder, hub model or house")
    if model.model_name_or_path == HOUSE:
        model.model_name_or_path = str(house_directory())
    refuse_adapters(model.model_name_or_path)
    if config.model_init_kwargs is None:
        chosen: dict[str, Any] = {
            "dtype": model.dtype,
            "attn_implementation": model.attn_implementation,
            "revision": model.model_revision,
        }
        config.model_init_kwargs = {k: v for k, v in chosen.items() if v is not None}
    try:
        AutoConfig.from_pretrained(
            model.model_name_or_path,
            revision=model.model_revision,
            trust_remote_code=config.trust_remote_code,
        )
    except (OSError, ValueError) as error:  # the latter is a kind of model that is not known
        raise _not_loaded(model.model_name_or_path, error) from error
    try:
        trainer = OMARTrainer(model.model_name_or_path, config, peft_config=get_peft_config(model))
    except OSError as error:
        raise _not_loaded(model.model_name_or_path, error) from error
    trainer.train()
    if trainer.interruption.stopped:
        raise Terminated
    trainer.save_model(os.path.join(config.output_dir, FINAL_FOLDER))
    trainer.alarms.raise_if_rung()


def refuse_adapters(name: str) -> None:
    """Ask for a whole model.

    Raises:
        ConfigError: ``name`` is a folder that holds adapters alone.
    """
    files = {path.name for path in Path(name).glob("*config.json")}
    if "adapter_config.json" in files and "config.json" not in files:
        raise ConfigError(
            f"{name} holds adapters alone, and training starts from a whole model: merge them into "
            f"their base (peft's AutoPeftModelForCausalLM.from_pretrained({name!r})"
            ".merge_and_unload().save_pretrained(FOLDER), and the tokenizer likewise), then name "
            "that folder"
        )


def _not_loaded(name: str, error: Exception) -> ConfigError:
    why = str(error).strip().splitlines()[0]
    return ConfigError(f"model_name_or_path {name!r} cannot be loaded: {why}")


def _stopped(config: OMARConfig, code: int) -> int:
    """Say how a stopped run goes on. -> ``code``"""
    checkpoint = last_checkpoint(config.output_dir)
    where = "begins again" if checkpoint is None else f"goes on from {checkpoint}"
    how = "without resume never " if config.resume == "never" else ""
    if config.process_index == 0:
        print(f"\nomar-envs train: stopped; the same command {how}{where}", file=sys.stderr)
    return code


def _take(args: list[str], option: str) -> str | None:
    """Remove ``option VALUE`` or ``option=VALUE`` from the arguments. -> VALUE"""
    for i, argument in enumerate(args):
        if argument.startswith(f"{option}="):
            return args.pop(i).partition("=")[2]
        if argument == option:
            if i + 1 == len(args):
                raise ConfigError(f"{option} needs a value")
            args.pop(i)
            return args.pop(i)
    return None


def refuse_unknown(parser: TrlParser, words: Sequence[str]) -> None:
    """Name the nearest setting to one that there is not.

    Raises:
        ConfigError: ``words`` has an option that ``parser`` does not know.
    """
    known = {option for action in parser._actions for option in action.option_strings}
    for word in words:
        name = word.split("=")[0]
        if name.startswith("--") and name not in known and name != "--config":
            raise ConfigError(f"unknown argument {name}{_suggestion(name, known)}")


def _check_keys(path: Path) -> None:
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(recipe, dict):
        raise ConfigError(f"{path} is not a mapping of settings to values")
    known = {field.name for kind in (OMARConfig, ModelConfig) for field in fields(kind)} | {"env"}
    for key in recipe:
        if key not in known:
            raise ConfigError(f"{path}: unknown key {key!r}{_suggestion(str(key), known)}")


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


if __name__ == "__main__":
    sys.exit(main())
