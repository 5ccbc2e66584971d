"""Layers with parameters for every unit by itself: batch norm in evaluation mode, PReLU."""

__all__ = ["BatchNorm", "PReLU"]

from typing import Any

import torch
from torch import Tensor, fx, nn

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Cut, Plan
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


class PerUnit(Through):
    """A layer whose channels, dimension 1, do not mix.

    Args:
        node: the operation.
        trace: the network.
        paths: by name, its parameters and buffers with one entry a unit.
        size: the attribute that counts the units.
    """

    def __init__(self, node: fx.Node, trace: Trace, paths: dict[str, str], size: str) -> None:
        super().__init__(node, trace)
        self.source = trace.tensors(node)[0]
        self.axis = 1 - len(trace.shape(node))
        self.paths = paths
        self.size = size

    def tensor(self, name: str) -> Tensor | None:
        return self.trace.tensor(self.paths[name]).double().cpu() if name in self.paths else None

    def independent(self) -> Tensor | None:
        """Units whose result does not depend on the input, if there may be such."""
        return None

    def forward(self, facts: Facts) -> Units | None:
        units = facts.on_axis(self.source, self.axis)
        if units is None or not all(self.trace.exclusive(path) for path in self.paths.values()):
            return None

        constant, closed = units.constant, self.independent()
        if closed is not None:
            constant = constant | closed

        return units.with_values(constant, self.of_constants(units.value))

    def of_constants(self, value: Tensor) -> Tensor:
        """The result for a constant input of each unit, `(n,)`."""
        raise NotImplementedError

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        return {self.source: torch.arange(len(facts.units[self.node]))}

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        if self.node not in facts.units or (present := facts.present(self.node)).all():
            return {}

        cut = Cut(present.nonzero().flatten().tolist())
        plan.cuts |= dict.fromkeys(self.paths.values(), cut)
        owner = next(iter(self.paths.values())).rpartition(".")[0]
        plan.sizes[owner] = {self.size: len(cut.index)}
        return {path: cut(self.trace.tensor(path)) for path in self.paths.values()}


class BatchNorm(PerUnit):
    """Batch norm with its running statistics: a constant comes out where the weight is 0."""

    def __init__(self, node: fx.Node, trace: Trace, paths: dict[str, str], eps: float) -> None:
        super().__init__(node, trace, paths, "num_features")
        self.eps = eps
        self.owner = next(iter(paths.values())).rpartition(".")[0]

    def independent(self) -> Tensor | None:
        weight = self.tensor("weight")
        return None if weight is None else weight == 0

    def of_constants(self, value: Tensor) -> Tensor:
        mean, variance = self.tensor("running_mean"), self.tensor("running_var")
        weight, bias = self.tensor("weight"), self.tensor("bias")

        if mean is None or variance is None:
            # Statistics of the batch: a constant is its own mean.
            scaled = torch.zeros_like(value)
        else:
            scaled = (value - mean) / (variance + self.eps).sqrt()

        scaled = scaled if weight is None else scaled * weight
        return scaled if bias is None else scaled + bias


class PReLU(PerUnit):
    """A leaky ReLU with one learnt slope a channel."""

    def of_constants(self, value: Tensor) -> Tensor:
        slope = self.tensor("weight")
        assert slope is not None
        return nn.functional.relu(value) - slope * nn.functional.relu(-value)
