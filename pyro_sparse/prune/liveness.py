"""Which units of a network may go: one pass forward, one backward, then bookkeeping."""

__all__ = ["analyse"]

import torch
from torch import Tensor, fx

from pyro_sparse.prune.facts import Facts
from pyro_sparse.prune.plan import Plan
from pyro_sparse.prune.rules import Affine, Rule, rule_for
from pyro_sparse.prune.trace import Trace


def analyse(
    trace: Trace, round_to: int = 1, allow_empty: bool = False
) -> tuple[Plan, dict[str, Tensor]]:
    """The plan of a compact network, and the new values of its parameters and buffers.

    Args:
        trace: the network, with exact zeros where something shall go.
        round_to: keep units so that each layer has a multiple of this many.
        allow_empty: do not raise if nothing of the input gets through a layer.
    """
    facts = Facts(trace, round_to)
    nodes: list[fx.Node] = list(trace.graph.nodes)
    rules = {node: rule_for(node, trace) for node in nodes}

    _forward(nodes, rules, facts)
    facts.asked.update(_ends(nodes))
    _backward(nodes, rules, facts)
    alive = _settle(nodes, rules, facts)

    if not allow_empty:
        _require_life(alive, rules, facts)

    plan, values = Plan(), dict[str, Tensor]()
    for node in alive:
        values |= rules[node].rewrite(facts, plan)

    return plan, values


def _forward(nodes: list[fx.Node], rules: dict[fx.Node, Rule], facts: Facts) -> None:
    overwritten = _overwritten(nodes, facts.trace)

    for node in nodes:
        units = rules[node].forward(facts)
        if units is None:
            continue

        if node in overwritten:
            units = units.with_values(torch.zeros_like(units.constant), units.value)
        facts.units[node] = units


def _overwritten(nodes: list[fx.Node], trace: Trace) -> set[fx.Node]:
    """Tensors changed in place that are read once more: their constants do not last."""
    changed = (node.args[0] for node in nodes if node.args and trace.in_place(node))
    return {source for source in changed if isinstance(source, fx.Node) and len(source.users) > 1}


def _backward(nodes: list[fx.Node], rules: dict[fx.Node, Rule], facts: Facts) -> None:
    for node in reversed(nodes):
        if node in facts.asked:
            rules[node].backward(facts)
            facts.asked.update(n for n in node.all_input_nodes if not facts.trace.is_tensor(n))


def _settle(nodes: list[fx.Node], rules: dict[fx.Node, Rule], facts: Facts) -> list[fx.Node]:
    """Makes units present until every operation can work; returns the nodes that are left."""
    while True:
        alive = _reached(nodes, rules, facts)
        if not facts.asked.issuperset(alive):
            facts.asked.update(alive)
            _backward(nodes, rules, facts)

        changed = [rules[node].settle(facts) for node in alive]
        changed += [_not_empty(node, facts) for node in alive if node in facts.units]
        if not any(changed):
            return alive


def _reached(nodes: list[fx.Node], rules: dict[fx.Node, Rule], facts: Facts) -> list[fx.Node]:
    """The nodes that outputs still depend on."""
    reached = set(_ends(nodes))

    for node in reversed(nodes):
        if node in reached:
            reached.update(rules[node].sources(facts))

    return [node for node in nodes if node in reached]


def _ends(nodes: list[fx.Node]) -> list[fx.Node]:
    """The output, and what is there for its effect alone, such as writing into a tensor."""
    return [n for n in nodes if n.op == "output" or not (n.users or n.op == "placeholder")]


def _not_empty(node: fx.Node, facts: Facts) -> bool:
    present = facts.present(node)
    first = torch.arange(len(present)) == 0
    return not present.any() and facts.hold(node, first, "a layer needs one unit")


def _require_life(alive: list[fx.Node], rules: dict[fx.Node, Rule], facts: Facts) -> None:
    layers = [rule for node in alive if isinstance(rule := rules[node], Affine)]
    dead = [rule.owner or rule.node.name for rule in layers if rule.dead(facts)]

    if dead:
        raise ValueError(
            f"nothing of the input gets through {dead[0]}: all its outputs are constant, so the "
            "network would be, too. Use a milder criterion, or allow_empty=True to compact it "
            f"all the same. (Layers without a live output: {', '.join(dead)}.)"
        )
