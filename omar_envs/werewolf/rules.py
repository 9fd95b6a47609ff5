"""The rules of Werewolf: who is dealt what, what acts do, who has won.

Pure and seeded: players are indices, randomness comes from the generator that
the caller passes, and nothing here knows of text, observations or gym.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from omar_envs.errors import ConfigError

Role = Literal["villager", "werewolf", "seer", "doctor"]
Team = Literal["werewolf", "village"]
StepKind = Literal["wolf_chat", "night", "discussion", "vote"]

ROLES: tuple[Role, ...] = ("villager", "werewolf", "seer", "doctor")
MIN_PLAYERS = 3
MAX_PLAYERS = 24


def team_of(role: str) -> Team:
    """The team that a role wins with."""
    return "werewolf" if role == "werewolf" else "village"


def default_roles(num_players: int) -> dict[str, int]:
    """One werewolf per four players (7 players have two), a seer, from 6 players a doctor."""
    roles = {"werewolf": max(1, (num_players + 1) // 4), "seer": 1}
    if num_players >= 6:
        roles["doctor"] = 1
    return roles


@dataclass(frozen=True)
class Rules:
    """One set of rules. Every argument is checked here; see ``werewolf_v0`` for their meaning.

    Raises:
        ConfigError: a value is out of range, or two of them exclude each other.
    """

    num_players: int = 7
    roles: Mapping[str, int] = field(default_factory=dict)
    discussion: str = "simultaneous"
    discussion_rounds: int = 2
    wolf_chat_rounds: int = 1
    first_phase: str = "night"
    first_night_kill: bool = True
    vote_tie: str = "random"
    vote_rule: str = "plurality"
    allow_abstain: bool = True
    reveal_on_death: str = "role"
    doctor_self_save: bool = True
    win_rule: str = "parity"
    max_days: int = 10
    elimination_discount: float = 0.9

    def __post_init__(self) -> None:
        _check_int("num_players", self.num_players, MIN_PLAYERS, MAX_PLAYERS)
        object.__setattr__(self, "roles", self._full_roles())
        _check_choice("discussion", self.discussion, ("simultaneous", "round_robin"))
        _check_choice("first_phase", self.first_phase, ("night", "day"))
        _check_choice("vote_tie", self.vote_tie, ("random", "none"))
        _check_choice("vote_rule", self.vote_rule, ("plurality", "majority"))
        _check_choice("reveal_on_death", self.reveal_on_death, ("none", "team", "role"))
        _check_choice("win_rule", self.win_rule, ("parity", "extinction"))
        _check_int("discussion_rounds", self.discussion_rounds, 0, 100)
        _check_int("wolf_chat_rounds", self.wolf_chat_rounds, 0, 100)
        _check_int("max_days", self.max_days, 1, 1000)
        _check_bool("first_night_kill", self.first_night_kill)
        _check_bool("allow_abstain", self.allow_abstain)
        _check_bool("doctor_self_save", self.doctor_self_save)
        check_number("elimination_discount", self.elimination_discount)
        if not 0.0 < self.elimination_discount <= 1.0:
            raise ConfigError(
                f"elimination_discount must be in (0, 1], 1 is off: got {self.elimination_discount}"
            )
        if self.first_phase == "day" and not self.first_night_kill:
            raise ConfigError(
                "first_night_kill=False needs first_phase='night': "
                "a game that begins by day has no first night before it"
            )

    def _full_roles(self) -> dict[str, int]:
        given = dict(self.roles) if self.roles else default_roles(self.num_players)
        for role, count in given.items():
            if role not in ROLES:
                raise ConfigError(f"unknown role {role!r} in roles; known: {', '.join(ROLES)}")
            _check_int(f"roles[{role!r}]", count, 0, MAX_PLAYERS)
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
        full: dict[str, int] = {role: given.get(role, 0) for role in ROLES}
        full["villager"] = self.num_players - others
        wolves = full["werewolf"]
        village = self.num_players - wolves
        if wolves < 1:
            raise ConfigError("roles has no werewolf: the village would have won before the start")
        if village < 1 or (self.win_rule_is_parity and wolves >= village):
            raise ConfigError(
                f"{wolves} werewolves among {self.num_players} players have won before the start "
                f"under win_rule={self.win_rule!r}: lower the number of werewolves"
            )
        return full

    @property
    def win_rule_is_parity(self) -> bool:
        """Whether the wolves win at half of the living, not only when alone."""
        return self.win_rule == "parity"


class Step(NamedTuple):
    """One step of the schedule: ``day`` counts from 1, ``round`` from 1."""

    kind: StepKind
    day: int
    round: int = 1


class Death(NamedTuple):
    """Who died on which day or night, and of what."""

    player: int
    day: int
    cause: Literal["killed", "voted_out"]


class NightResult(NamedTuple):
    """What came of a night: the victim if one died, and what each seer learned."""

    killed: int | None
    seen: dict[int, tuple[int, Team]]


class Game:
    """State of one game.

    Args:
        rules: the rules.
        rng: generator of the game; dealing and ties draw from it.
    """

    def __init__(self, rules: Rules, rng: np.random.Generator) -> None:
        self.rules = rules
        deck = [role for role in ROLES for _ in range(rules.roles[role])]
        self.roles: tuple[str, ...] = tuple(deck[i] for i in rng.permutation(len(deck)))
        self.alive = [True] * rules.num_players
        self.deaths: list[Death] = []
        self.days_begun = 0
        self._days_begun_at_death: dict[int, int] = {}
        self._rng = rng
        self._day = 0
        self._queue: list[Step] = []
        self._next_is_night = rules.first_phase == "night"

    # --- who is who -------------------------------------------------------

    def living(self, role: str | None = None) -> list[int]:
        """Living players in seat order, all or those of one role."""
        return [
            player
            for player, alive in enumerate(self.alive)
            if alive and (role is None or self.roles[player] == role)
        ]

    def team(self, player: int) -> Team:
        """The player's team."""
        return team_of(self.roles[player])

    # --- schedule ---------------------------------------------------------

    def next_step(self) -> Step | None:
        """The next step of the schedule, or ``None`` once the game is over."""
        if self.winner() is not None:
            return None
        if not self._queue:
            if self._next_is_night:
                if self.hit_limit():
                    return None
                self._queue = self._plan_night()
            else:
                if self.hit_limit():
                    return None
                self._queue = self._plan_day()
            self._next_is_night = not self._next_is_night
        return self._queue.pop(0)

    def _plan_night(self) -> list[Step]:
        # A night belongs to the day that follows it, unless the game began by day.
        number = self.days_begun + (1 if self.rules.first_phase == "night" else 0)
        chats = [Step("wolf_chat", number, r + 1) for r in range(self.rules.wolf_chat_rounds)]
        return [*chats, Step("night", number)]

    def _plan_day(self) -> list[Step]:
        self.days_begun += 1
        talks = range(self.rules.discussion_rounds)
        return [
            *(Step("discussion", self.days_begun, r + 1) for r in talks),
            Step("vote", self.days_begun),
        ]

    def hit_limit(self) -> bool:
        """Whether ``max_days`` days have passed and nobody has won."""
        return (
            self.winner() is None
            and not self._queue
            and self._next_is_night
            and self.days_begun >= self.rules.max_days
        )

    # --- what may be chosen -----------------------------------------------

    def kill_happens(self, step: Step) -> bool:
        """Whether the wolves kill in this night."""
        return self.rules.first_night_kill or step.day > 1

    def night_actors(self, step: Step) -> list[int]:
        """Who acts in a night, in seat order."""
        roles = {"seer"} | ({"werewolf", "doctor"} if self.kill_happens(step) else set())
        return [player for player in self.living() if self.roles[player] in roles]

    def targets(self, player: int, kind: StepKind) -> list[int]:
        """Whom the player may name in a night or a vote, in seat order."""
        role = self.roles[player]
        if kind == "night" and role == "werewolf":
            return [other for other in self.living() if self.roles[other] != "werewolf"]
        if kind == "night" and role == "doctor" and self.rules.doctor_self_save:
            return self.living()
        return [other for other in self.living() if other != player]

    # --- what acts do -----------------------------------------------------

    def resolve_night(self, step: Step, named: Mapping[int, int]) -> NightResult:
        """Apply a night: all acts count, the victim's too; protection holds against the kill.

        Args:
            named: target of every player who acted.
        """
        by_role = {
            role: {p: t for p, t in named.items() if self.roles[p] == role} for role in ROLES
        }
        seen = {seer: (target, self.team(target)) for seer, target in by_role["seer"].items()}
        victim = self._most_named(list(by_role["werewolf"].values()))
        if victim in by_role["doctor"].values():
            victim = None
        if victim is not None:
            self._die(victim, step.day, "killed")
        return NightResult(victim, seen)

    def resolve_vote(self, step: Step, named: Mapping[int, int | None]) -> int | None:
        """Apply a vote; returns who was voted out, if anybody.

        Args:
            named: vote of every living player, ``None`` for an abstention.
        """
        votes = [target for target in named.values() if target is not None]
        if self.rules.vote_rule == "majority":
            out = next((t for t, n in Counter(votes).items() if 2 * n > len(self.living())), None)
        else:
            out = self._most_named(votes, ties=self.rules.vote_tie == "random")
        if out is not None:
            self._die(out, step.day, "voted_out")
        return out

    def _most_named(self, votes: Sequence[int], ties: bool = True) -> int | None:
        if not votes:
            return None
        counts = Counter(votes)
        most = max(counts.values())
        top = sorted(player for player, count in counts.items() if count == most)
        if len(top) > 1 and not ties:
            return None
        return top[int(self._rng.integers(len(top)))] if len(top) > 1 else top[0]

    def _die(self, player: int, day: int, cause: Literal["killed", "voted_out"]) -> None:
        self.alive[player] = False
        self.deaths.append(Death(player, day, cause))
        self._days_begun_at_death[player] = self.days_begun

    # --- the end ----------------------------------------------------------

    def winner(self) -> Team | None:
        """The team that has won by now, if any."""
        wolves = len(self.living("werewolf"))
        others = len(self.living()) - wolves
        if wolves == 0:
            return "village"
        if others == 0 or (self.rules.win_rule_is_parity and wolves >= others):
            return "werewolf"
        return None

    def days_missed(self, player: int) -> int:
        """Days that have begun since the player died; 0 for the living."""
        return self.days_begun - self._days_begun_at_death.get(player, self.days_begun)

    def reward(self, player: int) -> float:
        """A win is +1 times ``elimination_discount`` per day missed, a loss -1, the limit 0."""
        winner = self.winner()
        if winner is None:
            return 0.0
        if self.team(player) != winner:
            return -1.0
        return float(self.rules.elimination_discount ** self.days_missed(player))


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be an integer: got {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}: got {value}")


def _check_bool(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False: got {value!r}")


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ConfigError(f"{name} must be one of {known}: got {value!r}")


def check_number(name: str, value: object) -> None:
    """Refuse what is not a finite real number.

    Raises:
        ConfigError: names the setting and the value.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise ConfigError(f"{name} must be a finite number: got {value!r}")
