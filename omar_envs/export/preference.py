"""Preference pairs: two replies to the same prompt, of which one led to a win and one did not.

A pair is legal where all of this holds, and every legal pair is found:

- Two games are of one deal: same environment, same settings, same seed. So the same seat
  has the same role, name and secrets in both.
- The seat did better in one of them. Where a game names a winner, it won one and lost the
  other; a draw is neither. Where games have no winners, as conversations have none, it was
  paid more in one, by at least ``min_gap``, and both rewards are known in full.
- What the seat had read and said is the same in both, message for message, up to one of
  its own acts, and there the replies differ. That act is the pair: later ones answer
  different conversations.
- No two games of the deal say the opposite of the same two replies.

A pair that several games of a deal give is one row. Nothing is made up: each text was
generated in a recorded game. That one reply *led* to the better end is not known of any
single pair; the act after which two equal games parted is merely where the cause can lie.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from omar_envs.errors import ConfigError
from omar_envs.export.filters import KEPT, Filters
from omar_envs.export.rows import Row, about_act, split_at
from omar_envs.export.seats import PlayedSeat
from omar_envs.types import ChatMessage, Episode

MIN_GAP = 0.1
"""Least difference of rewards that counts, where games have no winner."""


class Deal(NamedTuple):
    """The pairs of one deal, and how many pairs of games gave none, by reason."""

    rows: list[Row]
    dropped: Counter[str]


class _Pair(NamedTuple):
    chosen: PlayedSeat
    rejected: PlayedSeat
    act: int


def deal_of(episode: Episode) -> str:
    """Equal for two games that began alike: environment, settings and seed."""
    config = json.dumps(episode.config, sort_keys=True)
    return hashlib.sha256(f"{episode.env} {episode.seed} {config}".encode()).hexdigest()


def check_filters(filters: Filters) -> None:
    """Refuse what would leave no pair.

    Raises:
        ConfigError: only one kind of result is wanted, and a pair needs two.
    """
    if filters.results or filters.max_reward is not None:
        raise ConfigError(
            "a preference pair is made of a game that was won and one that was lost: leave out "
            "the filters by result and by max_reward (min_reward is asked of the chosen one)"
        )


def deal_pairs(games: Sequence[Sequence[PlayedSeat]], filters: Filters, min_gap: float) -> Deal:
    """Every legal pair of the games of one deal.

    Args:
        games: the seats of each, of which some may have been left out.
        filters: those that ask for sound acts and for a least reward are held against the
            chosen reply and its game.
        min_gap: as in the module's text.
    """
    dropped: Counter[str] = Counter()
    by_agent: dict[str, list[PlayedSeat]] = defaultdict(list)
    for seats in games:
        for seat in seats:
            by_agent[seat.agent].append(seat)
    found: dict[tuple[str, str, str, str], _Pair] = {}
    for seats in by_agent.values():
        for one, other in combinations(seats, 2):
            pair = _pair(one, other, min_gap)
            reason = pair if isinstance(pair, str) else _chosen_reason(pair, filters)
            if isinstance(pair, str) or reason:
                dropped[reason] += 1
                continue
            key = _key(pair)
            dropped["repeated"] += key in found
            found.setdefault(key, pair)
    contradicted = {key for key in found if (*key[:2], key[3], key[2]) in found}
    dropped["contradicted"] += len(contradicted)
    rows = [_row(pair) for key, pair in found.items() if key not in contradicted]
    return Deal(rows, +dropped)


def _pair(one: PlayedSeat, other: PlayedSeat, min_gap: float) -> _Pair | str:
    """The pair that two games of a seat give, or why they give none."""
    order = _order(one, other, min_gap)
    if isinstance(order, str):
        return order
    act = _parting(one.messages, other.messages)
    if act is None:
        return "no_common_prompt"
    return _Pair(*order, act)


def _order(
    one: PlayedSeat, other: PlayedSeat, min_gap: float
) -> tuple[PlayedSeat, PlayedSeat] | str:
    """The better one first."""
    results = {one.result: one, other.result: other}
    if "" not in results:
        if results.keys() != {"won", "lost"}:
            return "same_result"
        return results["won"], results["lost"]
    if one.reward is None or other.reward is None:
        return "unjudged"
    gap = one.reward - other.reward
    if gap == 0 or abs(gap) < min_gap:
        return "same_result"
    return (one, other) if gap > 0 else (other, one)


def _parting(one: Sequence[ChatMessage], other: Sequence[ChatMessage]) -> int | None:
    """Number of the reply at which two chats part; None if they part elsewhere, or never."""
    act = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            return act if mine["role"] == theirs["role"] == "assistant" else None
        act += mine["role"] == "assistant"
    return None


def _chosen_reason(pair: _Pair, filters: Filters) -> str:
    reward = pair.chosen.reward
    if filters.min_reward is not None and (reward is None or reward < filters.min_reward):
        return "reward" if reward is not None else "unjudged"
    if not all(split_at(seat.messages, pair.act)[1]["content"] for seat in pair[:2]):
        return "empty"
    return filters.act_reasons([pair.chosen])[pair.chosen.agent][pair.act] or KEPT


def _key(pair: _Pair) -> tuple[str, str, str, str]:
    prompt, chosen = split_at(pair.chosen.messages, pair.act)
    _, rejected = split_at(pair.rejected.messages, pair.act)
    digest = hashlib.sha256(json.dumps(prompt).encode()).hexdigest()
    return pair.chosen.agent, digest, chosen["content"], rejected["content"]


def _row(pair: _Pair) -> Row:
    prompt, chosen = split_at(pair.chosen.messages, pair.act)
    _, rejected = split_at(pair.rejected.messages, pair.act)
    seat = pair.chosen
    return {
        "prompt": prompt,
        "chosen": [chosen],
        "rejected": [rejected],
        "env": seat.episode.env,
        "seed": seat.episode.seed,
        "agent": seat.agent,
        "name": seat.seat.name,
        "role": seat.seat.role or "",
        "team": seat.team,
        **about_act(seat, pair.act),
        "chosen_episode": seat.number,
        "rejected_episode": pair.rejected.number,
        "chosen_reward": seat.reward,
        "rejected_reward": pair.rejected.reward,
    }


def deals(episodes: Iterator[Episode]) -> dict[str, list[int]]:
    """Numbers of the episodes of each deal, in the order in which deals first appear."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, episode in enumerate(episodes):
        found[deal_of(episode)].append(number)
    return dict(found)
