"""What compaction must know about an operation."""

__all__ = ["Input", "Opaque", "Rule", "Through"]

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


class Rule(ABC):
    """How the units that go into one operation relate to those that come out.

    The rules of all nodes are asked `forward` in order, then `backward` in reverse order, then
    `settle` until nothing changes any more, and at last `rewrite`.
    """

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        self.node = node
        self.trace = trace

    @abstractmethod
    def forward(self, facts: Facts) -> Units | None:
        """The units of the result and what is constant in them; None for a whole result."""

    @abstractmethod
    def backward(self, facts: Facts) -> None:
        """Demands of the operands what the needed units of the result depend on."""

    def sources(self, facts: Facts) -> list[fx.Node]:
        """The operands that the compact network still reads."""
        return self.node.all_input_nodes

    def settle(self, facts: Facts) -> bool:
        """Makes more units present where the operation cannot do without; says if it did."""
        return False

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        """Writes down what changes; returns new values of parameters and buffers by path."""
        return {}


class Through(Rule):
    """An operation that units pass through, without meeting any others but of their class."""

    @abstractmethod
    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        """Which unit of each operand a unit of the result comes from; -1 for none, `(n,)`.

        Asked only if the result has units. Operands that are not named are needed as a whole.
        """

    def backward(self, facts: Facts) -> None:
        units = facts.units.get(self.node)
        origin = {} if units is None else self.origin(facts)
        needed = None if units is None else facts.need(self.node) & ~units.constant

        for source in self.sources(facts):
            if source not in origin or needed is None:
                facts.demand(source, None, by=self.node)
                continue

            index = origin[source]
            mask = torch.zeros(len(facts.units[source]), dtype=torch.bool)
            mask[index[needed & (index >= 0)]] = True
            facts.demand(source, mask, by=self.node)


class Input(Rule):
    """An input of the network, or a parameter read by itself: whole."""

    def forward(self, facts: Facts) -> Units | None:
        return None

    def backward(self, facts: Facts) -> None:
        pass


class Opaque(Rule):
    """An operation nothing is known about, or the output: it needs its operands as they are."""

    def forward(self, facts: Facts) -> Units | None:
        return None

    def backward(self, facts: Facts) -> None:
        for source in self.trace.tensors(self.node):
            facts.demand(source, None, by=self.node)
