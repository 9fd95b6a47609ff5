"""What is measured in an iteration, and where it is written.

Names: ``win/`` share of games per winner (of those that no past model played in),
``return/`` per role, ``team_return/`` per team, ``reward/`` per component, ``game/``
and ``row/`` shape and health of the games, ``judge/`` what judging costs per game,
``pool/`` the live model's share of the points against past ones, ``entropy``,
``policy/``, ``advantage/`` and ``critic/`` the update (means over own tokens that are
learned from; ``policy/skipped`` is 1 in an iteration that had none, which is left out),
``filter/``, ``alarm/`` and ``watch/`` what watches over the run, ``time/`` seconds of
each phase (a checkpoint's count to the iteration after it), ``play/`` sampled tokens
and ``score/`` and ``train/`` tokens of rows per second and process.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from omar_envs.judging import JUDGE
from omar_envs.metering import Usage
from omar_envs.types import SPEAK, Episode
from omar_trainers.game_plans import SeatKey
from omar_trainers.moments import Spread, gather_spreads
from omar_trainers.resuming.files import atomic_write
from omar_trainers.seat_rows import SelfPlayRound

METRICS_FILE = "metrics.jsonl"
NO_WINNER = "nobody"
_NOBODY_WON = f"win/{NO_WINNER}"


def is_replaced(name: str) -> bool:
    """Whether what TRL logs under this name would mislead here.

    Seats of one game are no group of answers to one question; dummy rows count
    among its completions; a row's last token does not say whether it was
    truncated; and its means over tokens weigh every batch alike, however few of
    the batch's tokens are the seats' own.
    """
    return name in ("reward", "reward_std", "frac_reward_zero_std", "entropy", "kl") or (
        name.startswith(("rewards/", "completions/", "clip_ratio/", "cispo_clip_ratio"))
    )


class Mean(NamedTuple):
    """A mean still to be taken: over processes, sums and counts are added first."""

    total: float
    count: float

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else math.nan


def add_means(parts: Iterable[Mapping[str, Mean]]) -> dict[str, Mean]:
    """The means over all parts together, by name."""
    sums: dict[str, Mean] = {}
    for part in parts:
        for name, mean in part.items():
            known = sums.get(name, Mean(0.0, 0.0))
            sums[name] = Mean(known.total + mean.total, known.count + mean.count)
    if _NOBODY_WON in sums:
        # A process names only the winners that it saw, and nobody in any case.
        games = sums[_NOBODY_WON].count
        sums |= {name: Mean(s.total, games) for name, s in sums.items() if name.startswith("win/")}
    return dict(sorted(sums.items()))


def round_means(played: SelfPlayRound) -> dict[str, Mean]:
    """Means over a round's games, seats and rows; dummy rows enter none."""
    means = episode_means(played.episodes, played.frozen)
    rows = [row for row in played.rows if row.turn_rewards]
    turns = sum(len(row.turn_rewards) for row in rows)
    means["row/tokens"] = Mean(
        sum(len(r.prompt_ids) + len(r.completion_ids) for r in rows), len(rows)
    )
    means["row/own_tokens"] = Mean(played.own_tokens, len(rows))
    means["row/turns"] = Mean(turns, len(rows))
    means["row/tokens_per_turn"] = Mean(played.own_tokens, turns)
    means["game/truncated_rows"] = Mean(played.truncated_rows, played.num_seats)
    means["game/unscored"] = Mean(played.unscored, played.num_seats)
    means |= judge_means(played.episodes, played.judge_usage)
    if played.filtered is not None:
        counts = played.filtered.counts()
        counts["dropped"] = sum(counts.values())
        for reason, count in counts.items():
            means[f"filter/{reason}"] = Mean(count, played.filtered.speeches)
        means["filter/unjudged"] = Mean(played.filtered.unjudged, len(played.episodes))
    return means


def episode_means(episodes: Iterable[Episode], frozen: Container[SeatKey] = ()) -> dict[str, Mean]:
    """Win rates, returns per role and team, reward components, shape of the talk.

    Args:
        episodes: the games.
        frozen: seats (index of the episode, agent) that no live model played. They
            enter nothing but the number of acts, and their games no win rate.
    """
    episodes = list(episodes)
    sums: dict[str, list[float]] = {}
    winners: dict[str, list[float]] = {}
    for game, episode in enumerate(episodes):
        live = [seat for seat in episode.seats if (game, seat.agent) not in frozen]
        if len(live) == len(episode.seats):
            _count_winner(episode, winners)
        teams = episode.outcome.get("teams", {})
        for seat in live:
            parts = episode.rewards[seat.agent]
            for component, amount in parts.items():
                if amount is not None:
                    sums.setdefault(f"reward/{component}", []).append(amount)
            if None not in parts.values():
                earned = episode.total_reward(seat.agent)
                sums.setdefault(f"return/{seat.role or 'seat'}", []).append(earned)
                if seat.agent in teams:
                    sums.setdefault(f"team_return/{teams[seat.agent]}", []).append(earned)
        agents = {seat.agent for seat in live}
        for turn in episode.turns:
            if turn.agent in agents:
                sums.setdefault("game/invalid_acts", []).append(float(not turn.valid))
                if turn.valid and turn.request.kind == SPEAK:
                    words = len(turn.text.split())
                    sums.setdefault("game/words_per_speech", []).append(words)
    means = {name: Mean(math.fsum(values), len(values)) for name, values in sums.items()}
    means |= {f"win/{name}": Mean(math.fsum(won), len(won)) for name, won in winners.items()}
    means["game/acts"] = Mean(sum(len(episode.turns) for episode in episodes), len(episodes))
    means["game/time_limit"] = Mean(sum(episode.truncated for episode in episodes), len(episodes))
    return means


def judge_means(episodes: Sequence[Episode], usage: Usage | None) -> dict[str, Mean]:
    """Share of games whose judgement failed, and what was asked of judges per game.

    Nothing where no judge pays, and no usage where judges do not count it.
    """
    judged = [
        [parts[JUDGE] for parts in episode.rewards.values() if JUDGE in parts]
        for episode in episodes
    ]
    judged = [amounts for amounts in judged if amounts]
    means = {}
    if judged:
        means["judge/failed"] = Mean(sum(None in amounts for amounts in judged), len(judged))
    return means | usage_means(usage, len(episodes))


def usage_means(usage: Usage | None, games: int) -> dict[str, Mean]:
    """What was asked of judges per game; nothing where they do not count it."""
    if usage is None:
        return {}
    means = {
        "judge/calls": Mean(usage.requests, games),
        "judge/failed_calls": Mean(usage.failures, usage.requests),
        "judge/prompt_tokens": Mean(usage.prompt_tokens, games),
        "judge/completion_tokens": Mean(usage.completion_tokens, games),
    }
    if usage.cost is not None:
        means["judge/cost"] = Mean(usage.cost, games)
    return means


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Mean:
    """1 − Var(R − V)/Var(R) over unmasked tokens, all (B, T); not counted if R is constant.

    Over the tokens of all processes, each of which has to call it.
    """
    spread = gather_spreads(
        {"target": Spread.of(returns[mask]), "error": Spread.of((returns - values)[mask])}
    )
    variance = spread["target"].variance
    if variance == 0.0:
        return Mean(0.0, 0)
    return Mean(1.0 - spread["error"].variance / variance, 1)


class MetricsWriter(TrainerCallback):
    """One JSON object per iteration, in ``metrics.jsonl`` of the output folder.

    A resumed run first drops the lines of iterations that it plays again.
    """

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        path = Path(args.output_dir) / METRICS_FILE
        known = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        with atomic_write(path) as file:
            file.writelines(line for line in known if _is_before(line, state.global_step))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        # The summary at the end of training is no iteration.
        if not state.is_world_process_zero or logs is None or "train_runtime" in logs:
            return
        line = {"iteration": _iteration(args, state), "step": state.global_step}
        line |= {
            name: value
            for name, value in logs.items()
            if value is not None and name != "epoch" and math.isfinite(value)
        }
        with (Path(args.output_dir) / METRICS_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            # A checkpoint that survives a loss of power must find its lines.
            os.fsync(file.fileno())


class IterationProgress(TrainerCallback):
    """A progress bar on a terminal, one line per iteration elsewhere.

    Args:
        stream: where it is drawn; by default standard error.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._bar: tqdm | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if state.is_world_process_zero and self._stream.isatty():
            steps = args.steps_per_iteration
            self._bar = tqdm(
                total=state.max_steps // steps,
                initial=state.global_step // steps,
                unit="iteration",
                dynamic_ncols=True,
                file=self._stream,
            )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not state.is_world_process_zero or logs is None or "train_runtime" in logs:
            return
        text = "  ".join(
            f"{name.removeprefix('critic/').removeprefix('game/')} {value:.3f}"
            for name, value in logs.items()
            if name.startswith("win/") or name in _SHOWN
            if value is not None
        )
        iteration = _iteration(args, state)
        if self._bar is None:
            total = state.max_steps // args.steps_per_iteration
            print(f"iteration {iteration}/{total}  {text}", file=self._stream, flush=True)
        else:
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(iteration - self._bar.n)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


_SHOWN = ("game/invalid_acts", "entropy", "critic/explained_variance", "time/iteration")


def _count_winner(episode: Episode, winners: dict[str, list[float]]) -> None:
    """Add 1 to the list of who won and 0 to those of the others, each as long as the longest."""
    if "winner" not in episode.outcome:
        return
    games = len(next(iter(winners.values()), []))
    winner = episode.outcome["winner"] or NO_WINNER
    # Listed even where they never win: every process names the same winners.
    for name in (NO_WINNER, winner, *episode.outcome.get("teams", {}).values()):
        winners.setdefault(name, [0.0] * games)
    for name, won in winners.items():
        won.append(float(name == winner))


def _is_before(line: bytes, step: int) -> bool:
    """Whether a line is whole and of no later step."""
    return line.endswith(b"\n") and json.loads(line)["step"] <= step


def _iteration(args: TrainingArguments, state: TrainerState) -> int:
    return state.global_step // args.steps_per_iteration


def kl_estimate(log_ratio: Tensor) -> Tensor:
    """Schulman's estimate of KL(p, q) per token, from log q − log p of samples of p.

    Never negative, unbiased, and of low variance.
    """
    return log_ratio.exp() - 1.0 - log_ratio


def masked_mean(values: Tensor, mask: Tensor) -> Mean:
    """Mean over unmasked tokens, both (B, T)."""
    with torch.no_grad():
        return Mean(float((values * mask).sum()), float(mask.sum()))
