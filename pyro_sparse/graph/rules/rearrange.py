"""Operations that move numbers without changing them: flatten, reshape, permute, index."""

__all__ = ["Rearrange", "sizes_given"]

from typing import Any

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.units import Units

RESHAPES = {"view", "reshape"}


class Rearrange(Through):
    """Follows the units by moving their numbers 0, 1, 2 ... the same way.

    The result has units if they lie along one of its axes, as after flattening channels and
    positions into features: then each feature belongs to the class of its channel. If they
    spread over two axes (a channel shuffle) no unit can go.
    """

    def __init__(self, node: fx.Node, trace: Any) -> None:
        super().__init__(node, trace)
        self._positions: Tensor | None = None

    @property
    def source(self) -> fx.Node:
        return self.trace.tensors(self.node)[0]

    def forward(self, facts: Facts) -> Units | None:
        units = facts.units.get(self.source)
        if units is None or len(units) < 2 or self._may_lose(units.axis):
            return None

        numbers = units.spread(torch.arange(len(units)), self.trace.shape(self.source))
        found = _along_one_axis(self.trace.run(self.node, {self.source: numbers}))
        if found is None:
            return None

        axis, self._positions = found
        return units.take(self._positions, axis)

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        assert self._positions is not None
        return {self.source: self._positions}

    def _may_lose(self, axis: int) -> bool:
        """Whether the axis of the units may be cut up, or go once a single unit is left."""
        rank = len(self.trace.shape(self.source))

        if self.trace.name(self.node) in RESHAPES:
            return sizes_given(self.node, self.trace) is None
        if self.trace.name(self.node) == "squeeze":
            dim = argument(self.node, 1, "dim")
            return not isinstance(dim, int) or dim % rank == axis + rank
        if self.trace.name(self.node) == "getitem":
            index = argument(self.node, 1, "")
            parts = _spelt_out(index if isinstance(index, tuple) else (index,), rank)
            plain = all(isinstance(part, slice | int) for part in parts)
            return not plain or parts[axis + rank] != slice(None)

        return False

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        """Sizes written as literals into the code must follow the units."""
        if self._positions is None or self.trace.name(self.node) not in RESHAPES:
            return {}

        present = facts.present(self.node)
        place = facts.units[self.node].axis + len(self.trace.shape(self.node))
        sizes = sizes_given(self.node, self.trace)
        assert sizes is not None
        literal = sizes[place]

        if isinstance(literal, int) and literal != -1 and not present.all():
            plan.reshapes[self.node.name] = {str(place): int(present.sum())}

        return {}


def sizes_given(node: fx.Node, trace: Trace) -> tuple[Any, ...] | None:
    """The sizes a view or reshape asks for; None where they come as a whole from elsewhere.

    Args:
        node: the operation.
        trace: the network.
    """
    given = argument(node, 1, "size" if trace.name(node) == "view" else "shape")
    if isinstance(given, tuple | list):
        return tuple(given)

    number = trace.results[given] if isinstance(given, fx.Node) else given
    return tuple(node.args[1:]) if isinstance(number, int) else None


def _spelt_out(index: tuple[Any, ...], rank: int) -> list[Any]:
    """What an index asks of each axis of a tensor; new axes take nothing away."""
    parts = [part for part in index if part is not None]
    at = next((i for i, part in enumerate(parts) if part is ...), len(parts))
    rest = [slice(None)] * (rank - len(parts) + (at < len(parts)))
    return parts[:at] + rest + parts[at + 1 :]


def _along_one_axis(numbers: Tensor) -> tuple[int, Tensor] | None:
    """The only axis along which the numbers differ, counted from the right, and the numbers.

    The first axis counts examples and is never the one.
    """
    for axis in range(1, numbers.dim() if numbers.numel() else 0):
        along = numbers.movedim(axis, 0).flatten(1)
        if (along == along[:, :1]).all():
            return axis - numbers.dim(), along[:, 0]

    return None
