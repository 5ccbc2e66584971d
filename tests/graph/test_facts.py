import pytest
import torch
from torch import fx, nn

from pyro_sparse.graph.facts import Facts
from pyro_sparse.graph.trace import trace
from pyro_sparse.graph.units import Units


@pytest.fixture
def facts() -> Facts:
    return Facts(
        trace(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)), torch.ones(1, 3))
    )


def layers(facts: Facts) -> list[fx.Node]:
    """Both layers and the output, the first two with units that share one fate."""
    first, second = [n for n in facts.trace.graph.nodes if n.target in ("0", "2")]
    for node in (first, second):
        facts.units[node] = Units.varying(-1, facts.classes.fresh(3))

    facts.classes.unite(facts.units[first].labels, facts.units[second].labels)
    return [first, second, list(facts.trace.graph.nodes)[-1]]


def test_a_demand_makes_the_whole_class_present(facts: Facts) -> None:
    first, second, output = layers(facts)

    facts.demand(second, torch.tensor([False, True, False]), by=output)

    assert facts.need(first).tolist() == [False] * 3
    assert facts.present(first).tolist() == facts.present(second).tolist() == [False, True, False]
    assert facts.reason(first, 1) == "output"


def test_a_demand_for_everything(facts: Facts) -> None:
    first, second, _ = layers(facts)

    facts.demand(second, None, by=first)

    assert facts.need(second).all() and facts.present(first).all()
    assert facts.asked == {second}


def test_whole_nodes_are_only_asked(facts: Facts) -> None:
    first, _, _ = layers(facts)
    (start,) = [n for n in facts.trace.graph.nodes if n.op == "placeholder"]

    facts.demand(start, torch.zeros(3, dtype=torch.bool), by=first)
    assert not facts.asked

    facts.demand(start, None, by=first)
    assert facts.asked == {start}


def test_holding_tells_whether_it_was_news(facts: Facts) -> None:
    first, second, _ = layers(facts)
    one = torch.tensor([True, False, False])

    assert facts.hold(first, one, "round_to")
    assert not facts.hold(second, one, "round_to")


def test_units_on_another_axis(facts: Facts) -> None:
    first, _, output = layers(facts)

    assert facts.on_axis(first, -1) is facts.units[first]
    assert facts.on_axis(first, -3) is None
    assert facts.on_axis(output, -1) is None
