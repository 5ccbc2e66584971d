"""Operations that treat every unit by itself: activations, dropout, pooling, resizing."""

__all__ = ["Pointwise", "Spatial"]

from typing import Any

import torch
from torch import Tensor, fx, nn

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import argument
from pyro_sparse.graph.units import Units

AVERAGES = nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d
REDUCTIONS = {"mean", "amax", "amin", "sum"}


class Pointwise(Through):
    """A function of single numbers: a constant stays a constant."""

    @property
    def source(self) -> fx.Node:
        return self.trace.tensors(self.node)[0]

    def forward(self, facts: Facts) -> Units | None:
        units = facts.units.get(self.source)
        if units is None:
            return None

        value = self.trace.run(self.node, {self.source: units.value})
        return units.with_values(units.constant, value)

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        return {self.source: torch.arange(len(facts.units[self.node]))}


class Spatial(Pointwise):
    """A function of the positions of one channel, such as pooling or padding.

    A constant channel stays constant if its result is the same at all positions: average
    pooling over zero padding, for one, gives smaller values at the border.
    """

    def forward(self, facts: Facts) -> Units | None:
        units = facts.units.get(self.source)
        axis = None if units is None else self._axis(units.axis)
        if units is None or axis is None:
            return None

        filled = units.spread(units.value, self.trace.shape(self.source))
        result = self.trace.run(self.node, {self.source: filled})
        values = result.movedim(axis, 0).flatten(1)

        if self._depends_on_size():
            values = torch.where(values == 0, values, torch.nan)

        return units.with_values(units.constant & _uniform(values), values[:, 0], axis)

    def _depends_on_size(self) -> bool:
        """Whether other positions, which another input may have, change the result of a constant.

        A sum, and an average at the border that counts zeros outside.
        """
        if self.trace.name(self.node) == "sum":
            return True

        average = self.trace.name(self.node).startswith("avg_pool")
        if not (average or isinstance(self._module(), AVERAGES)):
            return False

        padding, divisor = self._setting(3, "padding", 0), self._setting(6, "divisor_override")
        padded = any(padding) if _is_list(padding) else bool(padding)
        if divisor is not None:
            return padded or bool(self._setting(4, "ceil_mode", False))
        return padded and bool(self._setting(5, "count_include_pad", True))

    def _module(self) -> nn.Module | None:
        return self.trace.module(self.node) if self.node.op == "call_module" else None

    def _setting(self, position: int, name: str, default: Any = None) -> Any:
        """An option of the operation, wherever it is kept."""
        if module := self._module():
            return getattr(module, name, default)

        return argument(self.node, position, name, default)

    def _axis(self, axis: int) -> int | None:
        """Where the units are afterwards; None if the operation mixes them."""
        before, after = self.trace.shape(self.source), self.trace.shape(self.node)

        if self.trace.name(self.node) in REDUCTIONS:
            return self._axis_of_reduction(axis, len(before), len(after))
        if len(before) != len(after) or before[axis] != after[axis]:
            return None

        return axis if axis < -_positions(self, len(before)) else None

    def _axis_of_reduction(self, axis: int, before: int, after: int) -> int | None:
        given = argument(self.node, 1, "dim")
        if given is None or isinstance(given, fx.Node):
            return None

        dims = {d - before if d >= 0 else d for d in (given if _is_list(given) else [given])}
        if axis in dims:
            return None

        return axis if after == before else axis + sum(d > axis for d in dims)


def _positions(rule: Spatial, dims: int) -> int:
    """How many of the last axes the operation may mix: those of a batch of maps."""
    padding = argument(rule.node, 1, "pad") if rule.trace.name(rule.node) == "pad" else None
    return dims - 2 if padding is None else len(padding) // 2


def _uniform(values: Tensor) -> Tensor:
    """Rows whose entries are equal, but for the rounding of sums of different length."""
    first = values[:, :1]
    return ((values - first).abs() <= 8 * torch.finfo(values.dtype).eps * first.abs()).all(1)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple | fx.immutable_collections.immutable_list)
