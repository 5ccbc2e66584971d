r"""Where the units of a network are gated so that closed ones can be taken out exactly."""

__all__ = ["GateSites", "gate_sites"]

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.graph.liveness import forward_facts, living
from pyro_sparse.graph.populations import Population, populations, readers_of_inputs
from pyro_sparse.graph.trace import Trace, trace
from pyro_sparse.nn.folding import fold_gate, make_affine
from pyro_sparse.nn.layer import Converted
from pyro_sparse.nn.layout import check_initialised, is_plain, layout_of
from pyro_sparse.nn.torch_attention import heads_of, projections_of, with_attention

Site = tuple[str, str]

# Closed units are tried here: a shortcut may be added to some units of a layer only.
STARTS = (0.0, 0.5)


class GateSites(dict[str, str]):
    r"""Where gates are, by module path: "in", "out" or "head". It prints as a table.

    A dictionary, which is what `bayesianize` takes as `gate_dim`; entries may be removed, changed
    and added first.

    Args:
        sites: The proposal.
        units: For each proposed (path, dim), the number of units and the layer that makes them.
        left_out: The layers whose units have no gate, and who would still need a closed one.
    """

    def __init__(
        self,
        sites: Mapping[str, str],
        units: dict[Site, tuple[int, str]],
        left_out: dict[str, str],
    ) -> None:
        super().__init__(sites)
        self.units = units
        self.left_out = left_out

    def __reduce__(self) -> Any:
        return type(self), (dict(self), self.units, self.left_out)

    def __repr__(self) -> str:
        rows = [("gate", "units", "of")]
        for site in self.items():
            size, maker = self.units.get(site, ("", ""))
            rows.append((" ".join(site), str(size), maker))
        rows += [("-", "", f"{maker} (needed by {user})") for maker, user in self.left_out.items()]

        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (zip(row, widths, strict=True) for row in rows)
        return "\n".join("  ".join(f"{c:{w}}" for c, w in line).rstrip() for line in lines)


def gate_sites(net: nn.Module, example_input: Tensor | tuple[Any, ...]) -> GateSites:
    r"""Proposes where each unit is gated once, so that closed units can be removed exactly.

    Heads of attention are gated where their output projection reads them ("head"). A unit is gated
    behind the batch norm that it goes through, if it goes through one; else a
    channel is gated where it leaves its convolution, a feature where it enters the next linear
    layer, and the features of the network's input where they enter the first. Every proposal is
    tried: a gate is closed, and `pyro_sparse.prune.compact`'s analysis must find that its unit
    can go. Where it cannot, the next place is tried, and if there is none the layer has no gate:
    the units of a residual stream, which others are added to, units under a grouped convolution,
    outputs of the network, and units that leave a constant behind that cannot be folded into
    what follows.

    Only the structure of the network counts, not the values of its parameters. Gates of a
    granularity of one's own, such as whole branches, are a function of (name, module) for
    `bayesianize` instead.

    Args:
        net: The network, before it is converted.
        example_input: A batch, or a tuple of the arguments of `net`; one or two examples suffice.

    Returns:
        A dictionary from module path to "in", "out" or "head", which goes into `bayesianize` as
        `gate_dim` and prints as a table.

    Raises:
        ValueError: The network cannot be traced.

    Example:
        >>> net = nn.Sequential(
        ...     nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(),
        ...     nn.Linear(32, 10), nn.Sigmoid(), nn.Linear(10, 2)
        ... )
        >>> sites = gate_sites(net, torch.zeros(1, 1, 4, 4))
        >>> sites
        gate   units  of
        1 out  8      0
        6 in   10     4
        -             6 (needed by output)
        >>> from pyro_sparse.distributions import L0
        >>> from pyro_sparse.nn import bayesianize
        >>> bayesian = bayesianize(net, gate=L0(0.1), gate_dim=sites)
    """

    for name, module in net.named_modules():
        check_initialised(name, module)
        if isinstance(module, Converted):
            raise ValueError(
                f"gate_sites looks at a network before it is converted, and '{name}' is Bayesian "
                "already. Give it the original network."
            )
    net = with_attention(copy.deepcopy(net))
    traced = _generic(net, example_input)
    rules, facts = forward_facts(traced)
    found = {p.node: p for p in populations(rules, facts)}
    places = {node: _places(population, net) for node, population in found.items()}
    needed: dict[fx.Node, str] = {}

    while True:
        chosen = _matching(found, places)
        failed: dict[fx.Node, str] = {}
        for start in STARTS:
            failed |= _still_needed(traced, net, found, chosen, start)
        needed |= failed
        for node in failed:
            places[node].remove(chosen[node])
        if not failed:
            break

    chosen = _once(found, chosen)
    return _table(net, found, chosen, needed, readers_of_inputs(rules, traced))


def _generic(net: nn.Module, example_input: Any) -> Trace:
    """The network with parameters that are no coincidence: no zeros, nothing equal.

    They are positive, and the means of norms negative, so that no constant a closed unit leaves
    is cut off by a ReLU.
    """
    root = copy.deepcopy(net)
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            make_affine(module)

    traced = trace(root, example_input)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in traced.root.parameters():
            if parameter.is_floating_point():
                parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
        for name, buffer in traced.root.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(-0.5 - torch.rand(buffer.shape, generator=generator))

    return traced


def _places(population: Population, net: nn.Module) -> list[Site]:
    """Where these units may be gated, best first."""
    if population.width > 1:
        # Heads go as a whole; where nobody reads them unmixed, those of the values are read.
        return [(population.reader, "head")] if population.reader in heads_of(net) else []

    layout = layout_of(net.get_submodule(population.maker))
    leaving = [(population.maker, "out")]
    entering = [(population.reader, "in")] if population.reader else []
    places = leaving + entering if layout and layout.positions else entering + leaving

    norms = [(path, "out") for path in population.norms]
    return norms + [(path, dim) for path, dim in places if _may_gate(net, path, dim)]


def _may_gate(net: nn.Module, path: str, dim: str) -> bool:
    module = net.get_submodule(path)
    layout = layout_of(module)
    return layout is not None and is_plain(module) and (dim == "out" or layout.in_dim is not None)


def _matching(
    found: dict[fx.Node, Population], places: dict[fx.Node, list[Site]]
) -> dict[fx.Node, Site]:
    """A place for as many populations as possible, as each module carries one gate."""
    chosen: dict[fx.Node, Site] = {}
    owner: dict[str, fx.Node] = {}

    def settle(node: fx.Node, tried: set[str]) -> bool:
        for path, dim in places[node]:
            if path in tried:
                continue

            tried.add(path)
            if path not in owner or settle(owner[path], tried):
                owner[path], chosen[node] = node, (path, dim)
                return True

        return False

    for node, population in reversed(found.items()):
        if population.follower not in chosen:
            settle(node, set())

    return chosen


def _still_needed(
    traced: Trace,
    net: nn.Module,
    found: dict[fx.Node, Population],
    chosen: dict[fx.Node, Site],
    start: float,
) -> dict[fx.Node, str]:
    """Closes one gate at each site; the populations that lose no unit, and who needs it.

    The first one closed is the unit that lies at the share `start` of its population.
    """
    turn: Counter[int] = Counter()
    closed: dict[fx.Node, int] = {}
    values = {name: parameter.clone() for name, parameter in traced.root.named_parameters()}

    with torch.no_grad():
        for node, (path, dim) in chosen.items():
            # A unit that others are added to goes when all of them are closed: never the same.
            population = found[node]
            first = int(start * population.size)
            closed[node] = (first + turn[population.kin]) % population.size
            turn[population.kin] += 1
            _close(traced.root, net, path, dim, closed[node])

        _, facts = living(traced)
        for name, parameter in traced.root.named_parameters():
            parameter.copy_(values[name])

    rows = {n: unit * found[n].width for n, unit in closed.items()}
    return {n: facts.reason(n, row) for n, row in rows.items() if facts.present(n)[row]}


def _close(root: nn.Module, net: nn.Module, path: str, dim: str, unit: int) -> None:
    layer = net.get_submodule(path)
    size = heads_of(net)[path] if dim == "head" else _width(layer, dim)
    for name in ("weight", "bias"):
        parameter = dict(root.get_submodule(path).named_parameters()).get(name)
        if parameter is None:
            continue

        gate = torch.ones(size, dtype=parameter.dtype, device=parameter.device)
        gate[unit] = 0
        parameter.copy_(fold_gate(layer, name, parameter, gate, dim))


def _width(layer: Any, dim: str) -> int:
    layout = layout_of(layer)
    if layout is None:
        return int(layer.num_features)

    axis = layout.in_dim if dim == "in" else layout.out_dim
    assert axis is not None
    return layout.units(layer.weight, axis)


def _once(found: dict[fx.Node, Population], chosen: dict[fx.Node, Site]) -> dict[fx.Node, Site]:
    """One site for populations that go together, such as the factors of a product."""
    first = {found[node].kin: node for node in reversed(found) if node in chosen}
    return {node: site for node, site in chosen.items() if first[found[node].kin] is node}


def _table(
    net: nn.Module,
    found: dict[fx.Node, Population],
    chosen: dict[fx.Node, Site],
    needed: dict[fx.Node, str],
    inputs: list[str],
) -> GateSites:
    # What attention projects is a residual stream, which its other readers keep.
    taken = {path for path, _ in chosen.values()} | projections_of(net)
    units: dict[Site, tuple[int, str]] = {
        (path, "in"): (_width(net.get_submodule(path), "in"), "the input")
        for path in inputs
        if path not in taken and _may_gate(net, path, "in")
    }
    units |= {chosen[n]: (p.size, p.maker) for n, p in found.items() if n in chosen}
    left_out = {found[n].maker: user for n, user in needed.items() if n not in chosen}
    order = [p.maker for p in found.values()]
    return GateSites(dict(units.keys()), units, {m: left_out[m] for m in order if m in left_out})
