import math

import pytest
import torch
from pyro.distributions import Delta, Normal
from torch.distributions import kl_divergence

from pyro_sparse.distributions import EmpiricalNormal, GroupGaussianMixture, LogUniform
from pyro_sparse.kl import empirical_kl

LOG_ALPHA = torch.linspace(-10, 10, 2001, dtype=torch.float64)


def at(log_alpha: torch.Tensor) -> Normal:
    return Normal(torch.ones_like(log_alpha), torch.exp(log_alpha / 2))


def test_fit_reference_values() -> None:
    log_alpha = torch.tensor([-8.0, -4, -2, 0, 1, 2, 3, 4, 8], dtype=torch.float64)
    expected = torch.tensor(
        [4.635899, 2.634208, 1.540533, 0.431239, 0.177970, 0.068417, 0.025420, 0.009330, 0.000168],
        dtype=torch.float64,
    )

    kl = kl_divergence(at(log_alpha), LogUniform("fit"))
    torch.testing.assert_close(kl, expected, rtol=0, atol=1e-5)


def test_exact_reference_values() -> None:
    log_alpha = torch.tensor([-4.0, 0, 3, 6], dtype=torch.float64)
    expected = torch.tensor([2.6258, 0.4267, 0.02469, 0.00124], dtype=torch.float64)

    kl = kl_divergence(at(log_alpha), LogUniform("exact"))
    torch.testing.assert_close(kl, expected, rtol=0, atol=5e-5)


def test_largest_error_of_the_fit() -> None:
    q = at(LOG_ALPHA)
    error = (kl_divergence(q, LogUniform("fit")) - kl_divergence(q, LogUniform("exact"))).abs()

    assert 0.0093 < error.max() < 0.0094
    assert LOG_ALPHA[error.argmax()].item() == pytest.approx(-3.5, abs=0.1)


@pytest.mark.parametrize("kind", ["fit", "exact"])
def test_decreases_to_zero(kind: str) -> None:
    kl = kl_divergence(at(LOG_ALPHA), LogUniform(kind))

    assert (kl.diff() < 0).all()
    assert 0 < kl[-1] < 1e-4


@pytest.mark.parametrize("kind", ["fit", "exact"])
def test_single_precision_gradients_at_zero_and_at_the_extremes(kind: str) -> None:
    loc = torch.tensor([0.0, 1e-30, 1.0, 1e5, 1e10], requires_grad=True)
    scale = torch.tensor([1.0, 1e-5, 22026.0, 1e-5, 1e-5], requires_grad=True)
    kl = kl_divergence(Normal(loc, scale), LogUniform(kind))
    gradients = torch.autograd.grad(kl.sum(), [loc, scale])

    assert kl.isfinite().all()
    assert all(g.isfinite().all() for g in gradients)
    assert gradients[0][0] == 0


def test_a_point_mass_is_refused() -> None:
    with pytest.raises(TypeError, match="unbounded below"):
        kl_divergence(Delta(torch.zeros(2)), LogUniform())


def test_empirical_normal_by_hand() -> None:
    q = Normal(torch.tensor([[1.0, 2.0], [0.0, 3.0]]).double(), torch.tensor([1.0, 0.5]).double())
    single = kl_divergence(q, EmpiricalNormal())
    rows = kl_divergence(q, EmpiricalNormal(-1))

    torch.testing.assert_close(single, torch.log1p((q.loc / q.scale) ** 2) / 2)
    best = (q.loc**2 + q.scale**2).mean(-1, keepdim=True)
    torch.testing.assert_close(rows.sum(-1), 0.5 * (best / q.scale**2).log().sum(-1))


@pytest.mark.parametrize("groups", [(), -1, -2, (-2, -1)])
def test_no_other_variance_is_better(groups: int | tuple[int, ...]) -> None:
    q = Normal(torch.randn(3, 4).double(), torch.rand(3, 4).double() + 0.1)
    weights = torch.rand(3, 4).double()
    prior = EmpiricalNormal(groups)
    variance = prior.best_variance(q.mean**2 + q.variance, weights)
    best = (weights * empirical_kl(q, prior, weights)).sum()

    for factor in (0.8, 0.99, 1.01, 1.2):
        other = kl_divergence(q, Normal(torch.zeros(1).double(), (factor * variance).sqrt()))
        assert (weights * other).sum() > best


def test_weights_of_a_closed_gate_do_not_count() -> None:
    q = Normal(torch.tensor([1.0, 100.0]).double(), 1.0)
    kl = empirical_kl(q, EmpiricalNormal(-1), torch.tensor([1.0, 0.0]).double())

    assert kl[0].item() == pytest.approx(math.log(2) / 2)


def test_empirical_normal_in_single_precision() -> None:
    loc = torch.tensor([[0.0, 1e-10], [1e5, 1.0]], requires_grad=True)
    scale = torch.tensor([[1e-9, 1e-9], [1e-5, 1e5]], requires_grad=True)

    for groups in ((), -1):
        kl = kl_divergence(Normal(loc, scale), EmpiricalNormal(groups))
        gradients = torch.autograd.grad(kl.sum(), [loc, scale])
        assert kl.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_mixture_bound_lies_above_the_divergence_everywhere() -> None:
    loc = torch.linspace(-4, 4, 17, dtype=torch.float64).reshape(-1, 1, 1)
    scale = torch.logspace(-1, 0.7, 7, dtype=torch.float64).reshape(-1, 1)
    probs = torch.tensor([0.01, 0.5, 0.95], dtype=torch.float64)
    q = Normal(loc, scale).expand((17, 7, 3))
    p = GroupGaussianMixture(probs, 2.0, 0.1)

    draws = q.sample((5_000,))
    terms = q.log_prob(draws) - p.log_prob(draws)
    sampled, error = terms.mean(0), terms.std(0) / math.sqrt(5_000)
    assert (kl_divergence(q, p) > sampled - 6 * error).all()


def test_mixture_bound_is_exact_for_equal_components() -> None:
    q = Normal(torch.tensor([-1.0, 2.0]).double(), torch.tensor([0.1, 3.0]).double())
    scale = torch.tensor(0.7).double()

    kl = kl_divergence(q, GroupGaussianMixture(0.3, scale, scale))
    torch.testing.assert_close(kl, kl_divergence(q, Normal(torch.zeros(1).double(), scale)))


@pytest.mark.parametrize("probs", [1e-6, 0.5, 1 - 1e-6])
def test_mixture_bound_in_single_precision_at_the_extremes(probs: float) -> None:
    loc = torch.tensor([0.0, 1e-8, 1e-3, 1.0, 100.0]).unsqueeze(-1).requires_grad_()
    scale = torch.tensor([1e-10, 1e-6, 1e-2, 1.0, 10.0], requires_grad=True)
    share, wide, narrow = (torch.tensor(x, requires_grad=True) for x in (probs, 10.0, 1e-6))

    kl = kl_divergence(Normal(loc, scale), GroupGaussianMixture(share, wide, narrow))
    gradients = torch.autograd.grad(kl.sum(), [loc, scale, share, wide, narrow])
    assert kl.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_points_are_refused_by_priors_that_reward_collapse() -> None:
    for prior in (LogUniform(), EmpiricalNormal(-1)):
        with pytest.raises(TypeError, match=f"no useful divergence to {type(prior).__name__}"):
            kl_divergence(Delta(torch.ones(2, 3)), prior.expand((2, 3)))
