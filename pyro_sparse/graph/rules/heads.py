"""Attention: heads stay or go as a whole, in queries, keys, values and result alike."""

__all__ = ["Heads", "Picked"]

from typing import Any

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules.rule import Through
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.units import Units


class Heads(Through):
    r"""A result is an average of values over positions, :math:`y_h = A(q_h, k_h)\, v_h`.

    A value that is the same everywhere is its own average, as the attention weights sum to 1,
    except where a mask leaves nothing to attend to: behind a mask only zeros count as constant. A
    result that is needed needs its value, and all queries and keys of its head. Heads that
    have masks or readers of their attention weights stay.
    """

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        names = ("query", "key", "value")
        self.query, self.key, self.value = (argument(node, i, n) for i, n in enumerate(names))
        self.num_heads: int = trace.module(node).num_heads  # type: ignore[assignment]
        self._masks = [argument(node, 3, "key_padding_mask"), argument(node, 4, "attn_mask")]

    def forward(self, facts: Facts) -> Units | None:
        found = [facts.on_axis(node, -1) for node in (self.query, self.key, self.value)]
        sides = [units for units in found if units is not None]
        if len(sides) < 3 or len({len(units) for units in sides}) > 1:
            return None

        values = sides[-1]
        heads = values.labels.view(self.num_heads, -1)
        facts.classes.unite(heads[:, :1].expand_as(heads).flatten(), values.labels)
        for units in sides[:2]:
            facts.classes.unite(values.labels, units.labels)

        averaged = values.constant & ((values.value == 0) | (not any(self._given())))
        return values.with_values(averaged, values.value)

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        every = torch.arange(len(facts.units[self.node]))
        return dict.fromkeys((self.query, self.key, self.value), every)

    def backward(self, facts: Facts) -> None:
        units = facts.units.get(self.node)
        if units is None:
            super().backward(facts)
            return

        needed = facts.need(self.node) & ~units.constant
        heads = needed.view(self.num_heads, -1)
        whole = heads.any(1, keepdim=True).expand_as(heads).flatten()

        facts.demand(self.value, needed, by=self.node)
        for source in (self.query, self.key):
            facts.demand(source, whole, by=self.node)
        for source in self._given():
            facts.demand(source, None, by=self.node)

    def settle(self, facts: Facts) -> bool:
        if self.node not in facts.units or not self._told_apart():
            return False

        every = torch.ones(len(facts.units[self.node]), dtype=torch.bool)
        return facts.hold(self.node, every, "a mask for each head")

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Any]:
        if self.node not in facts.units or (present := facts.present(self.node)).all():
            return {}

        left = present.view(self.num_heads, -1).any(1)
        plan.sizes[str(self.node.target)] = {"num_heads": int(left.sum())}
        return {}

    def _given(self) -> list[fx.Node]:
        """The masks that are there."""
        return [mask for mask in self._masks if self.trace.is_tensor(mask)]

    def _told_apart(self) -> bool:
        mask = self._masks[1]
        return self.trace.is_tensor(mask) and len(self.trace.shape(mask)) == 3


class Picked(Through):
    """One of the two results of attention: what was attended to, or the attention weights."""

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        self.source: Any = node.args[0]
        self.first = node.args[1] == 0

    def forward(self, facts: Facts) -> Units | None:
        return facts.units.get(self.source) if self.first else None

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        return {self.source: torch.arange(len(facts.units[self.node]))}
