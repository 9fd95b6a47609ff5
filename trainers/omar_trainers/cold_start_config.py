"""Settings of a cold start from recorded games."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from trl import SFTConfig

from omar_envs.errors import ConfigError
from omar_trainers.best_of import Balance
from omar_trainers.filters import TurnRules, check_script
from omar_trainers.settings.checks import (
    parsed_json,
    require_int,
    require_object,
    require_one_of,
    require_share,
)


@dataclass
class ColdStartConfig(SFTConfig):
    """Settings of a cold start: those of TRL's ``SFTConfig``, and which turns are learned.

    Args:
        episodes: files of recorded episodes, JSON lines.
        best_of: of so many seats that can be compared the best is learned from; 1
            keeps all.
        min_return: the least that a seat was paid to be learned from; None sets no limit.
        balance: share of seats kept that is the same for every ``role`` or ``team``;
            ``none`` lets one outnumber the others.
        turn_filter: which turns are not learned, beside acts that could not be read:
            ``none``, or speeches that break one of the ``rules``.
        filter_repetition, filter_copying, filter_words, filter_script: the rules, as
            in :class:`~omar_trainers.config.OMARConfig`.
        max_row_tokens: a row that would outgrow this keeps the turns that fit
            (tokens); 0 takes the model's own limit.
        chat_template_kwargs: arguments of the chat template, such as Qwen3's
            ``{"enable_thinking": false}``; None takes those that stand beside the model.
        resume: ``auto`` goes on from the last complete checkpoint of ``output_dir`` if
            there is one, ``never`` refuses to write into a folder that has one,
            ``always`` refuses to start without one.

    Raises:
        ConfigError: a value out of range, or a setting of TRL's that does not suit
            rows of several turns.
    """

    _VALID_DICT_FIELDS = [*SFTConfig._VALID_DICT_FIELDS, "chat_template_kwargs"]

    episodes: list[str] = field(
        default_factory=list, metadata={"help": "Files of recorded episodes, JSON lines."}
    )
    best_of: int = field(
        default=4, metadata={"help": "Of so many comparable seats the best is learned from."}
    )
    min_return: float | None = field(
        default=None, metadata={"help": "Least return of a seat that is learned from."}
    )
    balance: Balance = field(
        default="role", metadata={"help": "Keep the same share of every role, or team."}
    )
    turn_filter: Literal["none", "rules"] = field(
        default="rules", metadata={"help": "Which turns are not learned."}
    )
    filter_repetition: float = field(
        default=0.5, metadata={"help": "Largest share of repeated trigrams in a speech."}
    )
    filter_copying: float = field(
        default=0.8, metadata={"help": "Largest share of a speech's trigrams copied from another."}
    )
    filter_words: int = field(
        default=0, metadata={"help": "Longest speech in words; 0 sets no limit."}
    )
    filter_script: str | None = field(
        default=None, metadata={"help": "Unicode script that speech must be in, such as LATIN."}
    )
    max_row_tokens: int = field(
        default=0, metadata={"help": "Longest row in tokens; 0 takes the model's own limit."}
    )
    chat_template_kwargs: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Arguments of the chat template, as JSON."}
    )
    resume: Literal["auto", "never", "always"] = field(
        default="auto", metadata={"help": "Whether to go on from a checkpoint in output_dir."}
    )

    # Defaults of TRL and transformers that do not suit rows of several turns.
    max_length: int | None = field(
        default=None, metadata={"help": "Only None: rows are cut at turns, by max_row_tokens."}
    )
    gradient_checkpointing: bool | None = field(
        default=None, metadata={"help": "Old name of activation_checkpointing."}
    )
    bf16: bool | None = field(
        default=False, metadata={"help": "Train under bfloat16 autocast (use it on GPUs)."}
    )
    dataloader_pin_memory: bool = field(
        default=False, metadata={"help": "Rows are small, and a CPU alone has no use for it."}
    )

    def __post_init__(self) -> None:
        require_int("best_of", self.best_of, least=1)
        require_one_of("balance", self.balance, ("none", "role", "team"))
        require_one_of("turn_filter", self.turn_filter, ("none", "rules"))
        require_share("filter_repetition", self.filter_repetition)
        require_share("filter_copying", self.filter_copying)
        require_int("filter_words", self.filter_words, least=0)
        require_int("max_row_tokens", self.max_row_tokens, least=0)
        require_one_of("resume", self.resume, ("auto", "never", "always"))
        self.chat_template_kwargs = parsed_json("chat_template_kwargs", self.chat_template_kwargs)
        require_object("chat_template_kwargs", self.chat_template_kwargs)
        if self.filter_script is not None:
            check_script(self.filter_script)
        if self.max_length is not None:
            raise ConfigError("max_length would cut rows inside a turn: set max_row_tokens instead")
        if self.packing or self.padding_free:
            raise ConfigError(
                "packing and padding_free join rows of different games: leave them off"
            )
        if self.assistant_only_loss or self.completion_only_loss is not None:
            raise ConfigError(
                "assistant_only_loss and completion_only_loss have no effect: the tokens of a "
                "seat's own acts are learned, and no others. Leave them out"
            )
        super().__post_init__()

    @property
    def rules(self) -> TurnRules:
        """The bounds of the turn filter."""
        return TurnRules(
            repetition=self.filter_repetition,
            copying=self.filter_copying,
            words=self.filter_words,
            script=self.filter_script,
        )
