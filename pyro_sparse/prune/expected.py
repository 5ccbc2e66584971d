"""How many multiply-adds a network will need once its gates are drawn, on average."""

__all__ = ["expected_macs"]

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from pyro_sparse.distributions import Gate
from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.liveness import forward_facts
from pyro_sparse.graph.rules import Affine, BatchNorm, Rule, Through
from pyro_sparse.graph.trace import Trace, trace
from pyro_sparse.nn import bayesian_layers
from pyro_sparse.prune.count import count
from pyro_sparse.prune.criterion import resolve
from pyro_sparse.prune.freeze import freeze
from pyro_sparse.prune.mask import Posterior, posteriors

Gates = Mapping[str, tuple[str, Tensor]]


def expected_macs(
    model: nn.Module,
    guide: Callable,
    example_input: Tensor | tuple[Any, ...],
    *args: Any,
    **kwargs: Any,
) -> dict[str, Tensor]:
    r"""The expected multiply-adds of each layer, differentiable in the gates' parameters.

    A product of input i and output o is computed if i arrives (the gates behind its producer and
    before this layer are open) and o is read (some consumer's gate is open). Gates count as
    independent, and a layer as alive as a whole, so that the sum over i and o factorises:

    .. math::
        E[\mathrm{MACs}] = \mathrm{positions} \cdot
        \sum_i P(i \text{ arrives}) \sum_o P(o \text{ is read})

    For a penalty or a constraint on the cost of the network. A chain of gated layers is exact up
    to the chance that a layer closes altogether; where a unit is read along several paths it is
    as exact as their independence. Single zeros save nothing here, and gates on single weights
    do not count. Gates whose law has no P(active), normal scales, count as open or closed by
    their criterion.

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide; gradients need an `AutoSparse`.
        example_input: A batch, or a tuple of the arguments of the network.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.

    Returns:
        By layer, a scalar for one example; their sum is that of the network.
    """
    found = posteriors(guide, *args, **kwargs)
    gates = _gates(model, found)
    everything = {
        site: torch.ones(p.law.batch_shape, dtype=torch.bool, device=p.law.mean.device)
        for site, p in found.items()
    }
    net = freeze(model, guide, everything, *args, **kwargs)
    dense = count(net, example_input)

    with torch.no_grad():
        for parameter in net.parameters():
            # Any numbers, as long as none is 0 and no two are alike.
            nn.init.uniform_(parameter, 0.1, 0.2)

    traced = trace(net, example_input)
    rules, facts = forward_facts(traced)
    arriving, read = _arriving(traced, rules, facts, gates), _read(traced, rules, facts, gates)
    macs = {row.name: torch.tensor(float(row.macs)) for row in dense.layers if row.macs}

    for node, rule in rules.items():
        if isinstance(rule, Affine) and rule.owner in macs:
            incoming = _incoming(rule, arriving, facts, gates)
            outgoing = read[node] * _gate(gates, rule.owner, "out", read[node])
            share = _share(incoming, outgoing, rule.layer.groups)
            macs[rule.owner] = macs[rule.owner].to(share) * share

    return macs


def _gates(model: nn.Module, found: Mapping[str, Posterior]) -> Gates:
    """Side and probability of the gates of each layer, by path."""
    gates = {}
    for layer in bayesian_layers(model):
        if layer.gate_dim in {"in", "out"}:
            posterior = found[layer.sources["gate"].site]
            gates[layer.path] = (str(layer.gate_dim), _probability(posterior))

    return gates


def _probability(posterior: Posterior) -> Tensor:
    if isinstance(posterior.law, Gate):
        return posterior.law.prob_active

    kept = resolve("auto")(posterior.law, posterior.role, posterior.prior)
    return kept.to(posterior.law.mean)


def _gate(gates: Gates, path: str, side: str, like: Tensor) -> Tensor:
    here, probability = gates.get(path, ("", None))
    return probability if probability is not None and here == side else torch.ones_like(like)


def _arriving(
    traced: Trace, rules: Mapping[fx.Node, Rule], facts: Facts, gates: Gates
) -> dict[fx.Node, Tensor]:
    """For every unit the probability that it varies at all, from the inputs on."""
    varies: dict[fx.Node, Tensor] = {}

    for node, rule in rules.items():
        if node not in facts.units:
            continue

        ones = _ones(traced, len(facts.units[node]))
        if isinstance(rule, Through):
            sources = [_pick(varies[s], index) for s, index in rule.origin(facts).items()]
            varies[node] = _all(sources) if traced.name(node) == "mul" else _any(sources)
            varies[node] = varies[node] * _gate_of_norm(rule, gates, ones)
        else:
            owner = rule.owner if isinstance(rule, Affine) else ""
            varies[node] = _gate(gates, owner, "out", ones)

    return varies


def _read(
    traced: Trace, rules: Mapping[fx.Node, Rule], facts: Facts, gates: Gates
) -> dict[fx.Node, Tensor]:
    """For every unit the probability that an output of the network depends on it."""
    ignored = {node: _ones(traced, len(units)) for node, units in facts.units.items()}

    for node, rule in reversed(list(rules.items())):
        origin = rule.origin(facts) if isinstance(rule, Through) and node in facts.units else {}

        for source in node.all_input_nodes:
            if source not in ignored:
                continue
            if source in origin:
                through = (1 - ignored[node]) * _gate_of_norm(rule, gates, ignored[node])
                ignored[source] = _scattered(ignored[source], origin[source], 1 - through)
            elif isinstance(rule, Affine) and facts.on_axis(source, rule.layer.axis):
                ignored[source] = ignored[source] * (
                    1 - _gate(gates, rule.owner, "in", ignored[source])
                )
            else:
                ignored[source] = torch.zeros_like(ignored[source])

    return {node: 1 - chance for node, chance in ignored.items()}


def _incoming(
    rule: Affine, arriving: Mapping[fx.Node, Tensor], facts: Facts, gates: Gates
) -> Tensor:
    width = rule.trace.tensor(rule.layer.weight).shape[0 if rule.layer.transposed else 1]
    width = width if rule.layer.transposed else width * rule.layer.groups
    tracked = facts.on_axis(rule.source, rule.layer.axis) is not None
    arrives = arriving[rule.source] if tracked else _ones(rule.trace, width)
    return arrives * _gate(gates, rule.owner, "in", arrives)


def _share(incoming: Tensor, outgoing: Tensor, groups: int) -> Tensor:
    """The share of products that is left."""
    pairs = incoming.view(groups, -1).mean(1) * outgoing.view(groups, -1).mean(1)
    return pairs.mean()


def _gate_of_norm(rule: Rule, gates: Gates, like: Tensor) -> Tensor:
    owner = rule.owner if isinstance(rule, BatchNorm) else ""
    return _gate(gates, owner, "out", like)


def _ones(traced: Trace, count: int) -> Tensor:
    like = next(traced.root.parameters())
    return torch.ones(count, dtype=like.dtype, device=like.device)


def _pick(varies: Tensor, index: Tensor) -> Tensor:
    """The chance at the origin of each unit; a unit from nowhere is a constant."""
    index = index.to(varies.device)
    return torch.where(index >= 0, varies[index.clamp(min=0)], torch.zeros_like(varies[:1]))


def _all(chances: list[Tensor]) -> Tensor:
    return torch.stack(chances).prod(0)


def _any(chances: list[Tensor]) -> Tensor:
    return 1 - torch.stack([1 - chance for chance in chances]).prod(0)


def _scattered(ignored: Tensor, index: Tensor, chance: Tensor) -> Tensor:
    """Multiplies the chances of being ignored at the origins of units."""
    index = index.to(ignored.device)
    here = index >= 0
    return ignored.scatter_reduce(0, index[here], chance[here], "prod")
