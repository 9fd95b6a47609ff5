"""``omar-envs train``: from a YAML recipe to a trained model.

::

    omar-envs train --recipe werewolf_house_demo --output_dir runs/demo
    python -m omar_trainers.train --recipe my.yaml --learning_rate 1e-5
    torchrun --nproc_per_node 8 -m omar_trainers.train --recipe werewolf_qwen3_4b

A recipe is a YAML file, or the name of one that comes with the package. Its keys
are the fields of :class:`~omar_trainers.config.OMARConfig` and of TRL's
``ModelConfig`` (``model_name_or_path``, ``dtype``, ``lora_r`` …); arguments on
the command line win over it. A key ``env`` sets environment variables.

The output folder receives ``metrics.jsonl``, checkpoints, and at the end the
model in ``final/``. With ``--resume_from_checkpoint last`` (or a folder) a run
goes on where it stopped.
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
from transformers.trainer_utils import get_last_checkpoint
from trl import ModelConfig, TrlParser, get_peft_config

from omar_envs.errors import ConfigError, OmarError
from omar_trainers.config import OMARConfig
from omar_trainers.house import house_directory

FINAL_FOLDER = "final"
HOUSE = "house"
"""Model name that means the house model of this package."""


class _Parser(TrlParser):
    """TRL's parser, whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def recipe_path(recipe: str) -> Path:
    """The file of a recipe: a path, or the name of a bundled one.

    Raises:
        ConfigError: there is none; the message lists the bundled ones.
    """
    if Path(recipe).is_file():
        return Path(recipe)
    here = Path(__file__).resolve().parent
    # Beside the package in a source tree, inside it in a wheel.
    folders = [here.parent / "recipes", here / "recipes"]
    for folder in folders:
        for name in (recipe, f"{recipe}.yaml"):
            if (folder / name).is_file():
                return folder / name
    bundled = sorted(path.stem for folder in folders for path in folder.glob("*.yaml"))
    raise ConfigError(f"there is no recipe {recipe!r}: give a YAML file, or {', '.join(bundled)}")


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
    known = {option for action in parser._actions for option in action.option_strings}
    for argument in args:
        name = argument.split("=")[0]
        if name.startswith("--") and name not in known and name != "--config":
            raise ConfigError(f"unknown argument {name}{_suggestion(name, known)}")
    try:
        config, model = parser.parse_args_and_config(args)
    except OmarError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return config, model


def main(argv: Sequence[str] | None = None) -> int:
    """Train. Returns 0, or 2 after one line about what is wrong with the settings."""
    try:
        config, model = parse(sys.argv[1:] if argv is None else argv)
        run(config, model)
    except ConfigError as error:
        print(f"omar-envs train: {error}", file=sys.stderr)
        return 2
    return 0


def run(config: OMARConfig, model: ModelConfig) -> None:
    """Train by settings already parsed, and save the model.

    Raises:
        ConfigError: no model is named, or there is no checkpoint to resume from.
    """
    from omar_trainers.trainer import OMARTrainer

    if model.model_name_or_path is None:
        raise ConfigError("model_name_or_path is missing: name a model folder, hub model or house")
    if model.model_name_or_path == HOUSE:
        model.model_name_or_path = str(house_directory())
    checkpoint = _checkpoint(config)
    if config.model_init_kwargs is None:
        chosen: dict[str, Any] = {
            "dtype": model.dtype,
            "attn_implementation": model.attn_implementation,
            "revision": model.model_revision,
        }
        config.model_init_kwargs = {k: v for k, v in chosen.items() if v is not None}
    try:
        trainer = OMARTrainer(model.model_name_or_path, config, peft_config=get_peft_config(model))
    except OSError as error:
        raise ConfigError(
            f"model_name_or_path {model.model_name_or_path!r} cannot be loaded: "
            f"{str(error).splitlines()[0]}"
        ) from error
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model(os.path.join(config.output_dir, FINAL_FOLDER))


def _checkpoint(config: OMARConfig) -> str | None:
    wanted = config.resume_from_checkpoint
    if wanted is None:
        return None
    if wanted not in ("last", "true", "True", True):
        return str(wanted)
    found = get_last_checkpoint(config.output_dir) if Path(config.output_dir).is_dir() else None
    if found is None:
        raise ConfigError(f"resume_from_checkpoint: {config.output_dir} has no checkpoint")
    return found


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
