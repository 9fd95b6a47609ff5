"""How a game of Werewolf is told: words, names, lengths, and what form costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations

from omar_envs.errors import ConfigError
from omar_envs.parsing import DEFAULT_PRIVATE_TAGS, clean, single_line
from omar_envs.types import MODERATOR
from omar_envs.werewolf.names import DEFAULT_NAMES, DEFAULT_PERSONAS
from omar_envs.werewolf.prompts import ABSTAIN, PASS, STYLES
from omar_envs.werewolf.settings import check_bool, check_choice, check_int, check_number

_RESERVED = (ABSTAIN, PASS, MODERATOR, "nobody")


@dataclass(frozen=True)
class Table:
    """Everything about a game that is not its rules; see ``werewolf_v0`` for the meaning.

    Attributes:
        name_pool, persona_pool: ``names`` and ``personas``, defaults filled in.

    Raises:
        ConfigError: a value is impossible.
    """

    num_players: int = 7
    max_speech_chars: int = 500
    speech_budget: int | None = None
    allow_silence: bool = False
    prompt_style: str = "plain"
    names: Sequence[str] | None = None
    personas: Sequence[str] | str | None = None
    private_tags: Sequence[str] = DEFAULT_PRIVATE_TAGS
    invalid_penalty: float = 0.0
    format_penalty: float = 0.0
    length_penalty: float = 0.0
    judge_weight: float = 1.0
    name_pool: tuple[str, ...] = field(init=False)
    persona_pool: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_int("max_speech_chars", self.max_speech_chars, 1, 100_000)
        if self.speech_budget is not None:
            check_int("speech_budget", self.speech_budget, 1, 10_000_000)
        check_bool("allow_silence", self.allow_silence)
        check_choice("prompt_style", self.prompt_style, tuple(STYLES))
        for name in ("invalid_penalty", "format_penalty", "length_penalty"):
            penalty = getattr(self, name)
            check_number(name, penalty)
            if penalty < 0:
                raise ConfigError(f"{name} must be at least 0: got {penalty}")
            object.__setattr__(self, name, float(penalty))
        check_number("judge_weight", self.judge_weight)
        object.__setattr__(self, "judge_weight", float(self.judge_weight))
        object.__setattr__(self, "private_tags", _checked_tags(self.private_tags))
        object.__setattr__(self, "name_pool", _checked_names(self.names, self.num_players))
        object.__setattr__(self, "persona_pool", _checked_personas(self.personas, self.num_players))


def _checked_tags(tags: Sequence[str]) -> tuple[str, ...]:
    if not _is_list_of_str(tags) or not all(tag.isidentifier() for tag in tags):
        raise ConfigError(f"private_tags must be a list of tag names, like ['think']: got {tags!r}")
    return tuple(tags)


def _is_list_of_str(value: object) -> bool:
    # No set: its order, and so the game, would change with PYTHONHASHSEED.
    if isinstance(value, str) or not isinstance(value, Sequence):
        return False
    return all(isinstance(item, str) for item in value)


def _checked_names(names: Sequence[str] | None, num_players: int) -> tuple[str, ...]:
    if names is None:
        return DEFAULT_NAMES[:num_players]
    if not _is_list_of_str(names):
        raise ConfigError(f"names must be a list of display names: got {names!r}")
    for name in names:
        if not name or name != single_line(name) or not name.replace(" ", "").isalnum():
            raise ConfigError(f"a name must be letters, digits and single spaces: got {name!r}")
        if name.casefold() in _RESERVED:
            raise ConfigError(f"{name!r} means something else in this game; take another name")
    if len({name.casefold() for name in names}) < len(names):
        raise ConfigError("names must differ in more than case")
    for name, other in permutations((*names, ABSTAIN, PASS), 2):
        if f" {name} ".casefold() in f" {other} ".casefold():
            raise ConfigError(f"{other!r} contains {name!r}: a reply could mean either")
    if len(names) < num_players:
        raise ConfigError(f"{num_players} players need as many names: got {len(names)}")
    return tuple(names)


def _checked_personas(personas: Sequence[str] | str | None, num_players: int) -> tuple[str, ...]:
    if personas is None:
        return ()
    if personas == "default":
        return DEFAULT_PERSONAS
    if not _is_list_of_str(personas):
        raise ConfigError(f"personas must be a list of texts, or 'default': got {personas!r}")
    for persona in personas:
        if not persona or persona != single_line(clean(persona)):
            raise ConfigError(f"a persona must be one line of text: got {persona!r}")
    if len(personas) < num_players:
        raise ConfigError(f"{num_players} players need as many personas: got {len(personas)}")
    return tuple(personas)
