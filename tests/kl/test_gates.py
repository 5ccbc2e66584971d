import pytest
import torch
from pyro.distributions import Bernoulli, Normal
from torch import Tensor
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import HardConcrete, Rectified


def test_coin_with_the_gates_own_probability_costs_nothing() -> None:
    q = HardConcrete(logits=torch.tensor([-3.0, 0.0, 4.0]).double())

    kl = kl_divergence(q, Bernoulli(q.prob_active))
    torch.testing.assert_close(kl, torch.zeros(3).double(), rtol=0, atol=1e-12)


def test_coin_is_exact_against_a_free_slab() -> None:
    """KL(q || (1-p) delta_0 + p slab) with the slab q(z | z != 0), point by point."""
    q = HardConcrete(logits=torch.tensor(0.7).double())
    p = torch.tensor(0.2).double()
    nodes, weights = q.interior_nodes()
    log_q = torch.cat([q.log_prob(nodes), q.log_prob_one[None]])
    mass = torch.cat([weights, torch.ones(1).double()]) * log_q.exp()

    log_slab = p.log() + log_q - q.prob_active.log()
    zero = q.log_prob_zero
    expected = (mass * (log_q - log_slab)).sum() + zero.exp() * (zero - torch.log1p(-p))
    torch.testing.assert_close(kl_divergence(q, Bernoulli(p)), expected, rtol=1e-8, atol=0)


def test_coin_in_single_precision_at_the_extremes() -> None:
    logits = torch.linspace(-20, 20, 41, requires_grad=True)
    q = HardConcrete(logits=logits)

    for p in (Bernoulli(torch.tensor(1e-6)), Bernoulli(torch.tensor(1 - 1e-6)), Bernoulli(0.5)):
        kl = kl_divergence(q, p)
        (gradient,) = torch.autograd.grad(kl.sum(), logits)
        assert kl.isfinite().all()
        assert (kl >= -1e-6).all()
        assert gradient.isfinite().all()


def test_impossible_coin() -> None:
    q = HardConcrete(logits=torch.tensor([0.0, 200.0]))

    assert kl_divergence(q, Bernoulli(0.0)).isposinf().all()
    closed = HardConcrete(logits=torch.tensor(-200.0), validate_args=False)
    torch.testing.assert_close(kl_divergence(closed, Bernoulli(0.0)), torch.tensor(0.0))


def fine(q: Rectified, p: Rectified) -> Tensor:
    """The divergence by a million even steps."""
    z = (torch.arange(1_000_000).double() + 0.5).unsqueeze(-1) / 1_000_000
    log_q, log_p = q.log_prob(z), p.log_prob(z)
    total = (log_q.exp() * (log_q - log_p)).mean(0)

    for z in (torch.zeros(1).double(), torch.ones(1).double()):
        total = total + q.log_prob(z).exp() * (q.log_prob(z) - p.log_prob(z))

    return total


def test_two_clipped_laws_against_fine_steps() -> None:
    logits = torch.tensor([-8.0, -1.0, 0.0, 5.0]).double()
    q = HardConcrete(torch.tensor(0.3).double(), logits=logits, low=-0.01, high=1.01)
    p = HardConcrete(logits=torch.tensor(0.5).double())
    r = Rectified(Normal(torch.tensor(0.4).double(), 0.7))

    torch.testing.assert_close(kl_divergence(q, p), fine(q, p), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(kl_divergence(q, r), fine(q, r), rtol=1e-5, atol=1e-7)


def test_two_clipped_laws_in_single_precision_at_the_extremes() -> None:
    logits = torch.linspace(-20, 20, 41, requires_grad=True)
    kl = kl_divergence(HardConcrete(logits=logits), HardConcrete(logits=torch.tensor(0.0)))
    (gradient,) = torch.autograd.grad(kl.sum(), logits)

    assert kl.isfinite().all()
    assert gradient.isfinite().all()


def test_atoms_that_round_away_cost_nothing() -> None:
    loc = torch.tensor([-6.0, 0.5, 7.0], requires_grad=True)
    prior = Rectified(Normal(torch.tensor(0.5).double(), 1.0))
    kl = kl_divergence(Rectified(Normal(loc, 0.5)), prior)

    # all mass at one end: minus the log of the prior's own atom there
    closed = -prior.log_prob_zero.item()
    assert kl[[0, 2]].tolist() == pytest.approx([closed, closed], rel=1e-5)
    (gradient,) = torch.autograd.grad(kl.sum(), loc)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("logits", [20.0, -120.0])
def test_a_coin_keeps_its_log_odds_when_its_probability_was_asked_for(logits: float) -> None:
    q, p = HardConcrete(logits=torch.tensor(0.0)), Bernoulli(logits=torch.tensor(logits))

    before = kl_divergence(q, p)
    assert p.probs in (0, 1)

    assert torch.equal(kl_divergence(q, p), before) and before.isfinite()
