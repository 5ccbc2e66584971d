"""What a budget allows, and by which sites each layer is made to keep to it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.limits import limits, meant
from pyro_sparse.infer.sizes import Sizes
from pyro_sparse.nn import bayesianize


def sizes(net: nn.Module, gate_dim: Any = "in", width: int = 8) -> Sizes:
    model = bayesianize(net, gate=L0(0.0), gate_dim=gate_dim)
    return Sizes(model, AutoSparse(model, init_gate_prob=0.9), torch.zeros(2, width), "weights")


def test_layers_share_one_limit_or_have_one_each() -> None:
    found = sizes(mlp(8, 20, 20, 3))

    together, each = limits(found, 0.5, False), limits(found, 0.5, True)

    assert together.allowed.tolist() == [310.0] and together.layers == []
    assert set(together.sites[0]) == {"fc1.gate", "fc2.gate", "fc3.gate"}
    assert each.allowed.tolist() == [80.0, 200.0, 30.0] and each.layers == [0, 1, 2]


def test_a_number_is_taken_as_it_is() -> None:
    assert limits(sizes(mlp(8, 20, 20, 3)), 200, False).allowed.tolist() == [200.0]


def test_layers_close_their_own_gates() -> None:
    found = limits(sizes(mlp(8, 20, 20, 3)), 0.5, True)

    assert found.sites == [["fc1.gate"], ["fc2.gate"], ["fc3.gate"]]
    assert found.own == [True, True, True]


def test_layers_without_a_gate_close_those_that_no_layer_owns() -> None:
    """Here the gates of two norms; the layer between reads both."""
    net = nn.Sequential(
        *(nn.Linear(8, 6), nn.BatchNorm1d(6)),
        *(nn.Linear(6, 6), nn.BatchNorm1d(6)),
        nn.Linear(6, 2),
    )
    found = limits(sizes(net, {"1": "out", "3": "out"}), 0.5, True)

    assert [set(sites) for sites in found.sites] == [{"1.gate"}, {"1.gate", "3.gate"}, {"3.gate"}]
    assert found.own == [False, False, False]


def test_what_cannot_be_reached_is_named() -> None:
    found = sizes(mlp(8, 20, 20, 3))

    with pytest.raises(ValueError, match=r"one unit left behind each gate, the network has 5 of"):
        limits(found, 4, False)
    with pytest.raises(ValueError, match=r"layer 'fc3' has 3 of 60 weights, 5%"):
        limits(found, 0.04, True)


def test_what_is_meant() -> None:
    assert meant(0.1, None, None) == ("weights", 0.1)
    assert meant(None, 1000, None) == ("macs", 1000)
    assert meant(None, None, 0.75) == ("weights", 0.25)
    half: Any = np.float32(0.5)
    assert meant(half, None, None) == ("weights", 0.5)
    with pytest.raises(ValueError, match="one of weights, macs and sparsity"):
        meant(0.1, 0.1, None)
