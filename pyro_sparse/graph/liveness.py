"""Which units of a network may go: one pass forward, one backward, then bookkeeping."""

__all__ = ["analyse", "forward_facts", "living"]

import torch
from torch import Tensor, fx

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules import (
    Affine,
    BatchNorm,
    Concat,
    Embedding,
    Heads,
    Join,
    Rule,
    rule_for,
)
from pyro_sparse.graph.trace import Trace

# Results that share no memory with an operand (an addition in place is in place itself).
FRESH = (Affine, BatchNorm, Concat, Embedding, Heads, Join)


def analyse(
    trace: Trace, round_to: int = 1, gather: bool = True, allow_empty: bool = False
) -> tuple[Plan, dict[str, Tensor]]:
    """The plan of a compact network, and the new values of its parameters and buffers.

    Args:
        trace: the network, with exact zeros where something shall go.
        round_to: keep units so that each layer has a multiple of this many.
        gather: let layers pick their inputs from what several layers read.
        allow_empty: do not raise if nothing of the input gets through a layer.
    """
    rules, facts = living(trace, round_to, gather)

    if not allow_empty:
        _require_life(rules, facts)

    plan, values = Plan(), dict[str, Tensor]()
    for rule in rules.values():
        values |= rule.rewrite(facts, plan)

    return plan, values


def living(
    trace: Trace, round_to: int = 1, gather: bool = True
) -> tuple[dict[fx.Node, Rule], Facts]:
    """The rules of the operations that stay, in order, and which of their units are present.

    Args:
        trace: as for `analyse`.
        round_to: as for `analyse`.
        gather: as for `analyse`.
    """
    rules, facts = forward_facts(trace, round_to, gather)
    nodes = list(rules)

    facts.asked.update(_ends(nodes))
    _backward(nodes, rules, facts)
    alive = _settle(nodes, rules, facts)
    return {node: rules[node] for node in alive}, facts


def forward_facts(
    trace: Trace, round_to: int = 1, gather: bool = True
) -> tuple[dict[fx.Node, Rule], Facts]:
    """The rules of all operations in order, and the units they make of one another's results.

    Args:
        trace: the network.
        round_to: as for `analyse`.
        gather: as for `analyse`.
    """
    rules = {node: rule_for(node, trace) for node in trace.graph.nodes}
    facts = Facts(trace, round_to, gather)
    overwritten = _overwritten(list(rules), rules, trace)
    facts.overwrites = bool(overwritten)

    for node, rule in rules.items():
        units = rule.forward(facts)
        if units is None:
            continue

        if node in overwritten:
            units = units.with_values(torch.zeros_like(units.constant), units.value)
        facts.units[node] = units

    return rules, facts


def _overwritten(nodes: list[fx.Node], rules: dict[fx.Node, Rule], trace: Trace) -> set[fx.Node]:
    """Tensors changed in place, by themselves or through a view, that are read once more.

    Their constants do not last.
    """
    changed: set[fx.Node] = set()
    waiting = [source for node in nodes if trace.in_place(node) for source in _first(node)]

    while waiting:
        source = waiting.pop()
        if source not in changed and trace.is_tensor(source):
            changed.add(source)
            waiting += [] if isinstance(rules[source], FRESH) else trace.tensors(source)

    return {source for source in changed if len(source.users) > 1}


def _first(node: fx.Node) -> list[fx.Node]:
    return [argument for argument in node.args[:1] if isinstance(argument, fx.Node)]


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


def _require_life(rules: dict[fx.Node, Rule], facts: Facts) -> None:
    layers = [rule for rule in rules.values() if isinstance(rule, Affine)]
    dead = [rule.owner or rule.node.name for rule in layers if rule.dead(facts)]

    if dead:
        raise ValueError(
            f"nothing of the input gets through {dead[0]}: all its outputs are constant, so the "
            "network would be, too. Use a milder criterion, or allow_empty=True to compact it "
            f"all the same. (Layers without a live output: {', '.join(dead)}.)"
        )
