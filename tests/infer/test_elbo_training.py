"""Training by the bound: by hand, by SVI, as a module, and to a posterior that is known."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
import torch.nn.functional as F
from pyro.infer import SVI
from pyro.optim import ClippedAdam
from torch import Tensor, nn

from pyro_sparse import Local
from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, Regressor, bayesianize

X, Y = torch.randn(8, 4), torch.randn(8)


def regression(x: Tensor, y: Tensor) -> None:
    weight = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("obs", dist.Normal(x @ weight, noise), obs=y)


class Guide(nn.Module):
    """Written by hand: local weights, gates, and parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, 4))
        self.log_scale = nn.Parameter(torch.full((1, 4), -2.0))
        self.logits = nn.Parameter(torch.full((4,), 2.0))

    def forward(self, x: Tensor, y: Tensor) -> None:
        law = dist.Normal(self.loc, self.log_scale.exp())
        pyro.sample("w", Local(law).to_event(2))
        pyro.sample("z", Local(HardConcrete(logits=self.logits)).to_event(1))


class GatedRegression(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> None:
        gated: Any = {"gated_by": "z"}
        weight = pyro.sample("w", dist.Normal(torch.zeros(1, 4), 1.0).to_event(2), infer=gated)
        z = pyro.sample("z", L0(torch.full((4,), 20.0)).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("obs", dist.Normal(F.linear(x, weight * z)[:, 0], 0.5), obs=y)


def test_a_program_written_by_hand_trains() -> None:
    """Two of four inputs matter, and the gates find out which."""
    x = torch.randn(200, 4)
    y = x @ torch.tensor([1.0, 0.0, -2.0, 0.0]) + 0.5 * torch.randn(200)
    guide = Guide()
    elbo = TraceSparse_ELBO()(GatedRegression(), guide)
    optimiser = torch.optim.Adam(elbo.parameters(), lr=0.1)

    for _ in range(300):
        optimiser.zero_grad()
        elbo(x, y).backward()
        optimiser.step()

    gates = HardConcrete(logits=guide.logits.detach())
    assert ((gates.deterministic > 0) == torch.tensor([True, False, True, False])).all()
    effect = (guide.loc[0] * gates.deterministic).detach()
    torch.testing.assert_close(effect, torch.tensor([1.0, 0.0, -2.0, 0.0]), rtol=0.0, atol=0.3)


def test_svi_with_parameters_of_the_store() -> None:
    def guide(x: Tensor = X, y: Tensor = Y) -> None:
        loc = pyro.param("loc", torch.zeros(4))
        scale = pyro.param("scale", torch.full((4,), 0.1), dist.constraints.positive)
        pyro.sample("w", Local(dist.Normal(loc, scale)).to_event(1))
        pyro.sample("noise", dist.LogNormal(pyro.param("n", torch.tensor(0.0)), 0.1))

    svi = SVI(regression, guide, ClippedAdam({"lr": 0.1}), TraceSparse_ELBO())
    first = svi.evaluate_loss(X, Y)
    losses = [svi.step(X, Y) for _ in range(60)]

    assert isinstance(first, float) and sum(losses[-10:]) / 10 < first
    assert (pyro.param("loc") != 0).all()


def test_as_a_module_it_trains_what_svi_trains() -> None:
    """The same steps by both doors."""
    results = []
    for door in ("svi", "module"):
        pyro.set_rng_seed(3)
        net = bayesianize(nn.Linear(4, 3), weight=LogUniform(), gate=L0(1.0))
        model = Classifier(net, 80)
        guide, labels = AutoSparse(model), torch.arange(8) % 3
        pyro.set_rng_seed(4)
        if door == "svi":
            svi = SVI(
                model, guide, ClippedAdam({"lr": 0.01, "clip_norm": 1e9}), TraceSparse_ELBO()
            )
            for _ in range(3):
                svi.step(X, labels)
        else:
            elbo = TraceSparse_ELBO()(model, guide)
            optimiser = torch.optim.Adam(elbo.parameters(), lr=0.01)
            for _ in range(3):
                optimiser.zero_grad()
                elbo(X, labels).backward()
                optimiser.step()
        results.append({**dict(model.named_parameters()), **dict(guide.named_parameters())})

    assert results[0].keys() == results[1].keys()
    for name, value in results[0].items():
        torch.testing.assert_close(value, results[1][name], rtol=1e-4, atol=1e-5)


def test_gradients_accumulate() -> None:
    model = Classifier(bayesianize(nn.Linear(4, 3), weight=LogUniform()), 80)
    guide, labels = AutoSparse(model), torch.arange(8) % 3
    elbo = TraceSparse_ELBO()

    torch.manual_seed(1)
    loss = elbo.loss_and_grads(model, guide, X, labels)
    assert not loss.requires_grad
    once = guide.get_parameter("sites.weight.loc").grad
    assert once is not None
    once = once.clone()
    torch.manual_seed(1)
    elbo.loss_and_grads(model, guide, X, labels)

    torch.testing.assert_close(guide.get_parameter("sites.weight.loc").grad, 2 * once)


def test_conjugate_regression() -> None:
    """The mean-field posterior of a linear model is known: the exact mean, and the diagonal of
    the exact precision."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 3, generator=generator, dtype=torch.float64)
    x[:, 1] += 0.5 * x[:, 0]
    y = x @ torch.tensor([1.0, -2.0, 0.5]).double()
    y += 0.5 * torch.randn(100, generator=generator, dtype=torch.float64)
    precision = torch.eye(3).double() / 4 + x.T @ x / 0.25
    mean = torch.linalg.solve(precision, x.T @ y / 0.25)

    # Each example is seen 300 times with noise of its own: a mean over as many draws.
    net = bayesianize(nn.Linear(3, 1, bias=False).double(), weight=dist.Normal(0.0, 2.0))
    model = Regressor(net, num_data=100, noise=0.5, learn_noise=False)
    guide = AutoSparse(model, init_scale=0.05)
    data = x.repeat(300, 1), y.repeat(300).unsqueeze(-1)

    elbo = TraceSparse_ELBO()(model, guide)
    optimiser = torch.optim.Adam(guide.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.99)
    for _ in range(650):
        optimiser.zero_grad()
        elbo(*data).backward()
        optimiser.step()
        schedule.step()

    law: Any = guide.laws()["weight"]
    torch.testing.assert_close(law.law.loc[0], mean, rtol=0.01, atol=0.0)
    torch.testing.assert_close(1 / law.variance[0], precision.diagonal(), rtol=0.01, atol=0.0)
