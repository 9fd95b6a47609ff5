"""A finished game as measures read it: who was who, its nights, and its days' talk and votes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from omar_envs.errors import EpisodeError
from omar_envs.types import Episode, Turn
from omar_envs.werewolf.claims import read_accusations
from omar_envs.werewolf.roles import ROLE_CLASSES

WOLVES = frozenset(role.name for role in ROLE_CLASSES.values() if role.is_wolf)
BY_NIGHT = ("wolf_chat", "night")
BY_DAY = ("bid", "discussion", "vote")
PUBLIC_TALK = ("discussion", "last_words")


class Choice(NamedTuple):
    """One choice that a player was asked for.

    Attributes:
        agent: who chose.
        target: agent id that it named, ``None`` for an abstention or a pass.
        candidates: agent ids that it might have named.
        valid: false where the reply could not be read, so that the game chose.
    """

    agent: str
    target: str | None
    candidates: frozenset[str]
    valid: bool


class Speech(NamedTuple):
    """What ``agent`` said in stage number ``turn``, and the agent ids that it accuses."""

    turn: int
    agent: str
    accused: tuple[str, ...]


@dataclass(frozen=True)
class Day:
    """One day's discussion and its first ballot.

    A second ballot among the tied is left out: no talk lies between the two,
    and it offers too few candidates to compare with the first.

    Attributes:
        speeches: what was said in the discussion, silence left out.
        votes: the first ballot, unreadable votes left out; a mayor's is one vote. Empty
            where none could be read, whatever a second ballot came to.
    """

    speeches: list[Speech] = field(default_factory=list)
    votes: list[Choice] = field(default_factory=list)

    def accusations(self) -> dict[tuple[str, str], int]:
        """Stage number in which a speaker first accused a target, by speaker and target."""
        first: dict[tuple[str, str], int] = {}
        for speech in self.speeches:
            for target in speech.accused:
                first.setdefault((speech.agent, target), speech.turn)
        return first


@dataclass(frozen=True)
class Recap:
    """One game.

    Attributes:
        episode: the record itself.
        roles, teams: of every agent id.
        agents: agent id of every display name.
        nights: each night's choices as the game took them, unreadable ones too.
        days: in order.
        shots: hunters' shots, unreadable ones left out.
        talk: every public request to speak: discussion and last words, silence too.
    """

    episode: Episode
    roles: dict[str, str]
    teams: dict[str, str]
    agents: dict[str, str]
    nights: list[list[Choice]] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    shots: list[Choice] = field(default_factory=list)
    talk: list[Turn] = field(default_factory=list)

    def is_wolf(self, agent: str | None) -> bool:
        """Whether the agent is a werewolf; the possessed of their team are not."""
        return agent is not None and self.roles[agent] in WOLVES

    def is_villager(self, agent: str) -> bool:
        """Whether the agent is of the village's team, whatever its role."""
        return self.teams[agent] == "village"

    def died(self, cause: str, day: int) -> set[str]:
        """Who died of ``cause`` on a day or in its night, counted from 1."""
        return {
            death["agent"]
            for death in self.episode.outcome["deaths"]
            if death["cause"] == cause and death["day"] == day
        }


def recap(episode: Episode) -> Recap:
    """Read one finished game of Werewolf.

    Nights and days are told by the phases of their stages. Last words and shots
    begin neither: they belong to whatever comes before them.

    Raises:
        EpisodeError: it is another game.
    """
    if episode.env != "werewolf_v0":
        raise EpisodeError(
            f"Werewolf's measures cannot read a game of {episode.env!r}: leave it out"
        )
    game = Recap(
        episode,
        roles={seat.agent: seat.role or "" for seat in episode.seats},
        teams=dict(episode.outcome["teams"]),
        agents={seat.name: seat.agent for seat in episode.seats},
    )
    acts: dict[int, list[Turn]] = defaultdict(list)
    for turn in episode.turns:
        acts[turn.turn].append(turn)
    by_night: bool | None = None
    # A first day without talk and vote has no stage: two nights then follow each other.
    config = episode.config
    bare = config.get("discussion_rounds") == 0 and config.get("first_day_vote") is False
    label = ""
    voted = False
    for stage in episode.stages:
        if stage.phase in BY_NIGHT and (by_night is not True or (bare and stage.label != label)):
            by_night, label = True, stage.label
            game.nights.append([])
        elif stage.phase in BY_DAY and by_night is not False:
            by_night = voted = False
            game.days.append(Day())
        if stage.phase != "vote" or not voted:
            _read_stage(game, stage.phase, acts[stage.turn])
        voted = voted or stage.phase == "vote"
    return game


def _read_stage(game: Recap, phase: str, turns: list[Turn]) -> None:
    if phase in PUBLIC_TALK:
        game.talk.extend(turns)
    if phase == "discussion":
        game.days[-1].speeches.extend(_speech(game, turn) for turn in turns if turn.text)
    elif phase == "night":
        game.nights[-1].extend(_choice(game, turn) for turn in turns)
    elif phase == "vote":
        game.days[-1].votes.extend(_choice(game, turn) for turn in turns if turn.valid)
    elif phase == "shot":
        game.shots.extend(_choice(game, turn) for turn in turns if turn.valid)


def _speech(game: Recap, turn: Turn) -> Speech:
    named = read_accusations(turn.text, tuple(game.agents))
    accused = (game.agents[name] for name in named)
    return Speech(turn.turn, turn.agent, tuple(a for a in accused if a != turn.agent))


def _choice(game: Recap, turn: Turn) -> Choice:
    candidates = (game.agents.get(choice) for choice in turn.request.choices)
    return Choice(
        turn.agent,
        game.agents.get(turn.text),
        frozenset(agent for agent in candidates if agent is not None),
        turn.valid,
    )
