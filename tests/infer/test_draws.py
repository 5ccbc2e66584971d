"""Global draws: one ordinary sample of every site, whatever the guide says of local noise."""

from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from torch import nn

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.infer.draws import evaluating, global_draws, guide_draw, law_of, model_draw
from pyro_sparse.local import Deferred, Local, peel


def guide(*_: object) -> None:
    pyro.sample("w", Local(Normal(torch.zeros(3, 2), 1.0)).to_event(2))
    pyro.sample("z", Local(HardConcrete(logits=torch.zeros(2))).to_event(1))
    pyro.sample("b", Normal(0.0, 1.0))


def model(x: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
    weight = pyro.sample("w", Normal(0.0, 1.0).expand([3, 2]).to_event(2))
    gate = pyro.sample("z", Bernoulli(0.5 * torch.ones(2)).to_event(1))
    bias = pyro.sample("b", Normal(0.0, 1.0))
    mean = pyro.deterministic("mean", (x * gate) @ weight.T + bias)

    with pyro.plate("data", len(x)):
        return pyro.sample("y", Normal(mean, 1.0).to_event(1), obs=y)


def test_guide_draw_gives_numbers() -> None:
    nodes = guide_draw(guide)

    assert list(nodes) == ["w", "z", "b"]
    assert not any(isinstance(node["value"], Deferred) for node in nodes.values())
    assert nodes["w"]["value"].shape == (3, 2)
    assert nodes["w"]["fn"].event_dim == 2
    assert isinstance(peel(nodes["z"]["fn"]), HardConcrete)


def test_a_number_may_be_used_twice() -> None:
    weight = guide_draw(guide)["w"]["value"]

    assert torch.equal(torch.ones(4, 2) @ weight.T, torch.ones(4, 2) @ weight.T)


def test_masks_and_roles_are_kept() -> None:
    law = Local(Normal(torch.zeros(2), 1.0), role="gate").mask(torch.tensor([True, False]))

    with pyro.poutine.trace() as tracer, global_draws():
        pyro.sample("z", law.to_event(1))

    node: Any = tracer.trace.nodes["z"]
    expected = Normal(0.0, 1.0).log_prob(node["value"][0])
    assert node["fn"].log_prob(node["value"]) == pytest.approx(float(expected))
    assert node["fn"].base_dist.base_dist.role == "gate"


def test_other_laws_are_left_alone() -> None:
    law = Normal(torch.zeros(2), 1.0).to_event(1)

    with pyro.poutine.trace() as tracer, global_draws():
        pyro.sample("w", law)

    assert tracer.trace.nodes["w"]["fn"] is law


def test_a_model_takes_the_values_of_the_guide() -> None:
    values = {name: node["value"] for name, node in guide_draw(guide).items()}
    x, y = torch.randn(5, 2), torch.randn(5, 3)

    sites = model_draw(model, values, x, y)

    mean = (x * values["z"]) @ values["w"].T + values["b"]
    assert set(sites) == {"w", "z", "b", "y"}
    assert sites["y"]["value"] is y
    assert torch.allclose(sites["y"]["fn"].mean, mean)


def test_what_a_guide_leaves_open_is_drawn() -> None:
    sites = model_draw(model, {"w": torch.zeros(3, 2), "z": torch.ones(2)}, torch.zeros(5, 2))

    assert torch.equal(sites["y"]["fn"].mean, sites["b"]["value"].expand(5, 3))
    assert sites["y"]["value"].shape == (5, 3)


def test_the_model_stops_at_the_law_asked_for() -> None:
    passed = []

    def long(x: torch.Tensor) -> None:
        pyro.sample("y", Normal(x, 1.0))
        passed.append("y")

    law = law_of("y", long, {}, torch.ones(2))

    assert torch.equal(law.mean, torch.ones(2))
    assert passed == []


def test_handlers_around_hear_nothing() -> None:
    with pyro.poutine.trace() as tracer:
        values = {name: node["value"] for name, node in guide_draw(guide).items()}
        model_draw(model, values, torch.zeros(5, 2))

    assert not tracer.trace.nodes


def test_evaluating_restores_each_module() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    net[1].eval()

    with pytest.raises(RuntimeError), evaluating(net, guide):
        assert [m.training for m in net.modules()] == [False, False, False]
        raise RuntimeError

    assert [m.training for m in net.modules()] == [True, True, False]
