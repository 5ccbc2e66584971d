r"""How much memory a prediction takes, and how to cut it into pieces that fit."""

__all__ = ["Allocations", "Footprint", "Plan", "measure"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Draws are taken together up to this many bytes. Fewer at once spend the time on calls, more no
# longer fit the cache; measured for networks of 10^3 to 10^6 weights and 1 to 10^4 inputs.
TOGETHER = 2**23


@dataclass(frozen=True)
class Plan:
    r"""What is computed at once.

    Args:
        draws: Number of draws.
        inputs: Number of inputs.
        vectorize: Whether the draws are run together by `torch.vmap`.
    """

    draws: int
    inputs: int
    vectorize: bool


@dataclass(frozen=True)
class Footprint:
    r"""Bytes that a program allocates, whether or not it frees them early: an upper bound.

    Args:
        draw: Bytes of one draw from the guide, and of what the model makes of it alone.
        example: Bytes that each further input adds.
    """

    draw: float
    example: float

    def plan(self, inputs: int, draws: int, max_bytes: int, vectorize: bool | None = None) -> Plan:
        r"""Pieces that stay below a bound, unless a single draw does not.

        Args:
            inputs: Number of inputs.
            draws: Number of draws.
            max_bytes: The bound.
            vectorize: Whether to take several draws at once; None decides by size.
        """

        room = max(max_bytes - self.draw, self.draw)
        rows = max(1, min(inputs, int(room / max(self.example, 1.0))))
        one = max(self.draw + rows * self.example, 1.0)

        if vectorize is None:
            max_bytes = min(max_bytes, TOGETHER)
            vectorize = rows == inputs and 2 * one <= max_bytes

        together = max(1, min(draws, int(max_bytes / one))) if vectorize else 1
        return Plan(together, rows, vectorize)


def measure(draw: int, run: Callable[[int], object], inputs: int) -> Footprint:
    r"""Runs a model on a few inputs and tells apart what a draw and what an input takes.

    Args:
        draw: Bytes of a draw from the guide.
        run: Runs the model on the first few inputs, given their number.
        inputs: Number of inputs there are.
    """

    few, more = min(2, inputs), min(4, inputs)
    first = _bytes(run, few)

    if more == few:
        return Footprint(draw, first / few)

    example = max(0.0, (_bytes(run, more) - first) / (more - few))
    return Footprint(draw + max(0.0, first - few * example), example)


def _bytes(run: Callable[[int], object], inputs: int) -> int:
    with Allocations() as running:
        run(inputs)

    return running.bytes


class Allocations(TorchDispatchMode):
    r"""Counts the bytes of all tensors made inside; views and in-place results are not new."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))

        if all(made.alias_info is None for made in func._schema.returns):
            tensors = result if isinstance(result, tuple | list) else (result,)
            made = (t for t in tensors if isinstance(t, torch.Tensor))
            self.bytes += sum(t.numel() * t.element_size() for t in made)

        return result
