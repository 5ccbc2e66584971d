"""Concatenation: the units of the result are those of the operands, one after the other."""

__all__ = ["Concat"]

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.units import Units


class Concat(Through):
    """Joins along the axis of the units; an operand of which nothing is left is dropped.

    Along any other axis all operands must agree on their units, which then share one fate.

    Attributes:
        operands: what is joined.
        axis: the axis along which it is, negative.
        whole: which units of the result belong to operands that are whole, `(n,)`; None where the
            units lie along another axis.
    """

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        self.operands: list[fx.Node] = list(argument(node, 0, "tensors"))
        dim = argument(node, 1, "dim", 0)
        self.axis = dim if dim < 0 else dim - len(trace.shape(node))
        self._bounds: list[tuple[int, int]] = []
        self.whole: Tensor | None = None

    def forward(self, facts: Facts) -> Units | None:
        if any(facts.on_axis(operand, self.axis) for operand in self.operands):
            return self._one_after_the_other(facts)

        return self._side_by_side(facts)

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        count = len(facts.units[self.node])
        if not self._bounds:
            return dict.fromkeys(self.operands, torch.arange(count))

        found: dict[fx.Node, Tensor] = {}
        for operand, (start, end) in zip(self.operands, self._bounds, strict=True):
            if facts.on_axis(operand, self.axis):
                index = found.setdefault(operand, torch.full((count,), -1))
                index[start:end] = torch.arange(end - start)

        return found

    def sources(self, facts: Facts) -> list[fx.Node]:
        return [self.operands[position] for position in self._left(facts)]

    def settle(self, facts: Facts) -> bool:
        if self.whole is None:
            return False

        return facts.hold(self.node, self.whole, self.node.name)

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        if len(left := self._left(facts)) < len(self.operands):
            plan.operands[self.node.name] = left

        return {}

    def _one_after_the_other(self, facts: Facts) -> Units:
        parts, fixed = [], []

        for operand in self.operands:
            units = facts.on_axis(operand, self.axis)
            width = self.trace.shape(operand)[self.axis]
            fixed.append(torch.full((width,), units is None))
            parts.append(units or Units.varying(self.axis, facts.classes.fresh(width)))

        ends = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
        self._bounds = list(pairwise(ends))
        self.whole = torch.cat(fixed)
        return Units(
            self.axis,
            torch.cat([part.labels for part in parts]),
            torch.cat([part.constant for part in parts]),
            torch.cat([part.value.double() for part in parts]),
        )

    def _side_by_side(self, facts: Facts) -> Units | None:
        first = facts.units.get(self.operands[0])
        if first is None:
            return None

        constant = first.constant
        for operand in self.operands[1:]:
            units = facts.on_axis(operand, first.axis)
            if units is None or len(units) != len(first):
                return None

            facts.classes.unite(first.labels, units.labels)
            constant = constant & units.constant & (units.value == first.value)

        return first.with_values(constant, first.value)

    def _left(self, facts: Facts) -> list[int]:
        """The operands of which something is present; all, if that were none."""
        everything = list(range(len(self.operands)))
        if not self._bounds:
            return everything

        present = facts.present(self.node)
        left = [i for i in everything if present[slice(*self._bounds[i])].any()]
        return left or everything
