"""Bayesian compression, both priors, on a problem that needs 4 of 12 inputs."""

import math

import pytest
import torch
from pyro.distributions import HalfCauchy, Normal, TorchDistribution
from torch import Tensor, nn

from examples.horseshoe import INPUTS, NEEDED, Horseshoe, log_scales, problem
from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.parts import Parts
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import masks

N = 600


def descend(model: nn.Module, guide: AutoSparse, x: Tensor, y: Tensor, steps: int) -> Parts:
    elbo = TraceSparse_ELBO()
    bound = elbo(model, guide)
    optimizer = torch.optim.Adam(bound.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        bound(x, y).backward()
        optimizer.step()
    assert elbo.parts is not None
    return elbo.parts


@pytest.mark.parametrize("prior", [LogUniform(), HalfCauchy(0.01)], ids=["BC-GNJ", "BC-GHS"])
def test_scales_of_groups_find_the_inputs(prior: TorchDistribution) -> None:
    """z ~ 1/|z| or half-Cauchy, w ~ N(0, 1), the weight being z w: the non-centred form."""
    x, y = problem(N)
    net = bayesianize(nn.Linear(INPUTS, 2), weight=Normal(0.0, 1.0), gate=prior)
    model = Classifier(net, N)
    guide = AutoSparse(model)
    parts = descend(model, guide, x, y, 300)

    assert all(parts.analytic.values())
    assert masks(guide)["gate"].tolist() == [True] * NEEDED + [False] * (INPUTS - NEEDED)


@pytest.mark.parametrize("width", [math.inf, 3.0], ids=["plain", "regularised"])
def test_half_cauchy_scales_find_the_inputs(width: float) -> None:
    x, y = problem(N)
    model = Horseshoe(INPUTS, 2, N, 0.01, width)
    guide = AutoSparse(model, example=(x, y))
    descend(model, guide, x, y, 250)

    scales = log_scales(guide, model)
    assert scales[:NEEDED].min() > scales[NEEDED:].max() + 1.0
    assert scales.max() < math.log(width)


def test_bounded_scales() -> None:
    model = Horseshoe(INPUTS, 2, N, 0.01, width=3.0)
    small, huge = model.bounded(torch.tensor([0.01, 1e6]))

    assert small == pytest.approx(0.01, rel=1e-4) and huge == pytest.approx(3.0)
