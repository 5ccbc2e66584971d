import math

import mpmath  # type: ignore[import-untyped]
import pytest
import torch

from pyro_sparse.distributions import TruncatedExponential


def test_density_by_hand() -> None:
    law = TruncatedExponential(torch.tensor(2.0).double())
    z = torch.tensor([0.0, 0.5, 1.0]).double()

    expected = 2 * torch.exp(-2 * z) / (1 - math.exp(-2))
    torch.testing.assert_close(law.log_prob(z).exp(), expected)


@pytest.mark.parametrize("rate", [0.1, 8.0, 100.0])
def test_single_precision(rate: float) -> None:
    heat = torch.tensor(rate, requires_grad=True)
    law = TruncatedExponential(heat)
    outputs = [law.rsample((10_000,)), law.mean, law.variance, law.cdf(torch.linspace(0, 1, 11))]

    for output in outputs:
        (gradient,) = torch.autograd.grad(output.sum(), heat)
        assert output.isfinite().all()
        assert gradient.isfinite()


@pytest.mark.parametrize("rate", [0.0, -1.0, math.inf, math.nan])
def test_bad_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="TruncatedExponential needs a finite rate > 0, got"):
        TruncatedExponential(rate)


@pytest.mark.parametrize("rate", [1e-6, 1e-3, 0.1, 0.4999, 0.5, 3.0, 300.0])
def test_moments_do_not_cancel(rate: float) -> None:
    with mpmath.workdps(60):
        exact = mpmath.mpf(rate)
        mean = float(1 / exact - 1 / mpmath.expm1(exact))
        variance = float(1 / exact**2 - mpmath.exp(exact) / mpmath.expm1(exact) ** 2)

    law = TruncatedExponential(rate)
    assert law.mean.item() == pytest.approx(mean, rel=1e-5)
    assert law.variance.item() == pytest.approx(variance, rel=1e-4)


def test_a_flat_law_stays_in_the_interval() -> None:
    draws = TruncatedExponential(1e-3).rsample((1_000_000,))

    assert draws.min() >= 0 and draws.max() <= 1


def test_values_outside() -> None:
    law = TruncatedExponential(8.0, validate_args=True)

    with pytest.raises(ValueError, match="within the support"):
        law.log_prob(torch.tensor(2.0))
    assert law.cdf(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]
