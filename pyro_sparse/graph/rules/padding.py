"""Padding with whole channels, as the parameter-free shortcut of residual networks does."""

__all__ = ["ChannelPadding"]

from typing import Any

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.units import Units


class ChannelPadding(Through):
    """Puts constant units before and after those there are: `F.pad(x, (0, 0, 0, 0, 8, 8))`."""

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        self.source = trace.tensors(node)[0]
        self.amounts: list[int] = list(argument(node, 1, "pad"))
        self.axis = -len(self.amounts) // 2
        self._inner = slice(0)

    def forward(self, facts: Facts) -> Units | None:
        units = facts.on_axis(self.source, self.axis)
        if units is None:
            return None

        before, after = self.amounts[-2:]
        self._inner = slice(before, before + len(units))
        value = float(argument(self.node, 3, "value") or 0.0)

        def around(inside: Tensor, fill: float) -> Tensor:
            ends = [torch.full((n,), fill, dtype=inside.dtype) for n in (before, after)]
            return torch.cat([ends[0], inside, ends[1]])

        fresh = facts.classes.fresh(before + after)
        labels = torch.cat([fresh[:before], units.labels, fresh[before:]])
        padded = Units.varying(self.axis, labels)
        return padded.with_values(around(units.constant, True), around(units.value, value))

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        index = torch.full((len(facts.units[self.node]),), -1)
        index[self._inner] = torch.arange(self._inner.stop - self._inner.start)
        return {self.source: index}

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        if self.node not in facts.units:
            return {}

        present = facts.present(self.node)
        ends = (present[: self._inner.start], present[self._inner.stop :])
        amounts = [*self.amounts[:-2], *(int(end.sum()) for end in ends)]
        if amounts != self.amounts:
            plan.paddings[self.node.name] = amounts

        return {}
