"""The laws of the examples: a group lasso and a tempered prior."""

import math

import torch
from pyro.distributions import Delta, Normal
from torch import nn
from torch.distributions import kl_divergence

from examples.lenet.laws import Bottleneck, GroupLasso, norms
from pyro_sparse.distributions import EmpiricalNormal
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import masks


def test_a_group_lasso_costs_the_norms_of_the_columns() -> None:
    weight = torch.randn(5, 3, dtype=torch.double)
    prior = GroupLasso(torch.tensor(0.7).double()).expand(weight.shape)

    cost = kl_divergence(Delta(weight), prior)

    assert cost.shape == weight.shape
    torch.testing.assert_close(cost.sum(), 0.7 * math.sqrt(5) * weight.norm(dim=0).sum())


def test_the_groups_of_a_convolution_are_its_filters() -> None:
    weight = torch.randn(4, 2, 3, 3)

    assert norms(weight).shape == (4, 1, 1, 1)


def test_a_group_lasso_drops_small_columns() -> None:
    guide = AutoSparse(bayesianize(nn.Linear(3, 4), weight=GroupLasso(1.0)))
    with torch.no_grad():
        guide.get_parameter("sites.weight.value")[:, 1] = 1e-5

    assert masks(guide)["weight"].all(0).tolist() == [True, False, True]


def test_a_bottleneck_counts_several_times() -> None:
    posterior = Normal(torch.tensor([0.5, -2.0]), torch.tensor([1.0, 0.1]))

    once = kl_divergence(posterior, EmpiricalNormal())

    torch.testing.assert_close(kl_divergence(posterior, Bottleneck(7.0).expand((2,))), 7 * once)
