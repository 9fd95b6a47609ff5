"""What players do with the talk: who claims, who is believed, who follows.

Counted from finished episodes by the small grammar of ``claims``; shares are
``hits / chances`` with both kept, so that intervals can be given. Votes are those
of each day's first ballot; a day of talk that no vote follows counts for
``talk_in_grammar`` alone. For talk in plainer English, and all else that a game
shows, see :mod:`omar_envs.werewolf.measures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import NamedTuple

from omar_envs.types import Episode, Turn
from omar_envs.werewolf.claims import Said, read_speech
from omar_envs.werewolf.measures import MEASURES, markdown, measure

__all__ = ["MEASURES", "PROBES", "Share", "markdown", "measure", "probe"]


class Share(NamedTuple):
    """``hits`` of ``chances``."""

    hits: int
    chances: int

    @property
    def value(self) -> float | None:
        """The share, ``None`` without a chance."""
        return self.hits / self.chances if self.chances else None


PROBES: dict[str, str] = {
    "seer_claims": "living seers who claim to be the seer, per day of talk",
    "seer_reports_wolf": "seers who know a living wolf and name it in public, per day of talk",
    "seer_votes_known_wolf": "votes of seers who know a living wolf, cast against it",
    "wolf_claims_seer": "living wolves who claim to be the seer, per day of talk",
    "villager_claims_seer": "others of the village who claim to be the seer, per day of talk",
    "true_claim_followed": "villagers' votes for the wolf that the seer named that day",
    "false_claim_followed": "villagers' votes for the player that a wolf posing as seer named",
    "village_votes_hit_wolf": "votes of the village that name a wolf",
    "talk_in_grammar": "speeches that claim anything the probes can read",
}
"""Every probe and what it counts."""


def probe(episodes: Iterable[Episode]) -> dict[str, Share]:
    """All of :data:`PROBES` over some Werewolf episodes."""
    hits = dict.fromkeys(PROBES, 0)
    chances = dict.fromkeys(PROBES, 0)
    for episode in episodes:
        for name, hit in _observations(episode):
            chances[name] += 1
            hits[name] += hit
    return {name: Share(hits[name], chances[name]) for name in PROBES}


class _Seats(NamedTuple):
    names: dict[str, str]
    roles: dict[str, str]
    wolves: frozenset[str]
    village: frozenset[str]


def _observations(episode: Episode) -> Iterator[tuple[str, bool]]:
    seats = _Seats(
        names={seat.agent: seat.name for seat in episode.seats},
        roles={seat.agent: seat.role or "" for seat in episode.seats},
        wolves=frozenset(s.name for s in episode.seats if s.role == "werewolf"),
        village=frozenset(a for a, team in episode.outcome["teams"].items() if team == "village"),
    )
    players = tuple(seats.names.values())
    phases = {stage.turn: stage.phase for stage in episode.stages}
    known: dict[str, set[str]] = {}
    today: dict[str, list[Said]] = {}
    ballot: int | None = None
    nights_before = dict(zip(phases, accumulate(map("night".__eq__, phases.values())), strict=True))
    nights = 0
    for turn in episode.turns:
        phase = phases[turn.turn]
        if nights_before[turn.turn] != nights:
            nights = nights_before[turn.turn]
            today = {}
            ballot = None
        if phase == "night":
            if seats.roles[turn.agent] == "seer" and turn.text in seats.wolves:
                known.setdefault(turn.agent, set()).add(turn.text)
        elif phase == "discussion":
            said = read_speech(seats.names[turn.agent], turn.text, players)
            today.setdefault(turn.agent, []).append(said)
            yield "talk_in_grammar", bool(said.claims_seer or said.findings or said.suspicions)
        elif phase == "vote" and ballot in (None, turn.turn):
            ballot = turn.turn
            living = {*turn.request.choices, seats.names[turn.agent]}
            yield from _at_the_vote(turn, today, seats, known.get(turn.agent, set()) & living)


def _at_the_vote(
    turn: Turn, today: dict[str, list[Said]], seats: _Seats, known: set[str]
) -> Iterator[tuple[str, bool]]:
    role = seats.roles[turn.agent]
    own = today.get(turn.agent, [])
    village = turn.agent in seats.village
    if own and (village or role == "werewolf"):
        claims = any(said.claims_seer for said in own)
        kind = {"seer": "seer_claims", "werewolf": "wolf_claims_seer"}
        yield kind.get(role, "villager_claims_seer"), claims
    if role == "seer" and known:
        named = {finding.target for said in own for finding in said.findings if finding.wolf}
        if own:
            yield "seer_reports_wolf", bool(named & known)
        yield "seer_votes_known_wolf", turn.text in known
    if village:
        yield "village_votes_hit_wolf", turn.text in seats.wolves
    if village and role != "seer":
        for agent, lines in today.items():
            for target in {f.target for s in lines if s.claims_seer for f in s.findings if f.wolf}:
                if target == seats.names[turn.agent]:
                    continue
                if seats.roles[agent] == "seer" and target in seats.wolves:
                    yield "true_claim_followed", turn.text == target
                elif seats.roles[agent] == "werewolf":
                    yield "false_claim_followed", turn.text == target
