"""The state of one analysis: which units are constant, needed, and present in the end."""

__all__ = ["Facts"]

import torch
from torch import Tensor, fx

from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Classes, Units


class Facts:
    """What the rules of all operations read and write.

    A node without `units` is *whole*: nothing about it is known and all of it stays. A unit is
    *needed* where a different value would change an output of the network, and *present* if the
    compact network still computes its place. Needed units are present; so are units of the same
    class elsewhere, whose value does not matter unless they are constant.

    Attributes:
        trace: the network.
        classes: which units share one fate.
        units: the units of each node that is not whole.
        round_to: the number of units of a layer shall be a multiple of this.
        gather: whether a layer may pick channels from a tensor that others read as well.
        overwrites: whether the network writes into a tensor that it reads once more.
        asked: nodes whose result matters at all.
    """

    def __init__(self, trace: Trace, round_to: int = 1, gather: bool = True) -> None:
        self.trace = trace
        self.classes = Classes()
        self.units: dict[fx.Node, Units] = {}
        self.round_to = round_to
        self.gather = gather
        self.overwrites = False
        self.asked: set[fx.Node] = set()
        self._needs: dict[fx.Node, Tensor] = {}
        self._roots: dict[fx.Node, Tensor] = {}
        self._present = torch.zeros(0, dtype=torch.bool)
        self._reasons: dict[int, str] = {}

    def on_axis(self, node: fx.Node, axis: int) -> Units | None:
        """The units of a node, provided they lie along this axis."""
        units = self.units.get(node)
        return units if units is not None and units.axis == axis else None

    def demand(self, node: fx.Node, needed: Tensor | None, by: fx.Node) -> None:
        """Records that a user needs these units of a node, or with None all of it."""
        if needed is None or needed.any():
            self.asked.add(node)

        units = self.units.get(node)
        if units is None:
            return

        mask = torch.ones(len(units), dtype=torch.bool) if needed is None else needed
        self._needs[node] = self.need(node) | mask
        self.hold(node, mask, str(by.target) if by.op == "call_module" else by.name)

    def need(self, node: fx.Node) -> Tensor:
        """Which units of a node are needed by its users."""
        none = torch.zeros(len(self.units[node]), dtype=torch.bool)
        return self._needs.get(node, none)

    def hold(self, node: fx.Node, mask: Tensor, reason: str) -> bool:
        """Makes units present, with all of their classes; says whether any of them was not."""
        new = self._root(node)[mask & ~self.present(node)]
        self._present[new] = True
        self._reasons |= dict.fromkeys(new.tolist(), reason)
        return len(new) > 0

    def present(self, node: fx.Node) -> Tensor:
        """Which units of a node the compact network computes."""
        roots = self._root(node)
        return self._present[roots]

    def reason(self, node: fx.Node, unit: int) -> str:
        """Who made a unit present."""
        return self._reasons[int(self._root(node)[unit])]

    def _root(self, node: fx.Node) -> Tensor:
        # Asked only once all classes are united.
        if node not in self._roots:
            self._roots[node] = self.classes.roots(self.units[node].labels)
        if not len(self._present):
            self._present = torch.zeros(len(self.classes), dtype=torch.bool)

        return self._roots[node]
