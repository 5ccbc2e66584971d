"""One evaluation of the bound."""

from contextlib import nullcontext
from typing import Any

import pyro
import pytest
import torch
from pyro.distributions import Bernoulli, Gamma, Normal, StudentT, TransformedDistribution
from pyro.infer import Trace_ELBO
from torch import Tensor
from torch.distributions import ExpTransform

from pyro_sparse import Local
from pyro_sparse.distributions import HardConcrete
from pyro_sparse.infer.bound import evaluate, run_pair
from pyro_sparse.local import Deferred

Y = torch.randn(5)


def model() -> None:
    w = pyro.sample("w", Normal(torch.zeros(2), 2.0).to_event(1))
    with pyro.plate("data", 10, subsample=Y):
        pyro.sample("y", Normal(w.sum(), 1.0), obs=Y)


def guide() -> None:
    pyro.sample("w", Local(Normal(torch.ones(2), 0.5), shared=True).to_event(1))


def test_the_loss_is_the_sum_of_its_parts() -> None:
    loss, parts = evaluate(0.25, model, guide, (), {})
    kl = torch.distributions.kl_divergence(Normal(1.0, 0.5), Normal(0.0, 2.0))
    assert parts.kl["w"].item() == pytest.approx(2 * kl.item(), rel=1e-5)
    assert loss.item() == pytest.approx((0.25 * parts.kl["w"] - parts.log_likelihood).item())


def test_subsampled_data_count_for_all() -> None:
    pyro.set_rng_seed(1)
    _, guide_trace = run_pair(model, guide, (), {})
    w = guide_trace.nodes["w"]["value"]
    assert w is not None
    _, parts = evaluate(1.0, pyro.poutine.condition(model, {"w": w}), lambda: None, (), {})
    expected = 2 * Normal(w.sum(), 1.0).log_prob(Y).sum() + Normal(0.0, 2.0).log_prob(w).sum()
    assert parts.log_likelihood.item() == pytest.approx(expected.item(), rel=1e-5)


def test_local_samples_learn_their_sites() -> None:
    def by_hand() -> None:
        pyro.sample("w", Local(Normal(torch.ones(2), 0.5)).to_event(1))

    _, guide_trace = run_pair(model, by_hand, (), {})
    value = guide_trace.nodes["w"]["value"]
    assert isinstance(value, Deferred)
    assert value.sites == ["w"]


def test_a_pair_without_a_rule_is_estimated_from_a_number() -> None:
    """The estimate's mean is the divergence, and the sample is drawn in weight space."""

    def positive() -> None:
        s = pyro.sample("s", Gamma(torch.full((2,), 3.0), 1.0).to_event(1))
        pyro.sample("y", Normal(s.sum(), 1.0), obs=torch.tensor(1.0))

    def log_normal() -> None:
        law = TransformedDistribution(Normal(torch.zeros(2), 0.1), [ExpTransform()])
        pyro.sample("s", Local(law).to_event(1))

    _, parts = evaluate(1.0, positive, log_normal, (), {}, num_particles=500)
    expected = pyro.distributions.LogNormal(torch.zeros(2), 0.1)
    kl = torch.distributions.kl_divergence(expected, Gamma(torch.full((2,), 3.0), 1.0)).sum()
    assert not parts.analytic["s"]
    assert parts.kl["s"].item() == pytest.approx(kl.item(), abs=0.1)
    assert parts.noise["s"] == "global"


def test_particles_are_averaged() -> None:
    torch.manual_seed(0)
    single = torch.stack([evaluate(1.0, model, guide, (), {})[0] for _ in range(8)])
    torch.manual_seed(0)
    together, _ = evaluate(1.0, model, guide, (), {}, num_particles=8)
    assert together.item() == pytest.approx(single.mean().item(), rel=1e-5)


def test_gradients_reach_the_guide() -> None:
    loc = torch.ones(2, requires_grad=True)

    def trained() -> Tensor:
        return pyro.sample("w", Local(Normal(loc, 0.5)).to_event(1))

    loss, _ = evaluate(1.0, model, trained, (), {})
    (gradient,) = torch.autograd.grad(loss, loc)
    assert gradient.isfinite().all() and gradient.abs().min() > 0


@pytest.mark.parametrize("plated", [False, True])
def test_an_ordinary_sampled_weight_is_known_as_one(plated: bool) -> None:
    """Unless it is sampled in a plate, where it may be an activation."""

    def sites(z: Any, w: Any) -> tuple[Tensor, Tensor]:
        units = pyro.sample("z", z.to_event(1))
        with pyro.plate("rows", 3) if plated else nullcontext():
            rows = pyro.sample("w", w.to_event(1 if plated else 2))
        return units, rows

    def gated() -> None:
        units, rows = sites(Bernoulli(torch.full((4,), 0.5)), Normal(torch.zeros(3, 4), 1.0))
        pyro.sample("y", Normal((rows * units).sum(), 1.0), obs=torch.tensor(0.0))

    def by_hand() -> None:
        sites(Local(HardConcrete(logits=torch.zeros(4))), Normal(torch.zeros(3, 4), 1.0))

    _, parts = evaluate(1.0, gated, by_hand, (), {})
    assert parts.noise["z"] == ("per example (3)" if plated else "global")


@pytest.mark.parametrize("observed", ["factor", "sample"])
def test_what_a_guide_adds_to_its_density_counts(observed: str) -> None:
    """As in Pyro's bound, which the draws of a model without rules equal one by one."""

    def with_latent() -> None:
        z = pyro.sample("z", StudentT(5.0, torch.zeros(()), 1.0))
        pyro.sample("y", Normal(z, 1.0), obs=torch.tensor(0.5))

    def with_more() -> None:
        z = pyro.sample("z", Normal(torch.zeros(()), 1.0))
        if observed == "factor":
            pyro.factor("more", 3.0 + z, has_rsample=True)
        else:
            said: Any = {"is_auxiliary": True}
            pyro.sample("more", Normal(z, 1.0), obs=torch.tensor(4.0), infer=said)

    torch.manual_seed(0)
    loss, parts = evaluate(1.0, with_latent, with_more, (), {})
    torch.manual_seed(0)
    assert loss.item() == pytest.approx(Trace_ELBO().loss(with_latent, with_more), rel=1e-5)
    assert "more" in parts.kl and not parts.analytic["more"]
