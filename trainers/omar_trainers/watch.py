"""A held-out measure beside the training reward, so that hacking shows as two curves parting.

Every ``watch_every`` iterations the model of the moment plays ``watch_games`` games
on seeds that training never plays, the same ones at each look, and a measure that is
not trained on reads them. Beside its values stands what training would have paid for
the same games: a policy that gets better raises both, one that games its reward raises
the second alone. ``watch/return`` is the mean over all seats, which says little where
what one side gains the other loses: ``watch/return/ROLE`` and ``watch/team_return/TEAM``
are the same by side. ``watch/judge_calls``, ``watch/judge_cost`` … are what a look asked
of judges, per game.

Ready-made measures are :class:`JudgeWatch` and :class:`FieldWatch`; any callable that
takes episodes and returns numbers will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, gather_object

from omar_envs.errors import ConfigError
from omar_envs.judge import judge_all
from omar_envs.judging import reward_of
from omar_envs.metering import Usage
from omar_envs.types import Episode, Judge
from omar_trainers.config import OMARConfig
from omar_trainers.game_plans import GamePlan, PlayedGames, SeedStream, derive_seed
from omar_trainers.guards import TrainingError
from omar_trainers.judges import judge_of
from omar_trainers.metrics import Mean, add_means, episode_means, usage_means
from omar_trainers.shown.judge_usage import usage_between, usage_of

Watch = Callable[[Sequence[Episode]], Mapping[str, float]]
"""Reads games of the model: measures by name. Called on one process, with all games."""

PlayPlans = Callable[[Sequence[GamePlan]], PlayedGames]

RETURN = "watch/return"
"""Mean over all seats of what training would have paid for the held-out games."""

_JUDGE_FIELD = "judge="

FIRST_SEED = 2**31
"""Seeds from here on are the watch's; those of training are smaller."""


class JudgeWatch:
    """A judge that training does not pay by.

    Measures ``judge`` (mean reward over seats), ``judge/<dimension>`` (mean score),
    and ``judge/failed`` (share of games without a judgement).

    Args:
        judge: any judge of whole episodes.

    Attributes:
        judge: the same.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def __call__(self, episodes: Sequence[Episode]) -> dict[str, float]:
        results = [done.result for done in judge_all(self.judge, episodes)]
        scores: dict[str, list[float]] = {"judge": []}
        for episode, result in zip(episodes, results, strict=True):
            if result.status != "ok" or result.scores is None:
                continue
            for seat in episode.seats:
                scores["judge"].append(reward_of(result, seat.agent))
                for dimension, score in result.scores[seat.agent].items():
                    scores.setdefault(f"judge/{dimension}", []).append(score)
        measured = {name: math.fsum(each) / len(each) for name, each in scores.items() if each}
        failed = sum(result.status != "ok" for result in results)
        return measured | {"judge/failed": failed / max(1, len(results))}


class FieldWatch:
    """A field that the games have anyway: an outcome, or one reward component alone.

    ``reward.NAME`` is the mean over seats of that component, and ``outcome.NAME`` the
    mean over games of that entry of ``Episode.outcome``: a number or a truth value,
    a mapping of such (its mean), or a word (the share of games of each word, as
    ``outcome.winner=village``). Games without a value do not count.

    Args:
        field: ``reward.NAME`` or ``outcome.NAME``.

    Raises:
        ConfigError: it is neither.
    """

    def __init__(self, field: str) -> None:
        kind, _, name = field.partition(".")
        if kind not in ("reward", "outcome") or not name:
            raise ConfigError(
                f"watch must be reward.NAME (a reward component), outcome.NAME (an entry of the "
                f"outcome) or judge=URL#model, not {field!r}"
            )
        self._field = field
        self._kind = kind
        self._name = name

    def __call__(self, episodes: Sequence[Episode]) -> dict[str, float]:
        """Measure.

        Raises:
            ConfigError: no game has the field; the message lists those that they have.
        """
        known = {name for episode in episodes for name in self._table(episode)}
        if episodes and self._name not in known:
            raise ConfigError(
                f"watch {self._field}: the games have no such {self._kind}; they have "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        values = [self._table(episode)[self._name] for episode in episodes if self.is_in(episode)]
        numbers = [float(v) for value in values for v in _flat(value) if isinstance(v, int | float)]
        found = {self._field: math.fsum(numbers) / len(numbers)} if numbers else {}
        words = [value for value in values if isinstance(value, str)]
        return found | {
            f"{self._field}={word}": words.count(word) / len(values) for word in sorted({*words})
        }

    def is_in(self, episode: Episode) -> bool:
        """Whether a game has the field."""
        return self._name in self._table(episode)

    def _table(self, episode: Episode) -> dict[str, Any]:
        if self._kind == "outcome":
            return episode.outcome
        table: dict[str, list[float | None]] = {}
        for parts in episode.rewards.values():
            for name, amount in parts.items():
                table.setdefault(name, []).append(amount)
        return table


class HeldOut:
    """Plays the held-out games and asks the measure.

    Args:
        measure: what reads the games.
        every: iterations between two looks; the first look is at the start.
        games: per look, over all processes.
        scenarios: played in turn.
        seed: of the run.
        name: of the measure.

    Attributes:
        name: of the measure, with the number of games: looks of one name and one model
            give the same.
    """

    def __init__(
        self,
        measure: Watch,
        *,
        every: int,
        games: int,
        scenarios: Sequence[dict[str, Any]],
        seed: int,
        name: str = "",
    ) -> None:
        self._measure = measure
        self.name = f"{name} on {games} games"
        self._every = every
        self.plans = [
            GamePlan(
                scenarios[i % len(scenarios)], FIRST_SEED + derive_seed(seed, SeedStream.WATCH, i)
            )
            for i in range(games)
        ]
        """The games of every look."""

    def due(self, iteration: int) -> bool:
        """Whether there is a look at the model before this iteration, counted from 0."""
        return iteration % self._every == 0

    def look(self, play: PlayPlans, process: int, processes: int) -> dict[str, Mean]:
        """Play and measure; every process calls it. -> what to log

        Args:
            play: plays some plans with the model of the moment.
            process, processes: this one's number, and how many there are.

        Raises:
            TrainingError: the measure raised an error; all processes stop.
        """
        played = play(self.plans[process::processes])
        means = _judge_costs(played.judge_usage, len(played.episodes))
        episodes: list[Episode] = gather_object(list(played.episodes))
        answer: list[Any] = [None]
        failure: Exception | None = None
        if process == 0:
            asked = usage_of(self._judges)
            try:
                answer = [_checked(self._measure(episodes))]
            except Exception as error:
                failure = error
                answer = [f"{type(error).__name__}: {error}"]
            now = usage_of(self._judges)
            if asked is not None and now is not None:
                # The games are counted already, or by nobody.
                games = 0 if means else len(episodes)
                means = add_means([means, _judge_costs(usage_between(asked, now), games)])
        if processes > 1:
            broadcast_object_list(answer)
        (values,) = answer
        if isinstance(values, str):
            if isinstance(failure, ConfigError):
                raise failure
            raise TrainingError(f"the held-out measure (watch) failed: {values}") from failure
        if process:
            return means
        means |= {f"watch/{name}": Mean(value, 1) for name, value in values.items()}
        return means | _returns(episodes)

    @property
    def _judges(self) -> list[Judge]:
        return [self._measure.judge] if isinstance(self._measure, JudgeWatch) else []


def _returns(episodes: Sequence[Episode]) -> dict[str, Mean]:
    """What training would have paid: over all seats, by role, and by team."""
    by_side = {
        f"watch/{name}": mean
        for name, mean in episode_means(episodes).items()
        if name.startswith(("return/", "team_return/"))
    }
    of_seats = [mean for name, mean in by_side.items() if name.startswith(f"{RETURN}/")]
    seats = Mean(math.fsum(m.total for m in of_seats), sum(m.count for m in of_seats))
    return {RETURN: seats} | by_side


def _judge_costs(usage: Usage | None, games: int) -> dict[str, Mean]:
    """What was asked of judges, per game; nothing where they do not count it."""
    return {
        f"watch/{name.replace('/', '_')}": mean for name, mean in usage_means(usage, games).items()
    }


def make_watch(
    measure: Watch | None, field: str | None, every: int, output_dir: str = "."
) -> Watch | None:
    """The measure that a trainer was given, or that its settings name; None without looks.

    Args:
        measure: given to the trainer.
        field: the setting ``watch``.
        every: the setting ``watch_every``.
        output_dir: of the run; a judge's answers are kept there.

    Raises:
        ConfigError: there are two, or one without looks, or looks without one.
    """
    if measure is not None and field is not None:
        raise ConfigError("the trainer was given a watch, and its settings name another: give one")
    if (measure is not None or field is not None) and every == 0:
        raise ConfigError("watch is set but watch_every is 0: say how often to look")
    if field is not None and field.startswith(_JUDGE_FIELD):
        described = field.removeprefix(_JUDGE_FIELD)
        return JudgeWatch(judge_of(described, output_dir, "watch: judge"))
    if field is not None:
        return FieldWatch(field)
    if measure is None and every:
        raise ConfigError(
            "watch_every is set but there is nothing to watch: set watch to outcome.NAME, "
            "reward.NAME or judge=URL#model, or pass the trainer watch=..."
        )
    return measure


def held_out(settings: OMARConfig, measure: Watch | None) -> HeldOut | None:
    """The looks that the settings ask for, None where there is nothing to watch.

    Raises:
        ConfigError: there are fewer games than processes to play them.
    """
    if measure is None:
        return None
    if settings.watch_games < settings.world_size:
        raise ConfigError(
            f"watch_games is {settings.watch_games}, but each of the {settings.world_size} "
            "processes plays at least one: raise it"
        )
    return HeldOut(
        measure,
        every=settings.watch_every,
        games=settings.watch_games,
        scenarios=settings.load_scenarios(),
        seed=settings.seed,
        name=settings.watch or f"{type(measure).__module__}.{type(measure).__qualname__}",
    )


def plot_watch(
    path: Path, metrics: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None
) -> None:
    """Draw the training reward of the held-out games above the held-out measures.

    Args:
        path: PNG to write.
        metrics: one entry per iteration, as ``metrics.jsonl`` has them.
        names: measures to draw, without ``watch/``; by default all that are no return
            and no judge's cost. The returns by role are in the first panel.

    Raises:
        ValueError: there was no look, or no such measure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    looks = [line for line in metrics if RETURN in line]
    known = sorted({key for line in looks for key in line if key.startswith("watch/")})
    if names is None:
        wanted = [key for key in known if not key.startswith(_NO_MEASURE) and key != RETURN]
    else:
        wanted = [f"watch/{name}" for name in names]
    if not wanted or not {*wanted} <= {*known}:
        raise ValueError(f"the metrics have {', '.join(known) or 'no look'}: name some of them")
    panels = [RETURN, *wanted]
    figure = Figure(figsize=(7, 1.0 + 2.2 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, key in zip(axes, panels, strict=True):
        trained = key == RETURN
        sides = [name for name in known if name.startswith(f"{RETURN}/")] if trained else []
        for name in sides or [key]:
            points = [(line["iteration"], line[name]) for line in looks if name in line]
            label = name.removeprefix(f"{RETURN}/")
            axis.plot(*zip(*points, strict=True), marker="o", label=label.replace("$", r"\$"))
        if len(sides) > 1:
            axis.legend(fontsize="small")
        axis.set_ylabel("training reward" if trained else key.removeprefix("watch/"))
        axis.grid(alpha=0.3)
    axes[0].set_title("Held-out games: what training pays, and what is measured beside it")
    axes[-1].set_xlabel("iteration")
    figure.savefig(path, dpi=120)


_NO_MEASURE = (f"{RETURN}/", "watch/team_return/", "watch/judge_")


def _flat(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list | tuple) else [value]


def _checked(values: Mapping[str, float]) -> dict[str, float]:
    return {str(name): float(value) for name, value in values.items()}
