"""One set of Werewolf rules, checked where it is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from omar_envs.errors import ConfigError
from omar_envs.werewolf.roles import ROLE_CLASSES

ROLES = tuple(ROLE_CLASSES)
MIN_PLAYERS = 3
MAX_PLAYERS = 24

_CHOICES: dict[str, tuple[str, ...]] = {
    "discussion": ("simultaneous", "round_robin", "random_order", "daily_order", "bidding"),
    "first_phase": ("night", "day"),
    "voting": ("sealed", "sequential"),
    "vote_rule": ("plurality", "majority"),
    "vote_tie": ("random", "none", "revote"),
    "revote_tie": ("none", "random"),
    "kill_tie": ("random", "none"),
    "seer_learns": ("team", "role"),
    "last_words": ("none", "day", "all"),
    "mayor_vote": ("double", "tiebreak"),
    "win_rule": ("parity", "extinction"),
    "outcome_reward": ("plus_minus", "win_only"),
}
DRAWN = ("random_order", "daily_order")
"""Discussions that go in an order drawn at random."""

_LARGEST = sys.float_info.max
_REVEALS = ("none", "team", "role")
_BOOLEANS = (
    *("first_night_kill", "first_day_vote", "show_votes", "allow_abstain", "allow_self_vote"),
    *("doctor_self_save", "doctor_repeat_save", "zero_sum"),
)


def default_roles(num_players: int) -> dict[str, int]:
    """One werewolf per four players (7 players have two), a seer, from 6 players a doctor."""
    roles = {"werewolf": max(1, (num_players + 1) // 4), "seer": 1}
    if num_players >= 6:
        roles["doctor"] = 1
    return roles


@dataclass(frozen=True)
class Rules:
    """One set of rules. Every argument is checked here; see ``werewolf_v0`` for their meaning.

    Attributes:
        reveal_night, reveal_day: ``reveal_on_death`` for deaths of the night and
            of the day.
        deck: name of every role dealt, before it is shuffled.
        night_rounds: rounds of night acts that the roles in play need.

    Raises:
        ConfigError: a value is out of range, or two of them exclude each other.
    """

    num_players: int = 7
    roles: Mapping[str, int] = field(default_factory=dict)
    discussion: str = "simultaneous"
    discussion_rounds: int = 2
    wolf_chat_rounds: int = 1
    last_words: str = "none"
    first_phase: str = "night"
    first_night_kill: bool = True
    kill_tie: str = "random"
    first_day_vote: bool = True
    voting: str = "sealed"
    show_votes: bool = True
    vote_rule: str = "plurality"
    vote_tie: str = "random"
    revote_tie: str = "none"
    allow_abstain: bool = True
    allow_self_vote: bool = False
    reveal_on_death: str | Sequence[str] = "role"
    seer_learns: str = "team"
    doctor_self_save: bool = True
    doctor_repeat_save: bool = True
    mayor_vote: str = "double"
    win_rule: str = "parity"
    max_days: int = 10
    outcome_reward: str = "plus_minus"
    elimination_discount: float = 0.9
    zero_sum: bool = False
    reveal_night: str = field(init=False)
    reveal_day: str = field(init=False)
    deck: tuple[str, ...] = field(init=False)
    night_rounds: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        check_int("num_players", self.num_players, MIN_PLAYERS, MAX_PLAYERS)
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name in _BOOLEANS:
            check_bool(name, getattr(self, name))
        check_int("discussion_rounds", self.discussion_rounds, 0, 100)
        check_int("wolf_chat_rounds", self.wolf_chat_rounds, 0, 100)
        check_int("max_days", self.max_days, 1, 1000)
        check_number("elimination_discount", self.elimination_discount)
        if not 0.0 < self.elimination_discount <= 1.0:
            raise ConfigError(
                f"elimination_discount must be in (0, 1], 1 is off: got {self.elimination_discount}"
            )
        if self.first_phase == "day" and self.first_day_vote and not self.first_night_kill:
            raise ConfigError(
                "first_night_kill=False needs first_phase='night' or first_day_vote=False: "
                "a game that begins by day with a vote has no first night before it"
            )
        if (
            (self.first_phase == "day" or not self.first_night_kill)
            and not (self.first_day_vote or self.discussion_rounds)
            and self.max_days == 1
        ):
            raise ConfigError(
                "nothing would happen on the only day: it has no talk and no vote, and nobody is "
                "killed before it; raise max_days or discussion_rounds, or set first_day_vote=True"
            )
        if self.voting == "sequential" and not self.show_votes:
            raise ConfigError(
                "show_votes=False needs voting='sealed': "
                "votes that are cast one after another are seen"
            )
        roles = self._full_roles()
        night, day = self._reveals()
        rounds = {ROLE_CLASSES[role].night_round for role, count in roles.items() if count}
        object.__setattr__(self, "roles", roles)
        object.__setattr__(self, "reveal_night", night)
        object.__setattr__(self, "reveal_day", day)
        object.__setattr__(self, "deck", tuple(r for r, n in roles.items() for _ in range(n)))
        object.__setattr__(self, "night_rounds", tuple(sorted(rounds - {0})))

    @cached_property
    def last_words_after(self) -> tuple[str, ...]:
        """Causes of death before which there are last words."""
        after = {"none": (), "day": ("voted_out",), "all": ("voted_out", "killed", "poisoned")}
        return after[self.last_words]

    @cached_property
    def in_turn(self) -> tuple[str, ...]:
        """Kinds of step in which each player acts knowing what those before did."""
        talk = ("discussion",) if self.discussion in ("round_robin", *DRAWN) else ()
        return (*talk, "vote") if self.voting == "sequential" else talk

    @cached_property
    def votes_are(self) -> Literal["open", "sealed", "secret"]:
        """Who sees a vote: all at once, all when everybody has voted, or nobody ever."""
        if self.voting == "sequential":
            return "open"
        return "sealed" if self.show_votes else "secret"

    @cached_property
    def draws_votes(self) -> bool:
        """Whether each vote goes in an order drawn for it."""
        return self.voting == "sequential" and self.discussion in DRAWN

    @cached_property
    def draws_talks(self) -> bool:
        """Whether each round of discussion goes in an order drawn for it."""
        return self.discussion == "random_order"

    def _reveals(self) -> tuple[str, str]:
        given = self.reveal_on_death
        pair = (given, given) if isinstance(given, str) else given
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ConfigError(
                "reveal_on_death must be one of 'none', 'team', 'role', or a pair of them, "
                f"for the night and for the day: got {given!r}"
            )
        for shown in pair:
            check_choice("reveal_on_death", shown, _REVEALS)
        return pair[0], pair[1]

    def _full_roles(self) -> dict[str, int]:
        given = dict(self.roles) if self.roles else default_roles(self.num_players)
        for role, count in given.items():
            if role not in ROLE_CLASSES:
                known = ", ".join(ROLE_CLASSES)
                raise ConfigError(f"unknown role {role!r} in roles; known: {known}")
            check_int(f"roles[{role!r}]", count, 0, MAX_PLAYERS)
            unit = ROLE_CLASSES[role].unit
            if 0 < count < unit:
                raise ConfigError(f"roles[{role!r}] must be 0 or at least {unit}: got {count}")
        dealt = sum(given.values())
        others = sum(count for role, count in given.items() if role != "villager")
        if dealt > self.num_players:
            raise ConfigError(
                f"roles name {dealt} players but num_players is {self.num_players}: "
                "lower a count or raise num_players"
            )
        if given.get("villager", 0) and dealt < self.num_players:
            raise ConfigError(
                f"roles name {dealt} players but num_players is {self.num_players}: "
                "leave 'villager' out to fill up with villagers, or correct its count"
            )
        full: dict[str, int] = {role: given.get(role, 0) for role in ROLE_CLASSES}
        full["villager"] = self.num_players - others
        self._check_both_can_win(full)
        return full

    def _check_both_can_win(self, roles: Mapping[str, int]) -> None:
        wolves = sum(count for role, count in roles.items() if ROLE_CLASSES[role].is_wolf)
        village = sum(n for role, n in roles.items() if ROLE_CLASSES[role].team == "village")
        if wolves < 1:
            raise ConfigError("roles has no werewolf: the village would have won before the start")
        humans = self.num_players - wolves
        if humans < 1 or (self.win_rule == "parity" and wolves >= humans):
            raise ConfigError(
                f"{wolves} werewolves among {self.num_players} players have won before the start "
                f"under win_rule={self.win_rule!r}: lower the number of werewolves"
            )
        if village < 1:
            raise ConfigError("roles leaves nobody on the village's team: lower another count")


def check_int(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is not an integer from ``low`` to ``high``.

    Raises:
        ConfigError: names the setting and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be an integer: got {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}: got {value}")


def check_bool(name: str, value: object) -> None:
    """Refuse what is not a boolean.

    Raises:
        ConfigError: names the setting and the value.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False: got {value!r}")


def check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    """Refuse what is not among ``choices``.

    Raises:
        ConfigError: names the setting, the choices and the value.
    """
    if not isinstance(value, str) or value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{name} must be one of {known}: got {value!r}")


def check_number(name: str, value: object) -> None:
    """Refuse what is not a finite real number.

    Raises:
        ConfigError: names the setting and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ConfigError(f"{name} must be a finite number: got {value!r}")
