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
from pyro_sparse.graph.rules import Affine, BatchNorm, Heads, Rule, Through
from pyro_sparse.graph.trace import trace
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
    is. Gates count as independent, and a layer as alive as a whole: a chain of gated layers is
    exact up to the chance that a layer closes altogether; where a unit is read along several
    paths it is as exact as their independence.

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
        arriving, read = self._arriving(chances), self._read(chances)
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
            if isinstance(rule, Through):
                origins = self._origins[node].items()
                sources = [o.pick(varies[s]) for s, o in origins if _varies_with(rule, s)]
                some = _all(sources) if node in self._products else _any(sources)
            else:
                some = None
            varies[node] = _both(some, self._gate(chances, _owner(rule), "out"))

        return varies

    def _read(self, chances: Chances) -> dict[fx.Node, Chance]:
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
                    readers[source].append(self._origins[node][source].back(through))
                elif isinstance(rule, Affine) and self._tracked[node]:
                    readers[source].append(self._gate(chances, rule.owner, "in"))
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


def _varies_with(rule: Rule, source: fx.Node) -> bool:
    """Queries and keys say how values are averaged, which makes no constant vary."""
    return not isinstance(rule, Heads) or source is rule.value


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
