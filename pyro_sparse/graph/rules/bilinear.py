"""Bilinear layers: every output reads products of two inputs."""

__all__ = ["Bilinear"]

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Cut, Plan
from pyro_sparse.graph.rules.rule import Rule
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


class Bilinear(Rule):
    r"""An output is :math:`\sum_{ij} W_{oij} x_i y_j + b_o`.

    Inputs that are always 0 go, and those no weight reads. A constant other than 0 stays: it
    scales what the other side says.
    """

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        self.owner = str(node.target)
        self.sides = trace.tensors(node)
        self._pattern = trace.tensor(f"{self.owner}.weight").cpu() != 0

    def forward(self, facts: Facts) -> Units:
        pattern = self._pattern & self._open(facts)
        bias = self.trace.module(self.node).bias
        value = torch.zeros(len(pattern)) if bias is None else bias.detach().cpu()  # type: ignore

        units = Units.varying(-1, facts.classes.fresh(len(pattern)))
        return units.with_values(~pattern.flatten(1).any(1), value)

    def backward(self, facts: Facts) -> None:
        rows = facts.need(self.node) & ~facts.units[self.node].constant
        read = (self._pattern & self._open(facts))[rows].any(0)

        for side, wanted in zip(self.sides, (read.any(1), read.any(0)), strict=True):
            tracked = facts.on_axis(side, -1) is not None
            if tracked or wanted.any():
                facts.demand(side, wanted if tracked else None, by=self.node)

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Tensor]:
        rows = facts.present(self.node)
        columns = [self._arriving(side, n, facts) for side, n in self._widths()]
        if rows.all() and all(column.all() for column in columns):
            return {}

        index, first, second = (m.nonzero().flatten().tolist() for m in (rows, *columns))
        names = ("out_features", "in1_features", "in2_features")
        plan.sizes[self.owner] = dict(zip(names, map(len, (index, first, second)), strict=True))
        plan.cuts[f"{self.owner}.weight"] = Cut(index, columns=[first], second=second)
        plan.cuts[f"{self.owner}.bias"] = Cut(index)

        paths = [
            f"{self.owner}.{name}" for name, _ in self.trace.module(self.node).named_parameters()
        ]
        return {path: plan.cut(path, self.trace.tensor(path)) for path in paths}

    def _widths(self) -> list[tuple[fx.Node, int]]:
        return list(zip(self.sides, self._pattern.shape[1:], strict=True))

    def _arriving(self, side: fx.Node, width: int, facts: Facts) -> Tensor:
        if facts.on_axis(side, -1) is None:
            return torch.ones(width, dtype=torch.bool)

        return facts.present(side)

    def _open(self, facts: Facts) -> Tensor:
        """Which products of two inputs are not 0 for good."""
        ways = []
        for side, width in self._widths():
            units = facts.on_axis(side, -1)
            closed = units.constant & (units.value == 0) if units else torch.zeros(width) > 0
            ways.append(~closed)

        return ways[0].unsqueeze(1) & ways[1]
