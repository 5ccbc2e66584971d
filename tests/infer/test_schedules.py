"""Schedules are pure functions that pickle."""

import pickle
from collections.abc import Callable

import pytest

from pyro_sparse.infer.schedules import (
    Schedule,
    constant,
    cosine,
    cyclic,
    exponential,
    linear,
    piecewise,
)

RAMPS = {"linear": linear, "cosine": cosine, "exponential": exponential}


@pytest.mark.parametrize("make", RAMPS.values(), ids=RAMPS)
def test_ramps_start_and_end_where_they_say(make: Callable[..., Schedule]) -> None:
    schedule = make(0.5, 2.0, steps=10, delay=5)

    assert [schedule(step) for step in (0, 5)] == pytest.approx([0.5, 0.5])
    assert [schedule(step) for step in (15, 1_000_000)] == pytest.approx([2.0, 2.0])
    values = [schedule(step) for step in range(20)]
    assert values == sorted(values)


def test_the_middle_of_a_ramp() -> None:
    assert linear(1.0, 3.0, steps=10)(5) == pytest.approx(2.0)
    assert cosine(1.0, 3.0, steps=10)(5) == pytest.approx(2.0)
    assert exponential(1.0, 4.0, steps=10)(5) == pytest.approx(2.0)
    assert exponential(-1.0, -4.0, steps=10)(5) == pytest.approx(-2.0)
    assert cosine(0.0, 1.0, steps=100)(10) < linear(0.0, 1.0, steps=100)(10)


def test_a_ramp_of_no_steps_is_a_jump() -> None:
    schedule = linear(0.0, 1.0, steps=0, delay=3)

    assert [schedule(step) for step in (2, 3)] == [0.0, 1.0]


def test_the_others() -> None:
    assert constant(0.3)(7) == 0.3
    assert [piecewise({10: 0.1, 0: 1.0})(step) for step in (0, 9, 10, 99)] == [1.0, 1.0, 0.1, 0.1]
    assert [cyclic(linear(0, 1, steps=2), period=3)(s) for s in range(6)] == [0, 0.5, 1, 0, 0.5, 1]


@pytest.mark.parametrize(
    "schedule",
    [
        constant(1.0),
        *(make(0.5, 2.0, steps=3) for make in RAMPS.values()),
        piecewise({0: 1.0, 5: 2.0}),
        cyclic(linear(0.0, 1.0, steps=3), period=4),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_copy_is_equal(schedule: Schedule) -> None:
    copy = pickle.loads(pickle.dumps(schedule))

    assert copy == schedule
    assert [copy(step) for step in range(8)] == [schedule(step) for step in range(8)]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: linear(0.0, float("nan"), steps=1), "end of a schedule is finite, got nan"),
        (lambda: linear(0.0, 1.0, steps=-1), "not negative, got steps=-1"),
        (lambda: cosine(0.0, 1.0, steps=1, delay=float("inf")), "delay=inf"),
        (lambda: exponential(1.0, 0.0, steps=1), "two values of one sign"),
        (lambda: piecewise({5: 1.0}), "a value for step 0"),
        (lambda: cyclic(constant(1.0), period=0), "period of a schedule is positive"),
        (lambda: constant(float("inf")), "finite, got inf"),
    ],
)
def test_bad_input(make: Callable[[], Schedule], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
