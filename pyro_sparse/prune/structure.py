"""Which units of a network live on which gates: read off once, asked with any chances."""

__all__ = ["Structure", "Use"]

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.liveness import forward_facts
from pyro_sparse.graph.plan import orient
from pyro_sparse.graph.rules import Affine, BatchNorm, Concat, Heads, Join, Rule, Through
from pyro_sparse.graph.rules.heads import Picked
from pyro_sparse.graph.rules.rearrange import Rearrange
from pyro_sparse.graph.trace import Trace, trace
from pyro_sparse.nn import bayesian_layers
from pyro_sparse.prune.count import count
from pyro_sparse.prune.freeze import freeze
from pyro_sparse.prune.mask import posteriors

Chance = Tensor | None  # of each unit; None where all are certain
Chances = Mapping[str, Tensor]  # by site


@dataclass(frozen=True)
class Use:
    """One use of a layer's weight, and the chances that its units take part.

    Attributes:
        layer: path of the layer.
        groups: of a convolution; 1 elsewhere.
        transposed: whether the weight has its inputs first.
        arriving: for every input the chance that it varies, `(in,)`; None for 1.
        read: for every output the chance that something depends on it, `(out,)`; None for 1.
    """

    layer: str
    groups: int
    transposed: bool
    arriving: Chance
    read: Chance

    def share(self) -> Tensor | None:
        """The share of products that is left; None for all of them."""
        sides = [
            s.view(self.groups, -1).mean(1) for s in (self.arriving, self.read) if s is not None
        ]
        return math.prod(sides[1:], start=sides[0]).mean() if sides else None

    def nonzeros(self, kept: Tensor) -> Tensor:
        """The number of weights that are left, if each is kept with this chance.

        Args:
            kept: a chance for each weight, of the weight's shape.
        """
        whole = orient(kept, self.groups) if self.transposed else kept
        blocks = whole.reshape(self.groups, -1, whole.shape[1], math.prod(whole.shape[2:])).sum(-1)
        if self.arriving is not None:
            blocks = blocks * self.arriving.view(self.groups, 1, -1)
        if self.read is not None:
            blocks = blocks * self.read.view(self.groups, -1, 1)
        return blocks.sum()


class Structure:
    """The operations of a bayesianized network, and what each does to the chances of units.

    A unit arrives if the gates behind its producer are open, and is read if a consumer's gate
    is. Gates count as independent, and a layer as alive as a whole, one of several groups as
    each group: a chain of gated layers is exact up to the chance that a layer closes altogether;
    where a unit is read along several paths it is as exact as their independence.

    Args:
        model: a network made by `bayesianize`, or a model around one.
        guide: its guide.
        example_input: a batch, or a tuple of the arguments of the network.
        *args: arguments of a guide written by hand.
        **kwargs: its keyword arguments.

    Attributes:
        dense: the costs of the network with all gates open.
        gates: by layer, the side and the site of its gate, for gates on units.
        weights: by layer, the sites of its weight and of its gate on single weights, if any.
    """

    def __init__(
        self,
        model: nn.Module,
        guide: Callable,
        example_input: Tensor | tuple[Any, ...],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        layers = list(bayesian_layers(model))
        self.gates = {
            layer.path: (str(layer.gate_dim), layer.sources["gate"].site)
            for layer in layers
            if layer.gate_dim in {"in", "out", "head"}
        }
        self._head_dims = {
            layer.path: int(layer.in_features) // layer.sources["gate"].shape.numel()
            for layer in layers
            if layer.gate_dim == "head"
        }
        self.weights = {layer.path: _sites_of_weight(layer) for layer in layers}

        net = _with_everything(model, guide, *args, **kwargs)
        self.dense = count(net, example_input)
        self._read_off(net, example_input)

    def uses(self, chances: Chances) -> list[Use]:
        """The chances of all units, layer by layer.

        Args:
            chances: by site of a gate, the chance that it is open; sites left out are open.
        """
        arriving = self._arriving(chances)
        read = self._read(chances, arriving)
        uses = []
        for node, rule in self._affine.items():
            arrives = arriving[rule.source] if self._tracked[node] else None
            entering = _both(arrives, self._gate(chances, rule.owner, "in"))
            leaving = _both(read[node], self._gate(chances, rule.owner, "out"))
            layer = rule.layer
            uses.append(Use(rule.owner, layer.groups, layer.transposed, entering, leaving))
        heads = [Use(path, 1, False, arriving[n], read[n]) for n, path in self._heads.items()]
        return uses + heads

    def _read_off(self, net: nn.Module, example_input: Tensor | tuple[Any, ...]) -> None:
        device = next(net.parameters()).device
        generator = torch.Generator(device).manual_seed(0)
        for parameter in net.parameters():
            # Any numbers, as long as none is 0 and no two are alike.
            nn.init.uniform_(parameter, 0.1, 0.2, generator)

        traced = trace(net, example_input)
        self._rules, facts = forward_facts(traced)
        self._units = set(facts.units)
        self._origins = {n: _origins(n, r, facts, device) for n, r in self._rules.items()}
        self._products = {node for node in self._rules if traced.name(node) == "mul"}
        self._zeros = _zeros(traced, self._rules, self._origins, self.gates, device)
        self._certain = {
            node
            for node, rule in self._rules.items()
            if isinstance(rule, Join)
            and node not in self._products
            and len(self._origins[node]) < len(node.all_input_nodes)
        }
        self._whole = {
            node: rule.whole.to(device)
            for node, rule in self._rules.items()
            if isinstance(rule, Concat) and rule.whole is not None
        }
        self._affine = {n: r for n, r in self._rules.items() if isinstance(r, Affine)}
        self._heads = {
            n: str(n.target)
            for n, r in self._rules.items()
            if isinstance(r, Heads) and n in self._units
        }
        self._tracked = {
            node: facts.on_axis(rule.source, rule.layer.axis) is not None
            for node, rule in self._affine.items()
        }

    def _gate(self, chances: Chances, path: str, side: str) -> Chance:
        here, site = self.gates.get(path, ("", ""))
        if here == "head" and side == "in" and site in chances:
            return chances[site].repeat_interleave(self._head_dims[path])
        return chances.get(site) if here == side else None

    def _arriving(self, chances: Chances) -> dict[fx.Node, Chance]:
        """For every unit the chance that it varies at all, from the inputs on."""
        varies: dict[fx.Node, Chance] = {}

        for node, rule in self._rules.items():
            if node not in self._units:
                continue
            some = self._made(node, rule, varies, chances)
            varies[node] = _both(some, self._gate(chances, _owner(rule), "out"))

        return varies

    def _made(
        self, node: fx.Node, rule: Rule, varies: dict[fx.Node, Chance], chances: Chances
    ) -> Chance:
        """The chance that what a unit is made of varies, whatever its own gate is."""
        if isinstance(rule, Affine) and self._tracked[node]:
            entering = _both(varies[rule.source], self._gate(chances, rule.owner, "in"))
            return _across(entering, rule, rule.outputs)
        if not isinstance(rule, Through) or node in self._certain:
            return None

        sides = {s: o for s, o in self._origins[node].items() if _varies_with(rule, s)}
        closing = self._closing(node)
        some = [o.pick(varies[s]) for s, o in sides.items() if not closing or s in closing]
        chance = _all(some) if closing else _any(some)
        whole = self._whole.get(node)
        return chance if chance is None or whole is None else torch.where(whole, 1.0, chance)

    def _closing(self, node: fx.Node) -> set[fx.Node]:
        """The factors of a product that make it 0 where their units are closed."""
        return self._zeros & set(self._origins[node]) if node in self._products else set()

    def _through(self, node: fx.Node, source: fx.Node, arriving: dict[fx.Node, Chance]) -> Chance:
        """The chance that no other factor hides this operand's units from the result's reader."""
        others = self._closing(node) - {source}
        return _all([self._origins[node][o].pick(arriving[o]) for o in others])

    def _read(self, chances: Chances, arriving: dict[fx.Node, Chance]) -> dict[fx.Node, Chance]:
        """For every unit the chance that an output of the network depends on it."""
        readers: dict[fx.Node, list[Chance]] = {node: [] for node in self._units}
        read: dict[fx.Node, Chance] = {}

        for node, rule in reversed(self._rules.items()):
            if node in self._units:
                read[node] = _any(readers[node])
            for source in node.all_input_nodes:
                if source not in readers:
                    continue
                if source in self._origins[node]:
                    through = _both(read[node], self._gate(chances, _owner(rule), "out"))
                    through = _both(through, self._through(node, source, arriving))
                    readers[source].append(self._origins[node][source].back(through))
                elif isinstance(rule, Affine) and self._tracked[node]:
                    leaving = _both(read[node], self._gate(chances, rule.owner, "out"))
                    read_by = _across(leaving, rule, rule.inputs)
                    readers[source].append(_both(read_by, self._gate(chances, rule.owner, "in")))
                else:
                    readers[source].append(None)

        return read


class _Origin:
    """Where the units of a result come from among those of an operand."""

    def __init__(self, index: Tensor, count: int, device: torch.device) -> None:
        here = index >= 0
        self.count = count
        self.same = torch.equal(index, torch.arange(count))
        self.certain = bool(here.all())
        self.positions = here.nonzero().flatten().to(device)
        self.index = index[here].to(device)
        self.clamped = index.clamp(min=0).to(device)
        self.mask = here.to(device)

    def pick(self, chance: Chance) -> Chance:
        """The chances at the origins; a unit from nowhere is a constant."""
        if chance is None:
            return None if self.certain else self.mask.to(torch.get_default_dtype())
        if self.same:
            return chance
        return torch.where(self.mask, chance[self.clamped], 0)

    def back(self, chance: Chance) -> Chance:
        """The chances that one of the units that come from it is read, for each origin."""
        if self.same:
            return chance
        if chance is None:
            ones = torch.ones(self.count, device=self.index.device)
            return 1 - ones.index_fill(0, self.index, 0)
        ignored = chance.new_ones(self.count)
        return 1 - ignored.scatter_reduce(0, self.index, 1 - chance[self.positions], "prod")


def _origins(
    node: fx.Node, rule: Rule, facts: Facts, device: torch.device
) -> dict[fx.Node, _Origin]:
    if not isinstance(rule, Through) or node not in facts.units:
        return {}

    origins = rule.origin(facts).items()
    return {s: _Origin(index, len(facts.units[s]), device) for s, index in origins}


def _zeros(
    traced: Trace,
    rules: dict[fx.Node, Rule],
    origins: dict[fx.Node, dict[fx.Node, _Origin]],
    gates: dict[str, tuple[str, str]],
    device: torch.device,
) -> set[fx.Node]:
    """Results whose closed units are exactly 0, and not another constant."""
    found: set[fx.Node] = set()

    def value(source: fx.Node) -> Tensor:
        if source.op == "get_attr":
            return traced.tensor(str(source.target))
        return torch.zeros(traced.shape(source), device=device)

    for node, rule in rules.items():
        if isinstance(rule, Affine | BatchNorm):
            closed = gates.get(rule.owner, ("", ""))[0] == "out"
        else:
            sources = {s for s in origins[node] if s.op != "get_attr"}
            closed = bool(sources) and sources <= found
            if closed and not isinstance(rule, Concat | Heads | Picked | Rearrange):
                inputs = {s: value(s) for s in traced.tensors(node)}
                closed = not traced.run(node, inputs).any()
        if closed:
            found.add(node)

    return found


def _varies_with(rule: Rule, source: fx.Node) -> bool:
    """Queries and keys say how values are averaged, which makes no constant vary."""
    if source.op == "get_attr":
        return False
    return not isinstance(rule, Heads) or source is rule.value


def _across(chance: Chance, layer: Affine, units: int) -> Chance:
    """The chance of any unit of a group, for each of the units on the other side of the layer.

    A layer without groups is as alive as a whole.
    """
    groups = layer.layer.groups
    if chance is None or groups == 1:
        return None
    some = 1 - (1 - chance.view(groups, -1)).prod(1)
    return some.repeat_interleave(units // groups)


def _owner(rule: Rule) -> str:
    return rule.owner if isinstance(rule, Affine | BatchNorm) else ""


def _both(left: Chance, right: Chance) -> Chance:
    if left is None or right is None:
        return right if left is None else left
    return left * right


def _all(chances: list[Chance]) -> Chance:
    known = [chance for chance in chances if chance is not None]
    return torch.stack(known).prod(0) if known else None


def _any(chances: list[Chance]) -> Chance:
    """The chance of at least one; None if one is certain, or there are none to ask."""
    known = [chance for chance in chances if chance is not None]
    if len(known) < len(chances) or not known:
        return None
    if len(known) == 1:
        return known[0]
    return 1 - torch.stack([1 - chance for chance in known]).prod(0)


def _sites_of_weight(layer: Any) -> list[str]:
    names = ["weight", "gate"] if layer.gate_dim == "weight" else ["weight"]
    return [layer.sources[name].site for name in names if name in layer.sources]


def _with_everything(model: nn.Module, guide: Callable, *args: Any, **kwargs: Any) -> nn.Module:
    everything = {
        site: torch.ones(p.law.batch_shape, dtype=torch.bool, device=p.law.mean.device)
        for site, p in posteriors(guide, *args, **kwargs).items()
    }
    return freeze(model, guide, everything, *args, **kwargs)
