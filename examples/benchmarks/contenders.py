"""One training step of variational dropout on a perceptron, by hand, in Pyro, and here."""

__all__ = ["ByHand", "N", "contenders"]

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Categorical, Normal
from pyro.infer import TraceMeanField_ELBO
from pyro.optim import PyroOptim
from torch import Tensor, nn

from examples.benchmarks.elsewhere import elsewhere
from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, TrainingStep, global_draws
from pyro_sparse.nn import Classifier, bayesianize

N = 60_000


class ByHand(nn.Module):
    """Variational dropout as one would write it without a library."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
        self.loc = nn.ParameterList([layer.weight for layer in layers])
        self.log_variance = nn.ParameterList([torch.full_like(w, -9.0) for w in self.loc])
        self.bias = nn.ParameterList([layer.bias for layer in layers])

    def forward(self, x: Tensor, y: Tensor, kl_weight: float | Tensor = 1.0) -> Tensor:
        kl = torch.zeros(())
        for i, (m, s, b) in enumerate(zip(self.loc, self.log_variance, self.bias, strict=True)):
            x = x.relu() if i else x
            mean, variance = F.linear(x, m, b), F.linear(x * x, s.exp())
            x = mean + variance.clamp_min(1e-38).sqrt() * torch.randn_like(mean)
            log_alpha = s - 2 * (m.abs() + 1e-16).log()
            kl = kl + self.divergence(log_alpha).sum()
        return N * F.cross_entropy(x, y) + kl_weight * kl

    @staticmethod
    def divergence(log_alpha: Tensor) -> Tensor:
        fit = 0.63576 * torch.sigmoid(1.8732 + 1.48695 * log_alpha)
        return 0.63576 - fit + 0.5 * F.softplus(-log_alpha)


def sampled(net: nn.Sequential) -> tuple[Callable, Callable]:
    """The same posterior in plain Pyro, with a proper prior and sampled weights."""
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]

    def model(x: Tensor, y: Tensor) -> None:
        for i, layer in enumerate(layers):
            w = pyro.sample(f"w{i}", Normal(0.0, 1.0).expand(layer.weight.shape).to_event(2))
            x = F.linear(x.relu() if i else x, w, layer.bias)
        with pyro.plate("data", N, subsample=x):
            pyro.sample("y", Categorical(logits=x), obs=y)

    def guide(x: Tensor, y: Tensor) -> None:
        for i, layer in enumerate(layers):
            loc = pyro.param(f"loc{i}", layer.weight.detach())
            log_variance = pyro.param(f"log_variance{i}", torch.full_like(loc, -9.0))
            pyro.sample(f"w{i}", Normal(loc, (log_variance / 2).exp()).to_event(2))

    return model, guide


def step_of(loss: Callable[[], Tensor], parameters: Any) -> Callable[[], None]:
    optimizer = torch.optim.Adam(parameters, 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def contenders(
    batch: int, width: int, device: str, others: bool = False
) -> dict[str, Callable[[], Any]]:
    """Steps by name.

    Args:
        batch: Number of examples.
        width: Units of the first hidden layer; the second has a third of them.
        device: Where it all runs.
        others: Whether other libraries, as far as they are installed, are among them.
    """
    pyro.clear_param_store()
    torch.manual_seed(0)
    widths = (784, width, max(width // 3, 10), 10)
    x, y = torch.rand(batch, 784, device=device), torch.randint(10, (batch,), device=device)
    net = nn.Sequential(nn.Linear(*widths[:2]), nn.ReLU(), nn.Linear(*widths[1:3]), nn.ReLU())
    net = net.append(nn.Linear(*widths[2:])).to(device)

    found = dict(_by_hand(widths, x, y))
    svi = pyro.infer.SVI(
        *sampled(net), PyroOptim(torch.optim.Adam, {"lr": 1e-4}), TraceMeanField_ELBO()
    )
    found["Pyro mean field"] = lambda: svi.step(x, y)
    if others:
        found |= elsewhere(net, x, y, N)
    return found | dict(_ours(net, x, y))


def _by_hand(widths: tuple[int, ...], x: Tensor, y: Tensor) -> Iterator[tuple[str, Any]]:
    for name, wrap in (("hand, eager", lambda f: f), ("hand, compiled", torch.compile)):
        hand = ByHand(*widths).to(x.device)
        yield name, step_of(functools.partial(wrap(hand), x, y), hand.parameters())


def _ours(net: nn.Module, x: Tensor, y: Tensor) -> Iterator[tuple[str, Any]]:
    options: dict[str, dict[str, Any]] = {
        "ours, eager": {},
        "ours, compiled": {"compile": True, "gradients": "joint"},
        "ours, compiled without gradients": {"compile": True, "gradients": "loss"},
        "ours, variances in bfloat16": {"compile": True, "variance_dtype": torch.bfloat16},
    }
    for name, option in options.items():
        model = Classifier(bayesianize(net, weight=LogUniform()), N)
        bound = TraceSparse_ELBO(**option)(model, AutoSparse(model))
        yield name, step_of(functools.partial(bound, x, y), bound.parameters())

    model = Classifier(bayesianize(net, weight=LogUniform()), N)
    guide = AutoSparse(model)
    sampled_guide: Any = global_draws()(guide)
    drawn = TraceSparse_ELBO(compile=True)(model, sampled_guide)
    parameters = nn.ModuleList([model, guide]).parameters()
    yield "ours, compiled, sampled weights", step_of(functools.partial(drawn, x, y), parameters)

    model = Classifier(bayesianize(net, weight=LogUniform()), N)
    guide = AutoSparse(model)
    optimizer = torch.optim.Adam(nn.ModuleList([model, guide]).parameters(), 1e-4)
    step = TrainingStep(TraceSparse_ELBO(compile=True), model, guide, optimizer)
    yield "ours, optimiser in the graph", functools.partial(step, x, y)
