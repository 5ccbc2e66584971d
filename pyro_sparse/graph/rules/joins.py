"""Operations on two tensors, number by number: residual additions, products, shifts."""

__all__ = ["Attribute", "Join"]


import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Cut, Plan
from pyro_sparse.graph.rules.rule import Input, Through
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


class Attribute(Input):
    """A parameter or buffer that the network reads by itself.

    Its units are those of the tensor it is joined with; until then it is whole.
    """

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Tensor]:
        if self.node not in facts.units or facts.present(self.node).all():
            return {}

        path = str(self.node.target)
        tensor = self.trace.tensor(path)
        index = facts.present(self.node).nonzero().flatten().tolist()
        plan.cuts[path] = Cut(index, dim=facts.units[self.node].axis + tensor.dim())
        return {path: plan.cuts[path](tensor)}


class Join(Through):
    """An elementwise function of two tensors: a unit of one goes only with that of the other.

    An operand that is constant altogether, a dead branch, is replaced by its value, or dropped
    where it changes nothing, so that all that computes it disappears.
    """

    def __init__(self, node: fx.Node, trace: Trace) -> None:
        super().__init__(node, trace)
        self._operands = trace.tensors(node)
        self._aligned: set[fx.Node] = set()
        self._dead: fx.Node | None = None
        self._value: Tensor | None = None

    def forward(self, facts: Facts) -> Units | None:
        left, right = self._operands

        for dead, other in ((left, right), (right, left)):
            if self._is_dead(dead, other, facts):
                return self._without(dead, other, facts)

        return self._joined(facts)

    def origin(self, facts: Facts) -> dict[fx.Node, Tensor]:
        every = torch.arange(len(facts.units[self.node]))
        return dict.fromkeys(self._aligned, every)

    def sources(self, facts: Facts) -> list[fx.Node]:
        return [source for source in self.node.all_input_nodes if source is not self._dead]

    def rewrite(self, facts: Facts, plan: Plan) -> dict[str, Tensor]:
        if self._dead is None:
            return {}

        position = self.node.args.index(self._dead)
        if self._value is None:
            plan.aliases[self.node.name] = 1 - position
            return {}

        plan.constants[self.node.name] = position
        whole = self.node not in facts.units or len(self._value) != len(facts.units[self.node])
        value = self._value if whole else self._value[facts.present(self.node)]
        return {f"{self.node.name}_constant": value}

    def _is_dead(self, operand: fx.Node, other: fx.Node, facts: Facts) -> bool:
        units, others = facts.units.get(operand), facts.units.get(other)
        if units is None or operand.op == "get_attr" or not units.constant.all():
            return False

        alive = others is None or not others.constant.all()
        return alive and self.trace.shape(other) == self.trace.shape(self.node)

    def _without(self, dead: fx.Node, other: fx.Node, facts: Facts) -> Units | None:
        constant, units = facts.units[dead], facts.units.get(other)
        self._dead = dead
        self._aligned = {other}

        # Without the operation its result would be the operand itself, and change with it.
        if self._changes_nothing(constant.value) and not facts.overwrites:
            return units

        ones = [1] * (-constant.axis - 1)
        self._value = constant.value.reshape(-1, *ones).to(self.trace.results[dead].dtype)

        if units is None or units.axis == constant.axis:
            return units and self._combined(units, {dead: constant, other: units})
        # The constant varies along one axis, the units lie along another.
        return Units.varying(units.axis, units.labels)

    def _changes_nothing(self, value: Tensor) -> bool:
        second = self.node.args.index(self._dead) == 1
        name = self.trace.name(self.node)

        if name == "add" or (name == "sub" and second):
            return not value.any()
        if name == "mul" or (name in {"div", "truediv"} and second):
            return bool((value == 1).all())

        return False

    def _joined(self, facts: Facts) -> Units | None:
        shape = self.trace.shape(self.node)
        tracked = [o for o in self._operands if o in facts.units]
        if not tracked:
            return None

        lead = max(tracked, key=lambda operand: len(facts.units[operand]))
        units = facts.units[lead]
        if shape[units.axis] != len(units):
            return None

        (other,) = [o for o in self._operands if o is not lead]
        known = {lead: units}
        if _span(self.trace.shape(other), units.axis) == len(units):
            same = facts.on_axis(other, units.axis) or self._of_attribute(other, units, facts)
            if same is None:
                return None

            facts.classes.unite(units.labels, same.labels)
            known[other] = same

        self._aligned = set(known)
        return self._combined(units, known)

    def _of_attribute(self, node: fx.Node, like: Units, facts: Facts) -> Units | None:
        """Units of a parameter of the network, which nobody else may read."""
        if node.op != "get_attr" or not self.trace.exclusive(str(node.target)):
            return None

        tensor = self.trace.tensor(str(node.target)).double().cpu()
        rows = tensor.movedim(like.axis, 0).reshape(len(like), -1)
        units = Units.varying(like.axis, facts.classes.fresh(len(like)))
        facts.units[node] = units.with_values((rows == rows[:, :1]).all(1), rows[:, 0])
        return facts.units[node]

    def _combined(self, units: Units, known: dict[fx.Node, Units]) -> Units:
        """The result where both operands are constant, or one is 0 and multiplies."""
        values = {o: known[o].value if o in known else units.value for o in self._operands}
        constant = torch.ones(len(units), dtype=torch.bool)
        zero = torch.zeros(len(units), dtype=torch.bool)

        for operand in self._operands:
            if operand in known:
                constant = constant & known[operand].constant
                zero = zero | (known[operand].constant & (known[operand].value == 0))
            else:
                constant = torch.zeros_like(constant)

        value = self.trace.run(self.node, values)
        if self.trace.name(self.node) == "mul":
            constant, value = constant | zero, torch.where(zero, torch.zeros_like(value), value)

        return units.with_values(constant, value)


def _span(shape: torch.Size, axis: int) -> int:
    return shape[axis] if len(shape) >= -axis else 1
