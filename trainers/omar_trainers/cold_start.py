"""``omar-envs sft``: a cold start from recorded games, so that self-play begins with sense.

::

    omar-envs rollout --policy scripted --episodes 400 --out games.jsonl
    omar-envs sft --model Qwen/Qwen3-4B --episodes games.jsonl --best_of 4 --output_dir runs/start

Episodes may come from any policy: scripted bots, models behind an endpoint, the model
itself. Of every ``best_of`` seats that can be compared the best is kept
(:mod:`omar_trainers.best_of`); its episode is replayed, so that its row of tokens is
what the model would have seen in its place; and TRL's ``SFTTrainer`` learns the tokens
of its acts, without those that could not be read and those that the turn filter drops.
As OMAR does before self-play (Jiang et al., arXiv 2602.03109).

Arguments are the fields of :class:`ColdStartConfig` and of TRL's ``ModelConfig``;
``--model`` is short for ``--model_name_or_path``, and ``--resume`` alone for ``--resume
always``. The output folder receives checkpoints, ``cold_start.json`` with what was
kept and why the rest was not, and the model in ``final/``. However a run was stopped,
the same command goes on from the last complete checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from datasets import Dataset
from transformers import AutoConfig, AutoTokenizer
from trl import ModelConfig, SFTTrainer, TrlParser, get_peft_config

from omar_envs.acting import Acting
from omar_envs.by_name import GAME_FILE
from omar_envs.errors import ConfigError, EpisodeError
from omar_envs.transcript import read_episodes
from omar_trainers.cold_start_config import ColdStartConfig
from omar_trainers.harvest import Harvest, harvest
from omar_trainers.house import house_directory
from omar_trainers.resuming import checkpoints
from omar_trainers.resuming.resume import check_same_run, choose_checkpoint, fingerprint
from omar_trainers.sft import Example
from omar_trainers.tokens import ChatTokenizer
from omar_trainers.train import FINAL_FOLDER, HOUSE, refuse_adapters, refuse_unknown

REPORT_FILE = "cold_start.json"

_BOUND = (
    *("seed", "data_seed", "learning_rate", "lr_scheduler_type", "warmup_steps", "optim"),
    *("num_train_epochs", "max_steps", "per_device_train_batch_size", "weight_decay"),
    *("gradient_accumulation_steps", "max_grad_norm", "loss_type", "bf16", "fp16"),
)


class ColdStartTrainer(SFTTrainer):
    """TRL's trainer, with checkpoints that are whole or are not there.

    Args:
        model: causal LM, or its path.
        config: settings.
        examples: rows to learn from.
        identity: of the data, as plain JSON; a checkpoint of other data is refused.
        The others are ``SFTTrainer``'s.
    """

    def __init__(
        self,
        model: Any,
        config: ColdStartConfig,
        examples: Sequence[Example],
        *,
        identity: dict[str, Any],
        **others: Any,
    ) -> None:
        super().__init__(model, config, train_dataset=Dataset.from_list(list(examples)), **others)
        self._identity = identity | {"model": {"weights": fingerprint(self.model)}}
        self._staging = False

    def train(self, *arguments: Any, **settings: Any) -> Any:
        """Train, from the last complete checkpoint if ``resume`` says so.

        Raises:
            ConfigError: ``resume`` forbids it, or the checkpoint was made from other
                episodes or settings.
        """
        checkpoint = choose_checkpoint(self.args, None)
        if checkpoint is None:
            return super().train(*arguments, **settings)
        check_same_run(checkpoint, self._identity, self.accelerator.num_processes)
        checkpoints.remove_incomplete(self.args.output_dir)
        return super().train(*arguments, **settings, resume_from_checkpoint=str(checkpoint))

    def _get_output_dir(self, trial: Any) -> str:
        if self._staging:
            return str(checkpoints.staging(self.args.output_dir))
        return super()._get_output_dir(trial)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self._staging = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._staging = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            checkpoints.publish(
                self.args.output_dir,
                self.state.global_step,
                identity=self._identity,
                processes=self.accelerator.num_processes,
            )
            checkpoints.rotate(self.args.output_dir, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()


def parse(argv: Sequence[str]) -> tuple[ColdStartConfig, ModelConfig]:
    """Settings from a command line.

    Raises:
        ConfigError: an unknown argument, or a bad value.
    """
    parser = _Parser((ColdStartConfig, ModelConfig), prog="omar-envs sft", allow_abbrev=False)
    words = _in_full(argv)
    refuse_unknown(parser, words)
    try:
        config, model = parser.parse_args_and_config(words)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(" ".join(str(error).split())) from error
    return config, model


def run(config: ColdStartConfig, model: ModelConfig) -> Harvest:
    """Learn from the recorded episodes, and save the model. -> what it learned from

    Raises:
        ConfigError: no model or no file is named, the model cannot be used, nothing is
            left to learn, or the checkpoint is another run's.
        EpisodeError: a file cannot be read, or an episode does not replay.
    """
    if model.model_name_or_path is None:
        raise ConfigError("--model is missing: name a model folder, hub model or house")
    if not config.episodes:
        raise ConfigError("--episodes is missing: name one or more files of recorded episodes")
    path = model.model_name_or_path
    path = str(house_directory()) if path == HOUSE else path
    refuse_adapters(path)
    acting = _acting(Path(path), config)
    recorded = [episode for file in config.episodes for episode in read_episodes(file)]
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
        tokens = ChatTokenizer(tokenizer, acting.chat_template_kwargs)
        described = AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        why = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot learn from conversations: {why}") from error
    examples, found = harvest(recorded, tokens, config, _max_context(config, described))
    _check_vocabulary(examples, described, path)
    if config.process_index == 0:
        print(found.text())
    chosen: dict[str, Any] = {
        "dtype": model.dtype,
        "attn_implementation": model.attn_implementation,
        "revision": model.model_revision,
    }
    config = replace(config, model_init_kwargs={k: v for k, v in chosen.items() if v is not None})
    try:
        trainer = ColdStartTrainer(
            path,
            config,
            examples,
            identity=_identity(config, examples),
            processing_class=tokens.tokenizer,
            peft_config=get_peft_config(model),
        )
    except OSError as error:  # no weights, or not all of them
        raise ConfigError(f"{path} cannot be loaded: {str(error).splitlines()[0]}") from error
    trainer.train()
    folder = Path(config.output_dir) / FINAL_FOLDER
    trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        _write(Path(config.output_dir) / REPORT_FILE, {**asdict(found), "losses": _losses(trainer)})
        acting.write(folder)
        games = {(each.env, json.dumps(each.config, sort_keys=True)) for each in recorded}
        if len(games) == 1:
            _write(folder / GAME_FILE, {"env": recorded[0].env, "config": recorded[0].config})
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Train. Returns 0, or 2 after one line about what is wrong."""
    try:
        run(*parse(sys.argv[1:] if argv is None else argv))
    except (ConfigError, EpisodeError) as error:
        print(f"omar-envs sft: {error}", file=sys.stderr)
        return 2
    return 0


class _Parser(TrlParser):
    """TRL's parser, whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def _in_full(argv: Sequence[str]) -> list[str]:
    words: list[str] = []
    for i, word in enumerate(argv):
        name, equals, value = word.partition("=")
        words.append(f"--model_name_or_path{equals}{value}" if name == "--model" else word)
        if word == "--resume" and (i + 1 == len(argv) or argv[i + 1].startswith("--")):
            words.append("always")
    return words


def _max_context(config: ColdStartConfig, described: Any) -> int:
    most: int = described.max_position_embeddings
    if config.max_row_tokens > most:
        raise ConfigError(
            f"max_row_tokens is {config.max_row_tokens}, but the model reads at most {most} tokens"
        )
    return config.max_row_tokens or most


def _acting(model: Path, config: ColdStartConfig) -> Acting:
    """How the model acts: as it did before, but for the arguments of its template."""
    acting = Acting.read(model)
    if config.chat_template_kwargs is None:
        return acting
    return msgspec.structs.replace(acting, chat_template_kwargs=dict(config.chat_template_kwargs))


def _check_vocabulary(examples: Sequence[Example], described: Any, path: str) -> None:
    highest = max(max(example["input_ids"]) for example in examples)
    if highest >= described.vocab_size:
        raise ConfigError(
            f"the tokenizer of {path} makes token {highest}, but the model knows only "
            f"{described.vocab_size} tokens: the tokenizer is another model's"
        )


def _identity(config: ColdStartConfig, examples: Sequence[Example]) -> dict[str, Any]:
    settings = {name: str(value) for name, value in vars(config).items() if name in _BOUND}
    rows = hashlib.sha256(json.dumps(examples).encode()).hexdigest()[:16]
    return {**settings, "rows": rows}


def _losses(trainer: SFTTrainer) -> list[tuple[int, float]]:
    return [(log["step"], log["loss"]) for log in trainer.state.log_history if "loss" in log]


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
