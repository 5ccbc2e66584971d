"""The plain network that a posterior stands for."""

from typing import Any

import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal
from torch import nn

from pyro_sparse.distributions import L0, EmpiricalNormal, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import freeze, masks

OPEN, SHUT = 60.0, -60.0


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, groups=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 6, 3, groups=2),
        nn.Flatten(),
        nn.Linear(6 * 36, 5),
    ).eval()


def decided(model: nn.Module) -> AutoSparse:
    """A guide without doubt: hardly any noise, gates open or shut."""
    guide = AutoSparse(model, init_scale=1e-9, gate=HardConcrete(logits=0.0))
    with torch.no_grad():
        for name, parameter in guide.named_parameters():
            if "gate" in name:
                coin = torch.rand_like(parameter) < 0.5
                parameter.copy_(torch.where(coin, OPEN, SHUT))
    return guide


@pytest.mark.parametrize("gate_dim", ["in", "out", "weight"])
def test_the_frozen_network_computes_what_the_program_computes(gate_dim: str) -> None:
    proper = Normal(0.0, 1.0)
    model = bayesianize(
        network(),
        weight=proper,
        bias=proper,
        gate=L0(0.1),
        gate_dim=lambda name, module: "out" if isinstance(module, nn.BatchNorm2d) else gate_dim,
    )
    guide = decided(model)
    frozen = freeze(model, guide)

    x = torch.randn(3, 4, 6, 6)
    draw = poutine.trace(guide).get_trace()
    with torch.no_grad():
        expected = poutine.replay(model, trace=draw)(x)
    assert frozen(x).allclose(expected, atol=1e-5)
    assert any((parameter == 0).any() for parameter in frozen.parameters())


def test_classes_and_names_are_the_first_ones() -> None:
    net = network()
    model = Classifier(bayesianize(net, weight=LogUniform(), gate=L0(0.1)), num_data=10)
    frozen = freeze(model, AutoSparse(model))
    assert isinstance(frozen, nn.Sequential) and type(frozen) is nn.Sequential
    assert [type(module) for module in frozen] == [type(module) for module in net]
    assert frozen.state_dict().keys() == net.state_dict().keys()
    assert all(isinstance(p, nn.Parameter) for p in frozen.parameters())
    assert repr(frozen) == repr(net)


def test_without_pressure_it_is_the_network_that_was_given() -> None:
    net = network()
    model = bayesianize(net, weight=LogUniform(), bias=Normal(0.0, 1.0))
    frozen = freeze(model, AutoSparse(model))
    for name, value in net.state_dict().items():
        # Means that happen to be small against the noise are dropped, all others are kept.
        kept = frozen.state_dict()[name] != 0
        assert frozen.state_dict()[name][kept].equal(value[kept])


def test_the_guide_and_the_model_stay_as_they_are() -> None:
    model = bayesianize(network(), gate=L0(0.1))
    guide = decided(model)
    before = {k: v.clone() for k, v in (guide.state_dict() | model.state_dict()).items()}
    with torch.no_grad():
        for parameter in freeze(model, guide).parameters():
            parameter.zero_()
    after = guide.state_dict() | model.state_dict()
    assert all(value.equal(after[name]) for name, value in before.items())


def test_multiplicative_scales_are_folded() -> None:
    model = bayesianize(nn.Linear(3, 2), gate=EmpiricalNormal())
    guide = AutoSparse(model)
    with torch.no_grad():
        guide.get_parameter("sites.gate.loc").copy_(torch.tensor([2.0, 1e-6, -1.0]))
    expected = model.get_parameter("weight") * torch.tensor([2.0, 0.0, -1.0])
    assert freeze(model, guide).get_parameter("weight").allclose(expected)


def test_tied_parameters_stay_tied() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    model = bayesianize(net, weight=Normal(0.0, 1.0))
    frozen = freeze(model, AutoSparse(model))
    assert frozen.get_submodule("0").weight is frozen.get_submodule("1").weight


def test_masks_may_be_given() -> None:
    model = bayesianize(nn.Linear(3, 2), weight=LogUniform())
    guide = AutoSparse(model)
    kept = masks(guide) | {"weight": torch.eye(2, 3, dtype=torch.bool)}
    frozen = freeze(model, guide, kept)
    assert (frozen.get_parameter("weight") != 0).equal(torch.eye(2, 3, dtype=torch.bool))


def bad_cases() -> list[tuple[Any, Any, str]]:
    model = bayesianize(nn.Linear(3, 2), weight=LogUniform())
    other = bayesianize(nn.Linear(3, 2), bias=Normal(0.0, 1.0))
    guide = AutoSparse(model)
    wrong_shape = {"weight": torch.ones(2, dtype=torch.bool)}
    wrong_site = {"w": torch.ones(2, 3, dtype=torch.bool)}
    return [
        (nn.Linear(3, 2), (guide,), "made by bayesianize"),
        (other, (guide,), r"\['bias'\] is missing"),
        (model, (guide, wrong_shape), r"'weight' is Boolean of shape \(2, 3\).*\(2,\)"),
        (model, (guide, wrong_site), "'w' is none of"),
        (model, (guide, {}), r"\['weight'\] is missing"),
    ]


@pytest.mark.parametrize(("model", "arguments", "message"), bad_cases())
def test_what_does_not_fit_is_named(model: nn.Module, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        freeze(model, *arguments)
