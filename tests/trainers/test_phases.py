"""Every second of an iteration belongs to one phase."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omar_trainers.shown.phases import REST, PhaseClock, phase_means


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


def test_inner_phases_are_not_the_outer_ones() -> None:
    now = Hand()
    clock = PhaseClock(now)
    clock.start()
    now.seconds += 1
    with clock.phase("score"):
        now.seconds += 2
        with clock.phase("play"):
            now.seconds += 4
        now.seconds += 8
    now.seconds += 16
    assert clock.lap() == {REST: 17.0, "score": 10.0, "play": 4.0}
    now.seconds += 3
    assert clock.lap() == {REST: 3.0}


def test_a_phase_that_raises_is_over() -> None:
    now = Hand()
    clock = PhaseClock(now)
    with pytest.raises(ValueError), clock.phase("play"):
        now.seconds += 2
        raise ValueError
    now.seconds += 1
    assert clock.lap() == {REST: 1.0, "play": 2.0}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8))
def test_laps_leave_no_second_out(steps: list[tuple[str, int]]) -> None:
    now = Hand()
    clock = PhaseClock(now)
    clock.start()
    total = 0.0
    for name, seconds in steps:
        with clock.phase(name):
            now.seconds += seconds
        now.seconds += 1
        if name == "c":
            total += sum(clock.lap().values())
    assert total + sum(clock.lap().values()) == sum(seconds + 1 for _, seconds in steps)


def test_speed_is_tokens_over_the_seconds_that_read_them() -> None:
    means = phase_means({REST: 4.0, "score": 2.0, "play": 1.0}, row_tokens=100, passes=3)
    assert means["train/tokens_per_second"].value == 75.0
    assert means["score/tokens_per_second"].value == 50.0
    assert means["time/iteration"].value == 7.0
    assert means["time/play"].value == 1.0
