"""Linear layers and convolutions: the only operations that mix units, and that are cut."""

__all__ = ["Affine", "Layer"]

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Cut, Plan, orient, restore
from pyro_sparse.graph.rules.rule import Rule
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.units import Units


@dataclass(frozen=True)
class Layer:
    """Where a linear layer or convolution keeps its parameters, and how it uses them.

    Attributes:
        weight: path of the weight.
        bias: path of the bias, present or, if `bias_given` is false, possible; or None.
        bias_given: whether there is a bias.
        axis: axis of the units that go in and come out.
        groups: of a convolution; 1 elsewhere.
        transposed: whether the weight has its inputs first.
        uniform: whether constant inputs give constant outputs at all positions, which zero
            padding and transposed convolutions prevent.
        sizes: attributes that hold the numbers of inputs, outputs and groups.
    """

    weight: str
    bias: str | None
    bias_given: bool
    axis: int
    groups: int = 1
    transposed: bool = False
    uniform: bool = True
    sizes: tuple[str, str, str] = ("in_features", "out_features", "groups")


class Affine(Rule):
    r"""An output is :math:`\sum_i W_{oi} x_i + b_o`, with any number of taps in each W.

    An output is constant if only constants enter with weights other than 0; an input is needed
    if it enters a needed output that varies. A constant input is folded into the bias.
    """

    def __init__(self, node: fx.Node, trace: Trace, layer: Layer) -> None:
        super().__init__(node, trace)
        self.source: fx.Node = argument(node, 0, "input")
        self.layer = layer
        self._weight = self._oriented().cpu()
        self._inputs = Units.varying(layer.axis, torch.zeros(self.inputs, dtype=torch.long))
        self._folded = self._inputs.constant
        self._wanted = self._inputs.constant
        self._pattern = self._dense((self._weight != 0).unsqueeze(-1).flatten(2).any(-1))

    @property
    def owner(self) -> str:
        """Path of the module that holds the weight."""
        return self.layer.weight.rpartition(".")[0]

    @property
    def inputs(self) -> int:
        """The number of units that go in, those of all groups."""
        return self._weight.shape[1] * self.layer.groups

    @property
    def outputs(self) -> int:
        """The number of units that come out."""
        return len(self._weight)

    def forward(self, facts: Facts) -> Units:
        self._inputs = facts.on_axis(self.source, self.layer.axis) or self._inputs
        value = self._inputs.value.double()
        self._folded = self._inputs.constant & (self.layer.uniform | (value == 0))

        varying = self._pattern[:, ~self._folded].any(1)
        bias = self._bias() + self._contribution(self._folded)
        units = Units.varying(self.layer.axis, facts.classes.fresh(len(varying)))
        return units.with_values(~varying, bias)

    def backward(self, facts: Facts) -> None:
        rows = facts.need(self.node) & ~facts.units[self.node].constant
        self._wanted = self._pattern[rows].any(0) & ~self._folded

        tracked = facts.on_axis(self.source, self.layer.axis) is not None
        if tracked or self._wanted.any():
            facts.demand(self.source, self._wanted if tracked else None, by=self.node)

    def settle(self, facts: Facts) -> bool:
        if self.layer.groups > 1:
            return self._even_groups(facts)

        present = facts.present(self.node)
        missing = -int(present.sum()) % facts.round_to if present.any() else 0
        return facts.hold(self.node, _first(~present, missing), "round_to")

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Tensor]:
        present, rows = self._arriving(facts), facts.present(self.node)
        columns = self._columns(facts)
        self._note_kept(facts, plan)

        if columns.all() and rows.all():
            return {}

        if (columns != present).any():
            positions = columns[present].nonzero().flatten().tolist()
            plan.gathers[self.node.name] = (self.layer.axis, positions)

        groups = self._cut(plan, rows, columns)
        sizes = (int(columns.sum()), int(rows.sum()), groups)
        module = self.trace.root.get_submodule(self.owner)
        named = zip(self.layer.sizes, sizes, strict=True)
        if own := {name: size for name, size in named if hasattr(module, name)}:
            plan.sizes[self.owner] = own

        return {p: plan.cut(p, t) for p, t in self._with_constants(facts, columns).items()}

    def dead(self, facts: Facts) -> bool:
        """Whether nothing that goes in reaches any of the outputs."""
        return bool(facts.units[self.node].constant.all())

    def _arriving(self, facts: Facts) -> Tensor:
        if facts.on_axis(self.source, self.layer.axis) is None:
            return torch.ones(self.inputs, dtype=torch.bool)

        return facts.present(self.source)

    def _columns(self, facts: Facts) -> Tensor:
        """The inputs that are read, of those that arrive.

        The others are left out by a gather, which costs a copy: next to nothing for features,
        and the only way where the input of the network, or another whole tensor, arrives.
        """
        present = self._arriving(facts)
        whole = facts.on_axis(self.source, self.layer.axis) is None
        may = whole or self.layer.axis == -1 or facts.gather
        if self.layer.groups > 1 or not may:
            return present

        wanted = self._wanted & present
        missing = max(-int(wanted.sum()) % facts.round_to, 0 if wanted.any() else 1)
        return wanted | _first(present & ~wanted, missing)

    def _with_constants(self, facts: Facts, columns: Tensor) -> dict[str, Tensor]:
        """Weight and bias, uncut, with what disappears folded in."""
        units = facts.units[self.node]
        weight, bias = self._weight.clone(), self._bias()
        constant = units.constant
        weight[constant] = 0
        bias = torch.where(
            constant, units.value, bias + self._contribution(self._folded & ~columns)
        )

        original = self.trace.tensor(self.layer.weight)
        values = {self.layer.weight: self._restored(weight).to(original)}
        if self.layer.bias and (self.layer.bias_given or bias[facts.present(self.node)].any()):
            values[self.layer.bias] = bias.to(original)

        return values

    def _cut(self, plan: Plan, rows: Tensor, columns: Tensor) -> int:
        """Writes down what stays; returns the number of groups that do."""
        groups = self.layer.groups
        blocks = [c.nonzero().flatten().tolist() for c in columns.chunk(groups)]
        blocks = [block for block in blocks if block]
        index = rows.nonzero().flatten().tolist()
        transposed = groups if self.layer.transposed else 0

        plan.cuts[self.layer.weight] = Cut(index, columns=blocks, transposed=transposed)
        if self.layer.bias:
            plan.cuts[self.layer.bias] = Cut(index)

        return len(blocks)

    def _note_kept(self, facts: Facts, plan: Plan) -> None:
        present = facts.present(self.node)
        units = facts.units[self.node]
        idle = present & (units.constant | ~facts.need(self.node))

        if idle.any():
            plan.kept[self.owner] = idle.nonzero().flatten().tolist()
            reasons = {facts.reason(self.node, unit) for unit in plan.kept[self.owner]}
            plan.reasons[self.owner] = ", ".join(sorted(reasons))

    def _even_groups(self, facts: Facts) -> bool:
        """Groups must be of one size; a group of which anything is present has inputs, too."""
        whole = facts.on_axis(self.source, self.layer.axis) is None
        sides = [(self.node, facts.present(self.node))]
        sides += [] if whole else [(self.source, self._arriving(facts))]

        blocks = [mask.view(self.layer.groups, -1) for _, mask in sides]
        alive = torch.stack([block.any(1) for block in blocks]).any(0) | whole
        changed = False

        for (node, _), block in zip(sides, blocks, strict=True):
            count = block.sum(1, keepdim=True)
            missing = torch.where(alive.unsqueeze(1), count.max().clamp(min=1) - count, 0)
            changed |= facts.hold(node, _first(~block, missing).flatten(), "groups")

        return changed

    def _oriented(self) -> Tensor:
        """The weight as (outputs, inputs of a group, *taps)."""
        weight = self.trace.tensor(self.layer.weight)
        return orient(weight, self.layer.groups) if self.layer.transposed else weight

    def _restored(self, weight: Tensor) -> Tensor:
        return restore(weight, self.layer.groups) if self.layer.transposed else weight

    def _bias(self) -> Tensor:
        if self.layer.bias and self.layer.bias_given:
            return self.trace.tensor(self.layer.bias).double().cpu()

        return torch.zeros(self.outputs, dtype=torch.double)

    def _dense(self, blocks: Tensor) -> Tensor:
        """One (outputs, inputs) matrix from the blocks of all groups."""
        if self.layer.groups == 1:
            return blocks

        return torch.block_diag(*blocks.chunk(self.layer.groups)).to(blocks.dtype)

    def _contribution(self, which: Tensor) -> Tensor:
        """What these constant inputs add to each output."""
        value = self._inputs.value.double()
        columns = (which & (value != 0)).nonzero().flatten()
        if not len(columns):
            return torch.zeros(self.outputs, dtype=torch.double)

        if self.layer.groups > 1:
            taps = self._dense(self._weight.double().flatten(2).sum(-1))[:, columns]
        else:
            taps = self._weight[:, columns].double().unsqueeze(-1).flatten(2).sum(-1)

        return taps @ value[columns]


def _first(mask: Tensor, count: Tensor | int) -> Tensor:
    """The first `count` true entries of each row of a mask."""
    return mask & (mask.cumsum(-1) <= count)
