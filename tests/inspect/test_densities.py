"""The difference of the two log densities estimates the bound."""

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Delta, Gamma, LogNormal, Normal
from pyro.poutine import scale
from torch import Tensor

from pyro_sparse.distributions import L0, L2, HardConcrete
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.draws import guide_draw, model_draw
from pyro_sparse.inspect.densities import log_densities
from pyro_sparse.local import Local
from tests.common import assert_mean
from tests.inspect.conftest import Trained

X = torch.linspace(-1, 1, 10)


def gaps(model: Callable, guide: Callable, *args: object, count: int = 300) -> Tensor:
    found = []
    for _ in range(count):
        draw = guide_draw(guide, *args)
        run = model_draw(model, {n: s["value"] for n, s in draw.items()}, *args)
        log_p, log_q = log_densities(draw, run)
        found.append(log_p - log_q)
    return torch.stack(found).detach()


def assert_same_bound(model: Callable, guide: Callable, *args: object) -> None:
    """The two estimates of the bound have equal means."""
    ours = gaps(model, guide, *args)
    elbo = TraceSparse_ELBO()
    theirs = torch.stack([-elbo.loss(model, guide, *args) for _ in range(len(ours))])
    assert_mean((ours - theirs).double(), 0.0)


def test_a_posterior_that_is_exact_has_no_spread() -> None:
    def model() -> None:
        w = pyro.sample("w", Normal(0.0, 1.0))
        pyro.sample("y", Normal(w, 1.0), obs=torch.tensor(1.0))

    def guide() -> None:
        pyro.sample("w", Normal(0.5, 0.5**0.5))

    found = gaps(model, guide, count=20)

    evidence = Normal(0.0, 2.0**0.5).log_prob(torch.tensor(1.0))
    assert torch.allclose(found, evidence.expand(20), atol=1e-5)


def test_penalties_have_no_entropy(trained: Trained) -> None:
    assert_same_bound(trained.model, trained.guide, trained.x, trained.y)


def test_sites_with_rules_and_without() -> None:
    def model() -> None:
        w = pyro.sample("w", Normal(torch.zeros(3), 1.0).to_event(1))
        tau = pyro.sample("tau", Gamma(2.0, 3.0))
        b = pyro.sample("b", L2(2.0))
        pyro.sample("y", Normal(w.sum() + b, tau.sqrt()).expand([10]).to_event(1), obs=X)

    def guide() -> None:
        pyro.sample("w", Local(Normal(torch.tensor([0.3, -0.2, 0.1]), 0.4)).to_event(1))
        pyro.sample("tau", LogNormal(0.1, 0.3))
        pyro.sample("b", Local(Delta(torch.tensor(0.2))))

    assert_same_bound(model, guide)


@pytest.mark.parametrize("penalty", [True, False])
def test_gated_weights_count_while_their_gate_is_open(penalty: bool) -> None:
    prior = L0(1.5 * torch.ones(2)) if penalty else Bernoulli(0.3 * torch.ones(2))

    def model() -> None:
        z = pyro.sample("z", prior.to_event(1))
        law = Normal(torch.zeros(3, 2), 1.0).to_event(2)
        gated: Any = {"gated_by": "z"}
        w = pyro.sample("w", law, infer=gated)
        pyro.sample("y", Normal((w * z).sum(), 2.0).expand([10]).to_event(1), obs=X)

    def guide() -> None:
        gate = HardConcrete(logits=torch.tensor([-1.0, 1.0]))
        pyro.sample("z", Local(gate, shared=True).to_event(1))
        pyro.sample("w", Local(Normal(0.5 * torch.ones(3, 2), 0.2), shared=True).to_event(2))

    assert_same_bound(model, guide)


def test_scales_and_masks_count() -> None:
    mask = torch.tensor([True, False])

    def model() -> None:
        with scale(scale=3.0):
            w = pyro.sample("w", Normal(torch.zeros(2), 1.0).mask(mask).to_event(1))
            pyro.sample("y", Normal(w.sum(), 1.0), obs=torch.tensor(1.0))

    def guide() -> None:
        with scale(scale=3.0):
            pyro.sample("w", Normal(torch.ones(2), 0.5).mask(mask).to_event(1))

    assert_same_bound(model, guide)


def test_auxiliary_sites_count_in_the_guide() -> None:
    def model() -> None:
        pyro.sample("w", Normal(0.0, 1.0))
        pyro.sample("y", Normal(0.0, 1.0), obs=torch.tensor(1.0))

    def guide() -> None:
        u = pyro.sample("u", Normal(0.0, 2.0), infer={"is_auxiliary": True})
        pyro.sample("w", Delta(u, log_density=torch.tensor(0.0)))

    draw = guide_draw(guide)
    run = model_draw(model, {n: s["value"] for n, s in draw.items()})
    log_p, log_q = log_densities(draw, run)

    u = draw["u"]["value"]
    assert log_q.item() == pytest.approx(Normal(0.0, 2.0).log_prob(u).item())
    expected = Normal(0.0, 1.0).log_prob(u) + Normal(0.0, 1.0).log_prob(torch.tensor(1.0))
    assert log_p.item() == pytest.approx(expected.item())
