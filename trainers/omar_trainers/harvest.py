"""What recorded episodes give to learn from: the best seats' rows, turn by turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from omar_envs.errors import ConfigError
from omar_envs.types import Episode
from omar_trainers.best_of import Candidate, best_of
from omar_trainers.cold_start_config import ColdStartConfig
from omar_trainers.filters import KEPT, dropped_by_rules
from omar_trainers.replayed_rows import replayed_rows
from omar_trainers.sft import IGNORED, Example, labelled
from omar_trainers.tokens import ChatTokenizer

MOST_UNKNOWN = 0.1
"""Largest share of the tokens to learn that may be the tokenizer's unknown one."""

INVALID = "invalid"
"""Reason of an act that is not learned because the environment could not read it."""


@dataclass(frozen=True)
class Harvest:
    """What recorded episodes gave to learn from, and what became of the rest.

    Attributes:
        episodes, seats: as recorded.
        unscored, below_minimum, beaten, unbalanced: seats not kept, as in
            :class:`~omar_trainers.best_of.Selection`.
        rows: seats learned from, by role.
        empty_rows: kept seats without a turn to learn.
        truncated_rows: rows whose later turns did not fit.
        turns: learned.
        dropped_turns: by reason, :data:`INVALID` among them.
        tokens: of all rows, prompts included.
        learned_tokens: of these, those that are learned.
        unknown_tokens: of these, those that are the tokenizer's unknown one.
        mean_return: of the seats learned from, and of all that are scored.
    """

    episodes: int
    seats: int
    unscored: int
    below_minimum: int
    beaten: int
    unbalanced: int
    rows: dict[str, int]
    empty_rows: int
    truncated_rows: int
    turns: int
    dropped_turns: dict[str, int]
    tokens: int
    learned_tokens: int
    unknown_tokens: int
    mean_return: tuple[float, float]

    def text(self) -> str:
        """A few lines for people."""
        by_role = ", ".join(f"{number} {role}" for role, number in self.rows.items())
        dropped = ", ".join(f"{n} {reason}" for reason, n in self.dropped_turns.items() if n)
        mine, everybody = self.mean_return
        return (
            f"{self.episodes} episodes, {self.seats} seats: {sum(self.rows.values())} kept "
            f"({by_role}), mean return {mine:.3f} against {everybody:.3f} of all\n"
            f"not kept: {self.beaten} beaten, {self.below_minimum} below min_return, "
            f"{self.unbalanced} for balance, {self.unscored} unscored, {self.empty_rows} without a "
            f"turn to learn; {self.truncated_rows} rows cut at a turn to fit\n"
            f"{self.turns} turns learned, {dropped or 'none'} dropped; {self.learned_tokens} of "
            f"{self.tokens} tokens learned"
        )


def harvest(
    episodes: Sequence[Episode], tokens: ChatTokenizer, config: ColdStartConfig, max_context: int
) -> tuple[list[Example], Harvest]:
    """The rows to learn from.

    Args:
        episodes: recorded.
        tokens: of the model that shall learn.
        config: what is kept.
        max_context: longest row, in tokens.

    Raises:
        ConfigError: nothing is left to learn, or too much of it is unknown to the
            tokenizer.
        EpisodeError: an episode does not replay.
    """
    chosen = best_of(episodes, config.best_of, min_return=config.min_return, balance=config.balance)
    seats: dict[int, list[str]] = {}
    for candidate in chosen.kept:
        seats.setdefault(candidate.episode, []).append(candidate.agent)
    rows = replayed_rows(episodes, seats, tokens, max_context=max_context)
    reasons = {number: _reasons(episodes[number], config) for number in seats}
    unknown = tokens.tokenizer.unk_token_id
    examples: list[Example] = []
    learned: list[Candidate] = []
    turns: Counter[str] = Counter()
    for candidate in chosen.kept:
        row = rows[candidate.episode, candidate.agent]
        seen = reasons[candidate.episode][candidate.agent][: max(row.turn_index, default=-1) + 1]
        example = labelled(row, [reason == KEPT for reason in seen])
        turns.update(seen)
        if example is not None:
            examples.append(example)
            learned.append(candidate)
    labels = [label for each in examples for label in each["labels"] if label != IGNORED]
    scored = [
        episode.total_reward(seat.agent)
        for episode in episodes
        for seat in episode.seats
        if None not in episode.rewards[seat.agent].values()
    ]
    found = Harvest(
        episodes=len(episodes),
        seats=chosen.seats,
        unscored=chosen.unscored,
        below_minimum=chosen.below_minimum,
        beaten=chosen.beaten,
        unbalanced=chosen.unbalanced,
        rows=dict(sorted(Counter(candidate.role for candidate in learned).items())),
        empty_rows=len(chosen.kept) - len(learned),
        truncated_rows=sum(row.truncated for row in rows.values()),
        turns=turns.pop(KEPT, 0),
        dropped_turns=dict(sorted(turns.items())),
        tokens=sum(len(each["input_ids"]) for each in examples),
        learned_tokens=len(labels),
        unknown_tokens=0 if unknown is None else labels.count(unknown),
        mean_return=(
            sum(candidate.episode_return for candidate in learned) / max(1, len(learned)),
            sum(scored) / len(scored),
        ),
    )
    _check(found, max_context)
    return examples, found


def _reasons(episode: Episode, config: ColdStartConfig) -> dict[str, list[str]]:
    """Per agent, why each of its acts is not learned."""
    by_rules = dropped_by_rules(episode, config.rules) if config.turn_filter == "rules" else None
    reasons = {}
    for seat in episode.seats:
        turns = episode.turns_of(seat.agent)
        ruled = by_rules[seat.agent] if by_rules is not None else [KEPT] * len(turns)
        reasons[seat.agent] = [
            why if turn.valid else INVALID for turn, why in zip(turns, ruled, strict=True)
        ]
    return reasons


def _check(found: Harvest, max_context: int) -> None:
    if not found.learned_tokens:
        raise ConfigError(
            f"nothing is left to learn: {'; '.join(found.text().splitlines())}. Lower best_of, "
            f"loosen the turn filter, or, if rows do not fit into {max_context} tokens, raise "
            "max_row_tokens"
        )
    if found.unknown_tokens > MOST_UNKNOWN * found.learned_tokens:
        raise ConfigError(
            f"{found.unknown_tokens} of the {found.learned_tokens} tokens to learn are unknown to "
            "the model's tokenizer: these episodes are not in its words. Take another model, or "
            "episodes of the game that it was made for"
        )
