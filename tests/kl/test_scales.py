import math

import pytest
import torch
from pyro.distributions import Gamma, InverseGamma, LogNormal
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


def test_truncated_reference_value() -> None:
    """A normal well inside the interval: the divergence of the untruncated one."""
    q = TruncatedLogNormal(torch.tensor(-10.0).double(), torch.tensor(0.5).double())

    expected = math.log(20) - math.log(2 * math.pi * math.e) / 2 - math.log(0.5)
    assert kl_divergence(q, TruncatedLogUniform()).item() == pytest.approx(expected, rel=1e-12)


def test_truncated_is_zero_in_the_limit_of_a_flat_normal() -> None:
    q = TruncatedLogNormal(torch.tensor(-10.0).double(), torch.tensor(1e4).double())

    assert kl_divergence(q, TruncatedLogUniform()).item() == pytest.approx(0, abs=1e-6)
