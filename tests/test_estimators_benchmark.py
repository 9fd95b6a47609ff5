"""The statistics of the estimators' comparison, and how its work is shared and taken up again."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.estimators_statistics import (
    CHI_SQUARE,
    STUDENT,
    area_under_curve,
    mean_over_seeds,
    paired_difference,
    spread_over_seeds,
)
from benchmarks.estimators_work import Task, work, write_whole

scores = st.floats(0.0, 1.0)
samples = st.lists(scores, min_size=2, max_size=max(STUDENT))


def covered(interval: Callable[[list[float]], tuple[float, float, float]], truth: float) -> float:
    """Share of 4,000 samples of 5 normal seeds (mean 0.5, sd 0.1) whose interval holds it."""
    drawn = NormalDist(0.5, 0.1).samples(20_000, seed=1)
    intervals = [interval(drawn[i : i + 5]) for i in range(0, len(drawn), 5)]
    return fmean(low <= truth <= high for _, low, high in intervals)


def test_intervals_hold_the_truth_in_95_of_100_samples() -> None:
    assert covered(mean_over_seeds, 0.5) == pytest.approx(0.95, abs=0.012)
    assert covered(spread_over_seeds, 0.1) == pytest.approx(0.95, abs=0.012)


def test_quantiles_are_those_of_the_distributions() -> None:
    """Student's has 2.5% beyond it; the density of chi-square holds 95% between its two."""
    for seeds, quantile in STUDENT.items():
        df = seeds - 1
        beyond = integral(lambda t, df=df: (1 + t * t / df) ** (-(df + 1) / 2), 0.0, quantile)
        half = math.sqrt(df * math.pi) * math.gamma(df / 2) / math.gamma((df + 1) / 2) / 2
        assert beyond / half == pytest.approx(0.95, abs=2e-4), seeds
    for seeds, (low, high) in CHI_SQUARE.items():
        df = seeds - 1
        # In the root of x, where the density of one degree of freedom has no pole.
        total = 2 ** (df / 2 - 1) * math.gamma(df / 2)
        for end, share in ((low, 0.025), (high, 0.975)):
            below = integral(
                lambda r, df=df: r ** (df - 1) * math.exp(-r * r / 2), 0.0, math.sqrt(end)
            )
            assert below / total == pytest.approx(share, abs=2e-4), seeds


def integral(density: Callable[[float], float], low: float, high: float) -> float:
    """Simpson's rule in 2,000 steps."""
    width = (high - low) / 2000
    inner = sum(density(low + i * width) * (4 if i % 2 else 2) for i in range(1, 2000))
    return width / 3 * (density(low) + inner + density(high))


@given(samples, st.floats(-1.0, 1.0))
def test_a_shift_moves_the_mean_and_no_interval_width(values: list[float], by: float) -> None:
    plain, moved = mean_over_seeds(values), mean_over_seeds([value + by for value in values])
    assert moved.value == pytest.approx(plain.value + by, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, abs=1e-6)


@given(st.dictionaries(st.integers(0, 9), scores, min_size=2), scores)
def test_pairing_takes_out_what_a_seed_does_to_both(theirs: dict[int, float], gain: float) -> None:
    """However far apart the seeds are, a gain that all of them show has no width."""
    ours = {seed: value + gain for seed, value in theirs.items()}
    difference = paired_difference(ours | {77: 5.0}, theirs | {78: -5.0})
    assert difference == pytest.approx((gain, gain, gain), abs=1e-6)
    back = paired_difference(theirs, ours)
    assert back == pytest.approx((-gain, -gain, -gain), abs=1e-6)


def test_a_difference_shows_where_zero_lies_outside() -> None:
    theirs = {0: 0.5, 1: 0.6, 2: 0.4}
    assert paired_difference({0: 0.6, 1: 0.71, 2: 0.5}, theirs).excludes_zero
    assert paired_difference({0: 0.4, 1: 0.49, 2: 0.3}, theirs).excludes_zero
    assert not paired_difference({0: 0.6, 1: 0.5, 2: 0.4}, theirs).excludes_zero


def test_one_seed_leaves_everything_open() -> None:
    assert mean_over_seeds([0.6]) == (0.6, -math.inf, math.inf)
    assert not paired_difference({1: 0.6}, {1: 0.1}).excludes_zero
    with pytest.raises(ValueError, match="two seeds"):
        spread_over_seeds([0.6])
    with pytest.raises(ValueError, match="share no seed"):
        paired_difference({1: 0.6}, {2: 0.6})


@given(samples)
def test_a_spread_lies_in_its_interval_and_scales(values: list[float]) -> None:
    spread = spread_over_seeds(values)
    assert spread.value == stdev(values)
    assert 0.0 <= spread.low <= spread.value <= spread.high
    assert spread_over_seeds([3 * value for value in values]) == pytest.approx(
        [3 * end for end in spread], abs=1e-9
    )


@given(st.lists(scores, min_size=2, max_size=12), st.integers(0, 10), st.data())
def test_area_of_a_curve(heights: list[float], cut: int, data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(1, 50), min_size=len(heights), max_size=len(heights)))
    points = [(float(sum(steps[: i + 1])), height) for i, height in enumerate(heights)]
    area = area_under_curve(points)
    assert min(heights) - 1e-9 <= area <= max(heights) + 1e-9
    # Width, origin and unit of x mean nothing; a point on the line between two adds nothing.
    assert area_under_curve([(7 + 3 * x, y) for x, y in points]) == pytest.approx(area, abs=1e-9)
    i = cut % (len(points) - 1)
    middle = tuple((a + b) / 2 for a, b in zip(points[i], points[i + 1], strict=True))
    finer = [*points[: i + 1], middle, *points[i + 1 :]]
    assert area_under_curve(finer) == pytest.approx(area, abs=1e-9)


def test_area_of_a_late_gain_is_smaller() -> None:
    early = [(0.0, 0.5), (1.0, 0.7), (4.0, 0.7)]
    late = [(0.0, 0.5), (3.0, 0.5), (4.0, 0.7)]
    assert area_under_curve(early) == pytest.approx(0.675)
    assert area_under_curve(late) == pytest.approx(0.525)
    with pytest.raises(ValueError, match="grow"):
        area_under_curve(early[::-1])


def counted(folder: Path, names: str, fails: str = "") -> tuple[list[Task], list[str]]:
    """Tasks that note when they are made, each needing the one before; one of them fails."""
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        if name == fails:
            raise KeyboardInterrupt
        return name.encode()

    return [
        Task(
            folder / name,
            lambda name=name: make(name),
            tuple(folder / other for other in names[:i][-1:]),
        )
        for i, name in enumerate(names)
    ], made


def test_stopped_work_goes_on_where_it_was(tmp_path: Path) -> None:
    tasks, made = counted(tmp_path, "abcd", fails="c")
    with pytest.raises(KeyboardInterrupt):
        work(tasks, lambda text: None)
    assert made == ["a", "b", "c"]
    assert not (tmp_path / "c").exists()
    tasks, made = counted(tmp_path, "abcd")
    said: list[str] = []
    work(tasks, said.append)
    assert made == ["c", "d"]
    assert len(said) == 2
    assert [(tmp_path / name).read_text() for name in "abcd"] == list("abcd")
    assert not list(tmp_path.glob(".*.[0-9]*")), "half-written files are left"


def test_what_a_task_needs_is_made_first(tmp_path: Path) -> None:
    tasks, made = counted(tmp_path, "abcd")
    work(tasks[::-1], lambda text: None)
    assert made == list("abcd")


def test_what_another_process_finishes_meanwhile_is_not_made_again(tmp_path: Path) -> None:
    """Between the look at what is open and the claim, the result appears."""

    class Appearing(type(tmp_path)):  # type: ignore[misc]
        looks = 0

        def exists(self, *, follow_symlinks: bool = True) -> bool:
            Appearing.looks += 1
            return Appearing.looks > 1

    made: list[str] = []
    work([Task(Appearing(tmp_path / "a"), lambda: made.append("a") or b"")], print, poll=0.0)
    assert made == []


def test_workers_share_the_work_and_make_nothing_twice(tmp_path: Path) -> None:
    """Threads lock as processes do: a lock belongs to the open file."""
    names = "abcdefghijkl"
    workers = 3
    together = threading.Barrier(workers)
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return b"done"

    def one() -> None:
        tasks = [Task(tmp_path / name, lambda name=name: make(name)) for name in names]
        together.wait()
        work(tasks, lambda text: None, poll=0.01)

    with ThreadPoolExecutor(workers) as pool:
        for finished in [pool.submit(one) for _ in range(workers)]:
            finished.result()
    assert sorted(made) == list(names)


def test_a_result_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deeper" / "result"
    write_whole(target, b"old")
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]
