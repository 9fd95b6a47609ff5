"""Of every n seats that can be compared the best is kept, and no side outnumbers another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_envs.errors import ConfigError
from omar_envs.types import SCHEMA_VERSION, Episode, Seat
from omar_trainers.best_of import best_of

Paid = dict[str, float | None]


def game(
    paid: Paid,
    *,
    seed: int = 0,
    roles: dict[str, str] | None = None,
    config: dict[str, Any] | None = None,
) -> Episode:
    """An episode of which only the deal and the rewards count."""
    return Episode(
        schema_version=SCHEMA_VERSION,
        env="werewolf_v0",
        config=config or {},
        seed=seed,
        seats=tuple(Seat(agent, agent, (roles or {}).get(agent)) for agent in paid),
        stages=(),
        messages=(),
        turns=(),
        rewards={agent: {"outcome": value} for agent, value in paid.items()},
        outcome={"teams": {"a": "red", "b": "blue", "c": "blue"}},
        terminated=True,
        truncated=False,
    )


def kept(episodes: list[Episode], n: int, **settings: Any) -> list[tuple[int, str]]:
    chosen = best_of(episodes, n, **settings)
    assert (
        len(chosen.kept)
        + chosen.unscored
        + chosen.below_minimum
        + chosen.beaten
        + (chosen.unbalanced)
        == chosen.seats
    )
    return [(candidate.episode, candidate.agent) for candidate in chosen.kept]


def test_seats_of_one_deal_are_compared_agent_by_agent() -> None:
    games = [game({"a": 0.1, "b": 0.9}), game({"a": 0.4, "b": 0.2}), game({"a": 0.3, "b": 0.5})]
    assert kept(games, 3) == [(0, "b"), (1, "a")]
    # Another deal of the same game is compared only with its like.
    other = [game({"a": 5.0, "b": 5.0}, seed=1), game({"a": 6.0, "b": 4.0}, seed=1)]
    assert kept(games + other, 3) == [(0, "b"), (1, "a"), (3, "b"), (4, "a")]


def test_where_every_deal_is_new_roles_are_compared() -> None:
    """The wolf of one game stands against the wolf of another, wherever it sits."""
    games = [
        game({"a": 1.0, "b": 0.2}, seed=0, roles={"a": "wolf", "b": "seer"}),
        game({"a": 0.3, "b": 0.5}, seed=1, roles={"a": "seer", "b": "wolf"}),
    ]
    assert kept(games, 2) == [(0, "a"), (1, "a")]


def test_where_every_game_has_its_own_scenario_so_are_roles_of_others() -> None:
    games = [game({"a": x / 4}, seed=x, config={"scenario": x}) for x in range(4)]
    assert kept(games, 2) == [(1, "a"), (3, "a")]


def test_of_equals_the_earliest_is_kept() -> None:
    assert kept([game({"a": 1.0}) for _ in range(4)], 2) == [(0, "a"), (2, "a")]


def test_what_is_not_scored_is_not_kept() -> None:
    games = [game({"a": None, "b": 0.1}), game({"a": -1.0, "b": None})]
    assert kept(games, 2) == [(0, "b"), (1, "a")]


def test_a_least_return() -> None:
    games = [game({"a": x / 10}, seed=x) for x in range(10)]
    assert kept(games, 1, min_return=0.75) == [(8, "a"), (9, "a")]
    # Of the pairs 6, 7 and 8, 9 the best are good enough; of the others they are not.
    assert kept(games, 2, min_return=0.65) == [(7, "a"), (9, "a")]


def test_balance_keeps_the_same_share_of_every_side() -> None:
    """Reds win one game in four: with a least return they would be one kept seat in four."""
    games = [
        game({"a": float(i % 4 == 0), "b": float(i % 4 != 0) + i / 1000}, seed=i) for i in range(40)
    ]

    def sides(balance: Any) -> Counter[str]:
        return Counter(agent for _, agent in kept(games, 1, min_return=0.5, balance=balance))

    assert sides("none") == {"a": 10, "b": 30}
    assert sides("role") == sides("team") == {"a": 10, "b": 10}
    best = [number for number, agent in kept(games, 1, min_return=0.5) if agent == "b"]
    assert best == [i for i in range(40) if i % 4][-10:]


def test_balance_goes_by_shares_not_by_numbers() -> None:
    """Two of three seats are blue, so two of three kept ones are."""
    games = [game({"a": float(i < 4), "b": 1.0, "c": 1.0}, seed=i) for i in range(12)]
    chosen = best_of(games, 1, min_return=0.5, balance="team")
    assert Counter(candidate.team for candidate in chosen.kept) == {"red": 4, "blue": 8}


@pytest.mark.parametrize(
    ("games", "settings", "message"),
    [
        ([], {}, "no episode"),
        ([game({"a": None})], {}, "none of the 1 seats is scored"),
        ([game({"a": 0.25})], {"min_return": 1.0}, "the best was paid 0.25"),
        ([game({"a": 0.0, "b": 1.0})], {"min_return": 0.5}, "no seat of role a"),
        ([game({"a": 0.0})], {"n": 0}, "at least 1"),
    ],
)
def test_when_nothing_is_left_it_says_why(
    games: list[Episode], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        best_of(games, **({"n": 2} | settings))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(-1, 1), st.one_of(st.none(), st.floats(-1, 1))),
        min_size=1,
        max_size=30,
    ),
    st.integers(1, 6),
)
def test_nobody_kept_is_worse_than_all_its_like(
    played: list[tuple[int, float, float | None]], n: int
) -> None:
    games = [game({"a": a, "b": b}, seed=seed) for seed, a, b in played]
    chosen = best_of(games, n, balance="none")
    scored = chosen.seats - chosen.unscored
    # One of every n to 2n - 1, of smaller pools the best.
    assert scored / (2 * n - 1) <= len(chosen.kept)
    assert n > 1 or len(chosen.kept) == scored
    for agent in ("a", "b"):
        returns = [g.total_reward(agent) for g in games if g.rewards[agent]["outcome"] is not None]
        mine = [c.episode_return for c in chosen.kept if c.agent == agent]
        if returns:
            assert max(returns) == max(mine)
            assert sum(mine) / len(mine) >= min(returns)
