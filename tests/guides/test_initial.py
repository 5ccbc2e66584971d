import math

import pytest
import torch
from torch import nn

from pyro_sparse.distributions import EmpiricalNormal, LogUniform
from pyro_sparse.guides import AutoSparse, fan_in, fan_in_scale
from pyro_sparse.nn import bayesianize
from tests.common import assert_mean


def test_weights_keep_the_size_of_activations() -> None:
    for shape in [(50, 200), (100, 4, 5, 5)]:
        weights = fan_in()("w", torch.Size(shape)).double().flatten()
        assert_mean(weights.square() * math.prod(shape[1:]), 2.0)
        assert_mean(weights, 0.0)

    assert not fan_in()("b", torch.Size([7])).any()


def test_the_gain() -> None:
    shape = torch.Size([20, 10])
    torch.manual_seed(0)
    one = fan_in(1.0)("w", shape)
    torch.manual_seed(0)

    torch.testing.assert_close(fan_in(3.0)("w", shape), 3 * one)


def test_scales() -> None:
    assert fan_in_scale(0.1)("w", torch.Size([3, 4, 5, 5])) == pytest.approx(0.01)
    assert fan_in_scale(0.1)("b", torch.Size([3])) == pytest.approx(0.1)


def test_a_guide_starts_there() -> None:
    net = bayesianize(
        nn.Sequential(nn.Linear(400, 3)), weight=LogUniform(), gate=EmpiricalNormal()
    )
    guide = AutoSparse(net, init=fan_in(), init_scale=fan_in_scale(0.2))

    scales = {name: law.variance.sqrt() for name, law in guide.laws().items()}
    assert_mean((guide.location("0.weight").detach() * 10).square().double().flatten(), 1 / 2)
    torch.testing.assert_close(scales["0.weight"], torch.full((3, 400), 0.01))
    torch.testing.assert_close(scales["0.gate"], torch.full((400,), 0.2))


def test_bad_values() -> None:
    with pytest.raises(ValueError, match=r"gain is a positive number, got 0"):
        fan_in(0)
    with pytest.raises(ValueError, match=r"factor is a positive number, got -1"):
        fan_in_scale(-1)
    with pytest.raises(ValueError, match=r"positive standard deviations, got 0.0 for 'weight'"):
        AutoSparse(
            bayesianize(nn.Linear(2, 2), weight=LogUniform()), init_scale=lambda name, shape: 0
        )
