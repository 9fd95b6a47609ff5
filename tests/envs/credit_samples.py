"""Token data and judgements made by hand, for tests of what shows them."""

from __future__ import annotations

from omar_envs.judge.saved import JudgedEpisode
from omar_envs.replay import (
    TOKEN_DATA_VERSION,
    EpisodeTokens,
    SeatTokens,
    TurnTokens,
    episode_key,
)
from omar_envs.types import Episode, JudgeResult


def tokens_of(episode: Episode) -> EpisodeTokens:
    """A token for each word of each reply, and one that ends it. The turn's advantage falls
    from act to act; the first half of its tokens has the other sign."""
    seats = []
    for seat in episode.seats:
        turns = []
        for number, act in enumerate(episode.turns_of(seat.agent)):
            words = [f"{word} " for word in act.reply.split(" ")]
            tokens = (*words, "<|end|>")
            own = 0.5 - 0.25 * number
            half = len(tokens) // 2
            turns.append(
                TurnTokens(
                    tokens,
                    tuple(-own if place < half else own for place in range(len(tokens))),
                    tuple(0.1 * place - 0.2 for place in range(len(tokens))),
                    own,
                    act.reward_components.get("outcome"),
                    number != 1,
                )
            )
        seats.append(SeatTokens(seat.agent, tuple(turns)))
    return EpisodeTokens(TOKEN_DATA_VERSION, episode_key(episode), "hierarchical", tuple(seats))


def judged(episode: Episode, result: JudgeResult, setup: str = "a judge") -> JudgedEpisode:
    """A line of a file of judgements."""
    return JudgedEpisode(0, episode_key(episode), setup, result)


def sound(episode: Episode) -> JudgeResult:
    """A judgement with a reason for each score, of which each names its seat."""
    agents = [seat.agent for seat in episode.seats]
    return JudgeResult(
        "ok",
        {agent: {"goal": 7.0, "secret": -2.5} for agent in agents},
        {agent: {"goal": f"GOAL-OF-{agent}", "secret": f"SECRET-OF-{agent}"} for agent in agents},
        "Judge-1B",
        "sotopia-1",
        "2026-11-01T10:00:00+00:00",
    )
