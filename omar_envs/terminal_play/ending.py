"""How a game ended, in words: the outcome, who was who, what was paid, and where it is kept."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from omar_envs.types import Episode


class SeatEnding(NamedTuple):
    """One seat after the game.

    Attributes:
        name: display name.
        role: "" where the game has no roles.
        fate: what became of it; "" where the game does not say.
        policy: what played it.
        pay: its reward by component, in the order of :attr:`Ending.components`.
        total: its reward.
        you: whether it is the person's.
    """

    name: str
    role: str
    fate: str
    policy: str
    pay: tuple[str, ...]
    total: str
    you: bool


class Ending(NamedTuple):
    """A finished game, for reading.

    Attributes:
        verdict: what it means for the person.
        outcome: what came of it, a line each.
        components: names of the parts of the reward.
        seats: in seat order.
        kept: where the episode is, and what can be done with it, a line each.
    """

    verdict: str
    outcome: tuple[str, ...]
    components: tuple[str, ...]
    seats: tuple[SeatEnding, ...]
    kept: tuple[str, ...]

    def text(self) -> str:
        """All of it as plain lines."""
        (mine,) = (seat for seat in self.seats if seat.you)
        parts = zip(self.components, mine.pay, strict=True)
        roles = [f"{seat.name} {seat.role}" for seat in self.seats if seat.role]
        return "\n".join(
            [
                "",
                self.verdict,
                *self.outcome,
                *([f"Who was who: {', '.join(roles)}"] if roles else []),
                *(f"{seat.name}: {_listed(seat.fate, seat.total)}" for seat in self.seats),
                f"Your reward: {mine.total} ({', '.join(' '.join(part) for part in parts)})",
                *self.kept,
            ]
        )


def ending(episode: Episode, agent: str, out: Path, again: Sequence[str]) -> Ending:
    """What to tell the person in the seat ``agent``.

    Args:
        episode: the finished game.
        agent: the person's seat.
        out: where the episode was written.
        again: words of the command that plays the same game from the beginning.
    """
    components = tuple(dict.fromkeys(part for paid in episode.rewards.values() for part in paid))
    page = out.with_suffix(".html")
    return Ending(
        verdict=_verdict(episode, agent),
        outcome=tuple(_outcome(episode)),
        components=components,
        seats=tuple(
            SeatEnding(
                name=seat.name,
                role=seat.role or "",
                fate=_fate(episode, seat.agent),
                policy=seat.policy,
                pay=tuple(_number(episode.rewards[seat.agent].get(part)) for part in components),
                total=f"{episode.total_reward(seat.agent):+.2f}",
                you=seat.agent == agent,
            )
            for seat in episode.seats
        ),
        kept=(
            f"Saved in {out}",
            f"Watch it: {shlex.join(['omar-envs', 'replay', str(out), '-o', str(page)])}",
            f"The same game again: {shlex.join(again)}",
        ),
    )


def _listed(fate: str, total: str) -> str:
    return f"{fate}, reward {total}" if fate else f"reward {total}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.2f}"


def _fate(episode: Episode, agent: str) -> str:
    outcome = episode.outcome
    if episode.env == "sotopia_v0":
        return "left" if agent in outcome["left"] else "stayed"
    if episode.env != "werewolf_v0":
        return ""
    for death in outcome["deaths"]:
        if death["agent"] == agent:
            return f"{_words(death['cause'])}, day {death['day']}"
    return "lived"


def _verdict(episode: Episode, agent: str) -> str:
    outcome = episode.outcome
    if episode.env == "werewolf_v0":
        if outcome["winner"] is None:
            return "Nobody has won."
        return "You have won." if outcome["teams"][agent] == outcome["winner"] else "You have lost."
    if episode.env != "sotopia_v0":
        return "The game is over."
    if "scores" in outcome:
        return (
            f"This was worth {outcome['points'][agent]:g} points to you, "
            f"a score of {outcome['scores'][agent]:.2f} out of 1."
        )
    return "The conversation is over; nothing in it is computed, and nobody judged it."


def _outcome(episode: Episode) -> list[str]:
    outcome = episode.outcome
    if episode.env == "werewolf_v0":
        won = "No winner" if outcome["winner"] is None else f"Winner: {outcome['winner']}"
        return [f"{won} ({_words(outcome['reason'])}); days: {outcome['days']}."]
    if episode.env != "sotopia_v0":
        return [f"{_words(key)}: {_words(value)}" for key, value in outcome.items()]
    told = [f"How it ended: {_words(outcome['reason'])}; turns: {outcome['turns']}."]
    if "scores" in outcome:
        told += [
            f"{seat.name}: {outcome['points'][seat.agent]:g} points, "
            f"score {outcome['scores'][seat.agent]:.2f}"
            for seat in episode.seats
        ]
    return told


def _words(value: object) -> str:
    return str(value).replace("_", " ")
