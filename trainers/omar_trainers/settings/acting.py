"""How the model replies while it plays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from omar_envs.errors import ConfigError
from omar_trainers.settings.checks import require_int, require_one_of


@dataclass
class ActingSettings:
    """How the model replies while it plays.

    Args:
        max_new_tokens_speak: longest reply to a SPEAK request (tokens).
        max_new_tokens_choose: longest reply to a CHOOSE request where choices
            are not constrained (tokens).
        constrain_choices: let a CHOOSE reply be only one of the legal labels;
            the same mask is used where tokens are sampled and where they are scored.
        stop_strings: a reply ends where one of these stands; the tokens that
            spell it belong to the reply, the text handed to the game ends before it.
        max_row_tokens: a row that would outgrow this is closed as truncated
            (tokens); 0 takes the model's own limit.
        old_logprobs: ``sampled`` takes the generator's own logprobs as the old
            policy's; ``recomputed`` costs a forward pass per iteration and is right
            where generator and trainer differ in kernels or precision.
    """

    max_new_tokens_speak: int = field(
        default=128, metadata={"help": "Longest reply to a SPEAK request, in tokens."}
    )
    max_new_tokens_choose: int = field(
        default=32, metadata={"help": "Longest unconstrained reply to a CHOOSE request, in tokens."}
    )
    constrain_choices: bool = field(
        default=True, metadata={"help": "Let CHOOSE replies be only legal labels."}
    )
    stop_strings: list[str] | None = field(
        default=None, metadata={"help": "A reply ends where one of these stands."}
    )
    max_row_tokens: int = field(
        default=0, metadata={"help": "Longest row in tokens; 0 takes the model's own limit."}
    )
    old_logprobs: Literal["sampled", "recomputed"] = field(
        default="sampled", metadata={"help": "Where the old policy's logprobs come from."}
    )

    def _check_acting(self) -> None:
        require_int("max_new_tokens_speak", self.max_new_tokens_speak, least=1)
        require_int("max_new_tokens_choose", self.max_new_tokens_choose, least=1)
        require_int("max_row_tokens", self.max_row_tokens, least=0)
        require_one_of("old_logprobs", self.old_logprobs, ("sampled", "recomputed"))
        for stop in self.stop_strings or []:
            if not isinstance(stop, str) or not stop:
                raise ConfigError(f"stop_strings holds {stop!r}: give texts that are not empty")
