r"""Schedules: how a number, such as the weight of the divergences, changes from step to step.

A schedule is a pure function of the step, from 0, so that a training that goes on where it was
interrupted needs to know nothing but the step. All of them pickle and compare by value.
"""

__all__ = ["Schedule", "constant", "cosine", "cyclic", "exponential", "linear", "piecewise"]

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass


class Schedule:
    r"""A function of the step. One of your own may be any function that takes a step."""

    @abstractmethod
    def __call__(self, step: float) -> float:
        r"""The value at a step.

        Args:
            step: Number of steps that were made.
        """


def constant(value: float) -> Schedule:
    r"""The same value at every step.

    Args:
        value: The value.
    """

    return _Piecewise(((0, _finite("value", value)),))


def linear(start: float, end: float, *, steps: float, delay: float = 0) -> Schedule:
    r"""Along a straight line; `start` before it and `end` after it.

    The warm-up of the divergences is `linear(0, 1, steps=...)`.

    Args:
        start: Value at first.
        end: Value at last.
        steps: Number of steps from one to the other.
        delay: Number of steps before the first change.

    Example:
        >>> weight = linear(0.0, 1.0, steps=100, delay=50)
        >>> [weight(step) for step in (0, 50, 100, 150, 1000)]
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """

    return _ramp(_line, start, end, steps, delay)


def cosine(start: float, end: float, *, steps: float, delay: float = 0) -> Schedule:
    r"""Along half a period of a cosine: slow at both ends.

    References:
        | SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov and Hutter, 2017)
        | https://arxiv.org/abs/1608.03983

    Args:
        start: Value at first.
        end: Value at last.
        steps: Number of steps from one to the other.
        delay: Number of steps before the first change.
    """

    return _ramp(_half_period, start, end, steps, delay)


def exponential(start: float, end: float, *, steps: float, delay: float = 0) -> Schedule:
    r"""By the same factor in every step: for temperatures and learning rates.

    Args:
        start: Value at first, not 0.
        end: Value at last, of the same sign.
        steps: Number of steps from one to the other.
        delay: Number of steps before the first change.

    Example:
        >>> temperature = exponential(1.0, 0.01, steps=100)
        >>> [round(temperature(step), 6) for step in (0, 50, 100)]
        [1.0, 0.1, 0.01]
    """

    if not start * end > 0:
        raise ValueError(
            f"exponential needs two values of one sign, neither 0, got {start} and {end}. "
            "Use linear or cosine to reach 0."
        )
    return _ramp(_geometric, start, end, steps, delay)


def piecewise(values: Mapping[float, float]) -> Schedule:
    r"""Constant between steps.

    Args:
        values: By step, the value from there on; there is one for step 0.

    Example:
        >>> rate = piecewise({0: 1.0, 100: 0.1})
        >>> [rate(step) for step in (0, 99, 100)]
        [1.0, 1.0, 0.1]
    """

    if 0 not in values:
        raise ValueError(f"piecewise needs a value for step 0, got {dict(values)}.")
    steps = tuple((_finite("step", s), _finite("value", values[s])) for s in sorted(values))
    return _Piecewise(steps)


def cyclic(schedule: Callable[[float], float], *, period: float) -> Schedule:
    r"""Another schedule, from its beginning again after each period.

    References:
        | Cyclical Annealing Schedule: A Simple Approach to Mitigating KL Vanishing
        | (Fu et al., 2019)
        | https://arxiv.org/abs/1903.10145

    Args:
        schedule: What is repeated.
        period: Number of steps after which it begins anew.
    """

    return _Cyclic(schedule, _positive("period", period))


@dataclass(frozen=True)
class _Ramp(Schedule):
    shape: Callable[[float, float, float], float]
    start: float
    end: float
    steps: float
    delay: float

    def __call__(self, step: float) -> float:
        share = (step - self.delay) / self.steps if self.steps else float(step >= self.delay)
        return self.shape(self.start, self.end, min(max(share, 0.0), 1.0))


@dataclass(frozen=True)
class _Piecewise(Schedule):
    values: tuple[tuple[float, float], ...]

    def __call__(self, step: float) -> float:
        reached = [value for first, value in self.values if first <= step]
        return reached[-1] if reached else self.values[0][1]


@dataclass(frozen=True)
class _Cyclic(Schedule):
    schedule: Callable[[float], float]
    period: float

    def __call__(self, step: float) -> float:
        return self.schedule(step % self.period)


def _line(start: float, end: float, share: float) -> float:
    return (1 - share) * start + share * end


def _half_period(start: float, end: float, share: float) -> float:
    return _line(start, end, (1 - math.cos(math.pi * share)) / 2)


def _geometric(start: float, end: float, share: float) -> float:
    return math.copysign(math.exp(_line(math.log(abs(start)), math.log(abs(end)), share)), start)


def _ramp(
    shape: Callable[[float, float, float], float],
    start: float,
    end: float,
    steps: float,
    delay: float,
) -> Schedule:
    if not (0 <= steps < math.inf and 0 <= delay < math.inf):
        raise ValueError(
            f"steps and delay are finite and not negative, got steps={steps}, delay={delay}."
        )
    return _Ramp(shape, _finite("start", start), _finite("end", end), steps, delay)


def _finite(name: str, value: float) -> float:
    if not -math.inf < value < math.inf:
        raise ValueError(f"The {name} of a schedule is finite, got {value}.")
    return value


def _positive(name: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise ValueError(f"The {name} of a schedule is positive and finite, got {value}.")
    return value
