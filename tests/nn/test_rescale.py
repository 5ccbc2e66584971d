"""Weights made up for their gates: the first outputs are those of the network without gates."""

from typing import Any

import pytest
import torch
from pyro import condition
from torch import nn

from pyro_sparse.distributions import L0, L2, EmpiricalNormal, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize, rescale_weights
from tests.nn.networks import Tied, old

GATE = L0(1.0)


def net() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    ).eval()


def dims(name: str, module: nn.Module) -> str | None:
    return {"0": "in", "1": "out", "4": "weight"}.get(name)


@pytest.mark.parametrize(
    "laws", [{}, {"weight": LogUniform()}, {"weight": L2(1.0), "bias": L2(1.0)}]
)
@pytest.mark.parametrize("gate_dim", ["in", "out", dims], ids=["in", "out", "mixed"])
def test_with_mean_gates_it_is_the_network_without_gates(laws: Any, gate_dim: Any) -> None:
    original, x = net(), torch.randn(5, 2, 4, 4)
    model = bayesianize(original, gate=GATE, gate_dim=gate_dim, **laws)
    guide = AutoSparse(model, init_gate_prob=0.7)

    rescale_weights(model, guide)

    means = {name: law.mean.detach() for name, law in guide.laws().items()}
    assert all((mean < 0.8).all() for name, mean in means.items() if name.endswith("gate"))
    torch.testing.assert_close(condition(model, means)(x), original(x))


def test_scales_that_start_at_one_change_nothing() -> None:
    original = nn.Linear(3, 2)
    model = bayesianize(original, weight=LogUniform(), gate=EmpiricalNormal())
    guide = AutoSparse(model)

    rescale_weights(model, guide)

    torch.testing.assert_close(guide.location("weight").data, original.weight.data)


def test_layers_without_gates_are_left_alone() -> None:
    original = net()
    model = bayesianize(original, weight=LogUniform(), gate=GATE, gate_dim={"1": "out"})
    guide = AutoSparse(model)

    rescale_weights(model, guide)

    torch.testing.assert_close(guide.location("4.weight").data, old(original)["4.weight"])


def test_what_cannot_be_rescaled_is_an_error() -> None:
    def gated(original: nn.Module, **laws: Any) -> None:
        model = bayesianize(original, gate=GATE, gate_dim="out", **laws)
        rescale_weights(model, AutoSparse(model))

    for laws in ({"weight": LogUniform()}, {}):
        with pytest.raises(ValueError, match="those of 'embedding' are used by several layers"):
            gated(Tied(), **laws)

    bare = nn.Sequential(nn.BatchNorm1d(3, affine=False))
    model = bayesianize(bare, gate=GATE, gate_dim={"0": "out"})
    with pytest.raises(ValueError, match=r"'0' \(BatchNorm1d\) is gated and has no weight"):
        rescale_weights(model, AutoSparse(model))


def test_locations() -> None:
    guide = AutoSparse(bayesianize(nn.Linear(3, 2), weight=LogUniform(), gate=GATE))

    assert guide.location("weight") is guide.get_parameter("sites.weight.loc")
    with pytest.raises(ValueError, match=r"'gate' has \['base__logits'\]"):
        guide.location("gate")
    with pytest.raises(ValueError, match="'nothing' has no family"):
        guide.location("nothing")
