"""A small sparse classifier, trained once for all tests that look at it."""

from dataclasses import dataclass

import pyro
import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.distributions import L0, L2
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize


@dataclass(frozen=True)
class Trained:
    """A model, its guide and its data."""

    model: nn.Module
    guide: AutoSparse
    x: Tensor
    y: Tensor
    history: dict[str, list[float]]


@pytest.fixture(scope="session")
def trained() -> Trained:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        x = torch.randn(60, 6)
        y = (2 * x[:, 0] - x[:, 1] + 0.5 * torch.randn(60) > 0).long()

        net = nn.Sequential()
        net.add_module("fc1", nn.Linear(6, 8))
        net.add_module("relu", nn.ReLU())
        net.add_module("fc2", nn.Linear(8, 2))
        bayesian = bayesianize(net, weight=L2(0.1), gate=L0(0.1))
        model = Classifier(bayesian, num_data=60)
        guide = AutoSparse(model)

        elbo = TraceSparse_ELBO()
        adam = torch.optim.Adam([*guide.parameters(), *model.parameters()], lr=0.05)
        history: dict[str, list[float]] = {"epoch": [], "loss": []}
        for step in range(120):
            adam.zero_grad()
            loss = elbo.differentiable_loss(model, guide, x, y)
            loss.backward()
            adam.step()
            history["epoch"].append(step + 1)
            history["loss"].append(loss.item())

    pyro.clear_param_store()
    return Trained(model, guide, x, y, history)
