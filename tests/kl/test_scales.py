import math

import pytest
import torch
from pyro.distributions import Gamma, HalfCauchy, InverseGamma, LogNormal
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import TruncatedLogNormal, TruncatedLogUniform

LOC = torch.tensor([-2.0, 0.0, 1.0], dtype=torch.float64)
SCALE = torch.tensor([0.1, 1.0, 0.5], dtype=torch.float64)


def test_half_cauchy_halves_by_hand() -> None:
    """The two terms of a half-Cauchy scale, as papers write them for concentration 1/2."""
    q, tau = LogNormal(LOC, SCALE), 0.3
    constant = (1 + math.log(2)) / 2

    gamma = kl_divergence(q, Gamma(torch.tensor(0.5).double(), 1 / tau))
    expected = torch.exp(LOC + SCALE**2 / 2) / tau - LOC / 2 - SCALE.log() - constant
    torch.testing.assert_close(gamma, expected + math.log(tau) / 2)

    inverse = kl_divergence(q, InverseGamma(torch.tensor(0.5).double(), 1.0))
    expected = torch.exp(SCALE**2 / 2 - LOC) + LOC / 2 - SCALE.log() - constant
    torch.testing.assert_close(inverse, expected)


def test_product_is_half_cauchy() -> None:
    """sqrt(a b) with a ~ Gamma(1/2, scale tau^2) and b ~ InverseGamma(1/2, 1) is C+(0, tau)."""
    tau = 0.7
    a = Gamma(torch.tensor(0.5), 1 / tau**2).sample((100_000,))
    b = InverseGamma(torch.tensor(0.5), 1.0).sample((100_000,))
    levels = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9])

    found = (a * b).sqrt().quantile(levels)
    torch.testing.assert_close(found, tau * torch.tan(levels * math.pi / 2), rtol=0.05, atol=0)


def test_half_cauchy_lies_below_its_factors() -> None:
    """sqrt(a b) of two log-normals is log-normal, and knows less than a and b together."""
    a, b, tau = LogNormal(LOC - 3, SCALE), LogNormal(LOC.flip(0), SCALE + 0.3), 0.1
    half = torch.tensor(0.5).double()
    factors = kl_divergence(a, Gamma(half, 1 / tau**2)) + kl_divergence(b, InverseGamma(half, 1.0))

    spread = (a.scale.square() + b.scale.square()).sqrt() / 2
    product = kl_divergence(LogNormal((a.loc + b.loc) / 2, spread), HalfCauchy(tau))
    assert ((product > 0) & (product < factors)).all()


def test_half_cauchy_of_a_sure_scale() -> None:
    """Without width the divergence is the surprise at the scale, less the entropy."""
    q = LogNormal(LOC, torch.tensor(1e-4).double())
    surprise = -HalfCauchy(0.3).log_prob(LOC.exp())

    found = kl_divergence(q, HalfCauchy(torch.tensor(0.3).double()))
    torch.testing.assert_close(found, surprise - q.entropy(), rtol=0, atol=1e-5)


def test_half_cauchy_in_single_precision_at_the_extremes() -> None:
    loc = torch.linspace(-40, 40, 17).unsqueeze(-1).requires_grad_()
    scale = torch.logspace(-4, 1, 6).requires_grad_()
    tau = torch.tensor(1e-4, requires_grad=True)

    kl = kl_divergence(LogNormal(loc, scale), HalfCauchy(tau))
    gradients = torch.autograd.grad(kl.sum(), [loc, scale, tau])
    assert kl.isfinite().all() and (kl > -1e-4).all()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_truncated_reference_value() -> None:
    """A normal well inside the interval: the divergence of the untruncated one."""
    q = TruncatedLogNormal(torch.tensor(-10.0).double(), torch.tensor(0.5).double())

    expected = math.log(20) - math.log(2 * math.pi * math.e) / 2 - math.log(0.5)
    assert kl_divergence(q, TruncatedLogUniform()).item() == pytest.approx(expected, rel=1e-12)


def test_truncated_is_zero_in_the_limit_of_a_flat_normal() -> None:
    q = TruncatedLogNormal(torch.tensor(-10.0).double(), torch.tensor(1e4).double())

    assert kl_divergence(q, TruncatedLogUniform()).item() == pytest.approx(0, abs=1e-6)
