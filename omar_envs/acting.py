"""How a model acted while it was trained: a file beside its weights.

Whoever plays with the model later asks it in the same way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from omar_envs.errors import ConfigError

ACTING_FILE = "acting.json"
"""Beside a model's weights: :class:`Acting`, as JSON."""


class Acting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model replies to requests.

    Attributes:
        max_new_tokens_speak: longest speech (tokens).
        max_new_tokens_choose: longest choice where it is not constrained (tokens).
        temperature: of the sampling; 0 is greedy.
        temperature_choose: of choices; None for the same.
        constrain_choices: whether choices are sampled from their legal labels only.
        stop_strings: a free reply ends where one of these stands.
        chat_template_kwargs: arguments of the chat template.
    """

    max_new_tokens_speak: int = 128
    max_new_tokens_choose: int = 32
    temperature: float = 1.0
    temperature_choose: float | None = None
    constrain_choices: bool = True
    stop_strings: tuple[str, ...] = ()
    chat_template_kwargs: dict[str, Any] = {}

    @classmethod
    def read(cls, directory: Path) -> Acting:
        """What stands beside the weights; the defaults where nothing does.

        Raises:
            ConfigError: the file cannot be read.
        """
        file = directory / ACTING_FILE
        if not file.is_file():
            return cls()
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"{file} does not say how the model acts ({error}): correct it, or remove it to "
                "play with the usual settings"
            ) from None

    def write(self, directory: Path) -> None:
        """Say it beside the weights in ``directory``."""
        text = msgspec.json.format(msgspec.json.encode(self), indent=2)
        (directory / ACTING_FILE).write_bytes(text + b"\n")
