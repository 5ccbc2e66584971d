"""Bayesian compression, both priors, on a problem that needs 4 of 12 inputs."""

import pyro
import pytest
import torch
import torch.nn.functional as F
from pyro.distributions import (
    Categorical,
    Gamma,
    HalfCauchy,
    InverseGamma,
    Normal,
    TorchDistribution,
)
from torch import Tensor, nn

from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.parts import Parts
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import masks

N, INPUTS, NEEDED = 600, 12, 4


def problem() -> tuple[Tensor, Tensor]:
    x = torch.randn(N, INPUTS)
    return x, (x[:, :NEEDED].sum(1) > 0).long()


def descend(
    model: nn.Module, guide: AutoSparse, x: Tensor, y: Tensor, steps: int, lr: float = 0.02
) -> Parts:
    elbo = TraceSparse_ELBO()
    bound = elbo(model, guide)
    optimizer = torch.optim.Adam(bound.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        bound(x, y).backward()
        optimizer.step()
    assert elbo.parts is not None
    return elbo.parts


@pytest.mark.parametrize("prior", [LogUniform(), HalfCauchy(0.01)], ids=["BC-GNJ", "BC-GHS"])
def test_scales_of_groups_find_the_inputs(prior: TorchDistribution) -> None:
    """z ~ 1/|z| or half-Cauchy, w ~ N(0, 1), the weight being z w: the non-centred form."""
    x, y = problem()
    net = bayesianize(nn.Linear(INPUTS, 2), weight=Normal(0.0, 1.0), gate=prior)
    model = Classifier(net, N)
    guide = AutoSparse(model)
    parts = descend(model, guide, x, y, 300, lr=0.05)

    assert all(parts.analytic.values())
    assert masks(guide)["gate"].tolist() == [True] * NEEDED + [False] * (INPUTS - NEEDED)


class HorseshoeLayer(nn.Module):
    """Half-Cauchy scales as square roots of Gamma times inverse Gamma (BC-GHS).

    The factors are sites of their own here, as in the paper. The global scale is that of the
    first factor; `width` bounds the scales, which is the regularised variant.
    """

    def __init__(self, tau: float, width: float | None) -> None:
        super().__init__()
        self.tau, self.width = tau, width

    def forward(self, x: Tensor, y: Tensor) -> None:
        half = torch.full((INPUTS,), 0.5)
        a = pyro.sample("a", Gamma(half, 1 / self.tau**2).to_event(1))
        b = pyro.sample("b", InverseGamma(half, 1.0).to_event(1))
        z = (a * b).sqrt()
        if self.width is not None:
            z = self.width * z / (self.width**2 + z.square()).sqrt()

        w = pyro.sample("w", Normal(torch.zeros(2, INPUTS), 1.0).to_event(2))
        with pyro.plate("data", N, subsample=x):
            pyro.sample("y", Categorical(logits=F.linear(x * z, w)), obs=y)


@pytest.mark.parametrize("width", [None, 5.0], ids=["plain", "regularised"])
def test_half_cauchy_scales_find_the_inputs(width: float | None) -> None:
    x, y = problem()
    model = HorseshoeLayer(0.01, width)
    guide = AutoSparse(model, example=(x, y))
    descend(model, guide, x, y, 600)

    laws = guide.laws()
    scale = (laws["a"].mode.log() + laws["b"].mode.log()).detach()
    assert scale[:NEEDED].min() > scale[NEEDED:].max() + 1.0
