"""Sample games with what every token of them was credited, for ``omar-envs replay``.

Beside a game's text lie the episode itself and its token data, in the layout of
:mod:`omar_envs.replay.token_data`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from omar_envs.replay import (
    TOKEN_DATA_SUFFIX,
    TOKEN_DATA_VERSION,
    EpisodeTokens,
    SeatTokens,
    TurnTokens,
    episode_key,
    write_token_data,
)
from omar_envs.transcript import write_episodes
from omar_trainers.seat_rows import SeatRow, SelfPlayRound
from omar_trainers.targets import Credit

_DIGITS = 5
_INCOMPLETE = "\ufffd"
"""Stands where the bytes of a character are not complete."""


def write_credited_games(
    path: Path,
    played: SelfPlayRound,
    games: int,
    credit: Credit,
    tokenizer: PreTrainedTokenizerBase,
    estimator: str,
) -> None:
    """Write the first games of a round, and their token data beside them.

    What was there is replaced. Rows that stand for no seat have no token data.

    Args:
        path: of the episodes, ending in ``.jsonl``.
        played: the round.
        games: how many of it.
        credit: of the round's rows.
        tokenizer: that the rows' tokens are of.
        estimator: what gave the advantages.

    Raises:
        EpisodeError: an episode cannot be written, or the disk does not take it.
    """
    seats = len(played.rows) // max(1, len(played.episodes))
    shown = played.episodes[:games]
    known = [
        EpisodeTokens(
            TOKEN_DATA_VERSION,
            episode_key(episode),
            estimator,
            tuple(
                SeatTokens(row.facts.agent, _turns(row, credit.row(index), tokenizer))
                for index, row in enumerate(played.rows[: games * seats])
                if index // seats == game and not row.facts.is_dummy
            ),
        )
        for game, episode in enumerate(shown)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_episodes(path, shown)
    write_token_data(path.with_name(path.stem + TOKEN_DATA_SUFFIX), known)


def token_texts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> tuple[str, ...]:
    """Text of each token, special ones included; joined they are the text of all.

    A token that ends inside a character has the text "", and the one that completes it
    the whole character.
    """

    def decode(part: Sequence[int]) -> str:
        return tokenizer.decode(
            list(part), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )

    texts = []
    # A token's text may depend on the one before it, as with leading spaces.
    before, start = 0, 0
    for end in range(1, len(ids) + 1):
        known, text = decode(ids[before:start]), decode(ids[before:end])
        if text.endswith(_INCOMPLETE) and end < len(ids):
            texts.append("")
            continue
        texts.append(text[len(known) :])
        before, start = start, end
    return tuple(texts)


def _turns(
    row: SeatRow, credit: Credit, tokenizer: PreTrainedTokenizerBase
) -> tuple[TurnTokens, ...]:
    advantages = credit.advantages.tolist()
    values = None if credit.values is None else credit.values.tolist()
    of_turns = None if credit.turn_advantages is None else credit.turn_advantages.tolist()
    turns = []
    for turn, reward in enumerate(row.turn_rewards):
        places = [t for t, of in enumerate(row.turn_index) if of == turn]
        turns.append(
            TurnTokens(
                tokens=token_texts(tokenizer, [row.completion_ids[t] for t in places]),
                advantages=tuple(_rounded(advantages[t]) for t in places),
                values=() if values is None else tuple(_rounded(values[t]) for t in places),
                advantage=None if of_turns is None else _rounded(of_turns[turn]),
                reward=_rounded(reward),
                learned=row.learned and row.keep_turn[turn],
            )
        )
    return tuple(turns)


def _rounded(value: float) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
