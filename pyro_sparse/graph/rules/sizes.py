"""Reading the shape of a tensor."""

__all__ = ["Shape"]

import operator

from torch import fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.rules.rule import Rule
from pyro_sparse.graph.trace import argument
from pyro_sparse.graph.units import Units

ARITHMETIC = {operator.add, operator.sub, operator.mul, operator.floordiv}
RESHAPES = {"view", "reshape"}


class Shape(Rule):
    """`x.size(...)` or `x.shape`: how many units there are may only decide how to reshape."""

    def forward(self, facts: Facts) -> Units | None:
        return None

    def backward(self, facts: Facts) -> None:
        (source,) = self.trace.tensors(self.node)
        units = facts.units.get(source)

        if units is not None and not self._harmless(units.axis + len(self.trace.shape(source))):
            facts.demand(source, None, by=self.node)

    def _harmless(self, axis: int) -> bool:
        if isinstance(self.trace.results[self.node], int):
            dim = argument(self.node, 1, "dim")
            return self._names_another(dim, axis) or self._only_reshapes(self.node)

        for user in self.node.users:
            if user.target is not operator.getitem:
                return False
            if not self._names_another(user.args[1], axis) and not self._only_reshapes(user):
                return False

        return True

    def _names_another(self, dim: object, axis: int) -> bool:
        (source,) = self.trace.tensors(self.node)
        return isinstance(dim, int) and dim % len(self.trace.shape(source)) != axis

    def _only_reshapes(self, number: fx.Node) -> bool:
        """Whether a size, and all that is computed from it, is used for reshaping only."""
        for user in number.users:
            if user.target in ARITHMETIC and not self.trace.is_tensor(user):
                if not self._only_reshapes(user):
                    return False
            elif self.trace.name(user) not in RESHAPES:
                return False

        return True
