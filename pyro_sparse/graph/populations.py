"""The units that each layer makes, and the places they pass before they are mixed again."""

__all__ = ["Population", "populations", "readers_of_inputs"]

from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.rules import Affine, BatchNorm, Embedding, Rule
from pyro_sparse.graph.rules.bilinear import Bilinear
from pyro_sparse.graph.trace import Trace
from pyro_sparse.graph.units import Units


@dataclass
class Population:
    """The units that one layer makes.

    Attributes:
        node: the operation of the layer.
        size: the number of units that can go by themselves: heads, where units form heads.
        maker: path of the layer.
        norms: paths of the batch norms that these units, and no others, go through.
        reader: path of the only layer that mixes them with each other, if these are all it reads.
        follower: the layer behind, if it is depthwise, so that its units are these once more.
        width: how many features each of them has.
        kin: a number that populations share whose units must go together.
    """

    node: fx.Node
    size: int
    maker: str
    norms: list[str]
    reader: str | None
    follower: fx.Node | None
    width: int
    kin: int


def populations(rules: dict[fx.Node, Rule], facts: Facts) -> list[Population]:
    """The units of all layers, in the order of the graph.

    Args:
        rules: the rules of all operations, asked `forward` already.
        facts: what they said.
    """
    makers = [n for n, r in rules.items() if isinstance(r, Affine | Embedding | Bilinear)]
    found = (_population(n, rules, facts) for n in makers if n in facts.units)
    return [population for population in found if population is not None]


def readers_of_inputs(rules: dict[fx.Node, Rule], trace: Trace) -> list[str]:
    """Paths of the linear layers that read features of the network's input, unmixed.

    Args:
        rules: the rules of all operations.
        trace: the network.
    """
    layers = [(n, r) for n, r in rules.items() if isinstance(r, Affine) and r.layer.axis == -1]
    return [
        path for n, rule in layers if _comes_in(rule.source, trace) and (path := _path(n, rules))
    ]


def _population(node: fx.Node, rules: dict[fx.Node, Rule], facts: Facts) -> Population | None:
    units, maker = facts.units[node], _path(node, rules)
    if maker is None:
        return None

    norms = [n for n, r in rules.items() if isinstance(r, BatchNorm) and _same(units, n, facts)]
    roots = facts.classes.roots(units.labels).tolist()
    own, width = set(roots), _width(roots)
    readers = [n for n, rule in rules.items() if _mixes(rule, own, facts)]
    reader = readers[0] if len(readers) == 1 else None
    whole = reader is not None and _same(units, _source(rules[reader]), facts)

    return Population(
        node,
        len(units) // width,
        maker,
        [path for norm in norms if (path := _path(norm, rules))],
        _path(reader, rules) if reader is not None and whole else None,
        reader if reader is not None and whole and _is_depthwise(rules[reader]) else None,
        width,
        min(own),
    )


def _width(roots: list[int]) -> int:
    """How many units in a row share one fate, if it is the same number all along."""
    count = len(set(roots))
    width = len(roots) // count
    rows = [set(roots[i : i + width]) for i in range(0, len(roots), width)]
    return width if len(roots) == width * count and all(len(r) == 1 for r in rows) else 1


def _path(node: fx.Node, rules: dict[fx.Node, Rule]) -> str | None:
    """Path of the module that runs at this node, if its own parameters are what is used."""
    rule = rules[node]
    stack: Any = node.meta.get("nn_module_stack") or {"": ("",)}
    owner = rule.path.rpartition(".")[0] if isinstance(rule, Embedding) else rule.owner  # type: ignore[attr-defined]
    return owner if owner == list(stack.values())[-1][0] else None


def _source(rule: Rule) -> fx.Node:
    assert isinstance(rule, Affine)
    return rule.source


def _mixes(rule: Rule, own: set[int], facts: Facts) -> bool:
    if isinstance(rule, Affine):
        sources = [rule.source]
    elif isinstance(rule, Bilinear):
        sources = rule.sides
    else:
        return False

    read = [facts.units[source] for source in sources if source in facts.units]
    return any(own & set(facts.classes.roots(units.labels).tolist()) for units in read)


def _same(units: Units, node: fx.Node, facts: Facts) -> bool:
    other = facts.units.get(node)
    return other is not None and torch.equal(units.labels, other.labels)


def _is_depthwise(rule: Rule) -> bool:
    width = len(rule.trace.tensor(rule.layer.weight)) if isinstance(rule, Affine) else 0
    return isinstance(rule, Affine) and rule.layer.groups == width > 1


def _comes_in(node: fx.Node, trace: Trace) -> bool:
    """Whether a tensor is an input of the network but for its shape."""
    while trace.name(node) in {"flatten", "view", "reshape", "identity", "pointwise", "dropout"}:
        (node,) = trace.tensors(node)

    return node.op == "placeholder"
