"""Embeddings: tables whose columns are units."""

__all__ = ["Embedding"]

from typing import Any

from torch import fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Cut, Plan
from pyro_sparse.graph.rules.rule import Rule
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


class Embedding(Rule):
    """A table of vectors: a column of equal entries is a constant; no row is ever removed."""

    def __init__(self, node: fx.Node, trace: Trace, path: str) -> None:
        super().__init__(node, trace)
        self.path = path

    def forward(self, facts: Facts) -> Units | None:
        if not self.trace.exclusive(self.path):
            return None

        table = self.trace.tensor(self.path).double().cpu()
        units = Units.varying(-1, facts.classes.fresh(table.shape[1]))
        return units.with_values((table == table[:1]).all(0), table[0])

    def backward(self, facts: Facts) -> None:
        pass

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        if self.node not in facts.units or (present := facts.present(self.node)).all():
            return {}

        plan.cuts[self.path] = Cut(present.nonzero().flatten().tolist(), dim=1)
        plan.sizes[self.path.rpartition(".")[0]] = {"embedding_dim": int(present.sum())}
        return {self.path: plan.cuts[self.path](self.trace.tensor(self.path))}
