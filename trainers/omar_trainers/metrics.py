"""What is measured in an iteration, and where it is written.

Names: ``win/`` share of games per winner, ``return/`` per role, ``reward/`` per
component, ``game/`` and ``row/`` shape and health of the games, ``entropy``,
``policy/`` and ``critic/`` the update (means over own tokens), ``time/`` seconds.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
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

from omar_envs.types import Episode
from omar_trainers.selfplay import SelfPlayRound

METRICS_FILE = "metrics.jsonl"
NO_WINNER = "nobody"


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
    return dict(sorted(sums.items()))


def round_means(played: SelfPlayRound) -> dict[str, Mean]:
    """Means over a round's games, seats and rows; dummy rows enter none."""
    means = episode_means(played.episodes)
    rows = [row for row in played.rows if row.turn_rewards]
    means["row/tokens"] = Mean(
        sum(len(r.prompt_ids) + len(r.completion_ids) for r in rows), len(rows)
    )
    means["row/own_tokens"] = Mean(played.own_tokens, len(rows))
    means["game/truncated_rows"] = Mean(played.truncated_rows, played.num_seats)
    means["game/unscored"] = Mean(played.unscored, played.num_seats)
    return means


def episode_means(episodes: Iterable[Episode]) -> dict[str, Mean]:
    """Win rates, returns per role, reward components, share of invalid acts."""
    episodes = list(episodes)
    games = len(episodes)
    sums: dict[str, list[float]] = {}
    winners: dict[str, int] = {}
    turns = invalid = 0
    for episode in episodes:
        turns += len(episode.turns)
        invalid += sum(not turn.valid for turn in episode.turns)
        if "winner" in episode.outcome:
            # Counted even where nobody wins: every process names the same winners.
            winners.setdefault(NO_WINNER, 0)
            winner = episode.outcome["winner"] or NO_WINNER
            winners[winner] = winners.get(winner, 0) + 1
            for team in set(episode.outcome.get("teams", {}).values()):
                winners.setdefault(team, 0)
        for seat in episode.seats:
            parts = episode.rewards[seat.agent]
            for component, amount in parts.items():
                if amount is not None:
                    sums.setdefault(f"reward/{component}", []).append(amount)
            if None not in parts.values():
                role = seat.role or "seat"
                sums.setdefault(f"return/{role}", []).append(episode.total_reward(seat.agent))
    means = {name: Mean(math.fsum(values), len(values)) for name, values in sums.items()}
    means |= {f"win/{winner}": Mean(count, games) for winner, count in winners.items()}
    means["game/acts"] = Mean(turns, games)
    means["game/invalid_acts"] = Mean(invalid, turns)
    means["game/time_limit"] = Mean(sum(episode.truncated for episode in episodes), games)
    return means


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> Mean:
    """1 − Var(R − V)/Var(R) over unmasked tokens, all (B, T); not counted if R is constant."""
    target, error = returns[mask], (returns - values)[mask]
    variance = float(target.var(correction=0)) if target.numel() else 0.0
    if variance == 0.0:
        return Mean(0.0, 0)
    return Mean(1.0 - float(error.var(correction=0)) / variance, 1)


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
        path.parent.mkdir(parents=True, exist_ok=True)
        known = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        kept = [line for line in known if json.loads(line)["step"] <= state.global_step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

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
