"""The laws of the examples: a group lasso, and the cost of a half-Cauchy scale."""

import math

import torch
from pyro.distributions import Delta, HalfCauchy, LogNormal
from torch import nn
from torch.distributions import kl_divergence

from examples.lenet.laws import GroupLasso, norms
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import masks
from pyro_sparse.testing import LawCase, RuleCase, check_rule


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


def test_the_cost_of_a_half_cauchy_scale() -> None:
    posterior = LawCase(
        LogNormal,
        {
            "loc": torch.tensor([-2.0, -1.0, 0.5]).double(),
            "scale": torch.tensor([0.5, 0.1, 0.8]).double(),
        },
    )
    prior = LawCase(HalfCauchy, {"scale": torch.tensor([0.05, 0.5, 2.0]).double()})

    check_rule(RuleCase(posterior, prior, tolerance=1e-5))
