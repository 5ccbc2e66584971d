"""Assertions that say what is wrong, and with which shapes or numbers."""

__all__ = ["assert_close", "assert_likely", "assert_shape", "assert_within"]

import torch
from torch import Tensor

from pyro_sparse.testing.statistics import FAILURE_RATE


def assert_shape(what: str, found: torch.Size, expected: tuple[int, ...]) -> None:
    """Raises an `AssertionError` with both shapes unless they are the same."""
    assert found == expected, f"{what} has shape {tuple(found)}, expected {tuple(expected)}"


def assert_close(
    what: str,
    found: Tensor,
    expected: Tensor,
    rtol: float | None = None,
    atol: float | None = None,
) -> None:
    """Raises an `AssertionError` with the largest difference unless all entries are close.

    Args:
        what: a sentence that is true of a good law, such as "icdf inverts cdf".
        found: of any shape.
        expected: of the same shape and precision.
        rtol: relative tolerance; that of the precision by default.
        atol: absolute tolerance, likewise.
    """

    def message(difference: str) -> str:
        return f'not true: "{what}"\n{difference}'

    torch.testing.assert_close(found, expected, rtol=rtol, atol=atol, msg=message)


def assert_within(what: str, found: Tensor, low: float, high: float) -> None:
    """Raises an `AssertionError` with the worst number unless all lie in an interval."""
    inside = (found >= low) & (found <= high)
    assert inside.all(), f"{what} is {found[~inside][0].item():g}, not in [{low:g}, {high:g}]"


def assert_likely(p_value: Tensor, what: str) -> None:
    """Raises an `AssertionError` unless a p-value is above the declared failure rate."""
    number = p_value.item()
    assert number > FAILURE_RATE, f"{what} (p-value {number:.1g}, must exceed {FAILURE_RATE:g})"
