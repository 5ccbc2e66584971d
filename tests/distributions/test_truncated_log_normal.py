import math
from typing import Any

import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import TruncatedLogNormal, TruncatedLogUniform

# Inside the interval, at its ends, and far outside of it on either side.
PARAMETERS = [
    (-3.0, 2.0),
    (0.0, 0.0067),
    (-20.0, 0.1),
    (3.0, 10.0),
    (-25.0, 12.0),
    (50.0, 0.1),
    (-50.0, 0.1),
    (5.0, 0.0067),
    (0.001, 0.01),
]


def exact(loc: float, scale: float) -> tuple[float, ...]:
    """Mean, standard deviation and entropy of the logarithm on [-20, 0], with many digits."""
    with mpmath.workdps(60):
        loc, scale = mpmath.mpf(loc), mpmath.mpf(scale)

        def mass(order: int) -> Any:
            low, high = ((end - loc) / scale - order * scale for end in (-20, 0))
            if low > 0:
                low, high = -high, -low
            root = mpmath.sqrt(2)
            return (mpmath.erfc(-high / root) - mpmath.erfc(-low / root)) / 2

        mean = mpmath.exp(loc + scale**2 / 2) * mass(1) / mass(0)
        square = mpmath.exp(2 * loc + 2 * scale**2) * mass(2) / mass(0)
        low, high = ((end - loc) / scale for end in (-20, 0))
        slope = (low * mpmath.npdf(low) - high * mpmath.npdf(high)) / (2 * mass(0))
        entropy = mpmath.log(2 * mpmath.pi * mpmath.e) / 2 + mpmath.log(scale * mass(0)) + slope
        return float(mean), float(mpmath.sqrt(square - mean**2)), float(entropy)


@pytest.mark.parametrize(("loc", "scale"), PARAMETERS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_moments(loc: float, scale: float, dtype: torch.dtype) -> None:
    loc, scale = (torch.tensor(x, dtype=dtype).item() for x in (loc, scale))
    law = TruncatedLogNormal(torch.tensor(loc, dtype=dtype), torch.tensor(scale, dtype=dtype))
    mean, deviation, entropy = exact(loc, scale)

    assert law.mean.item() == pytest.approx(mean, rel=1e-6)
    assert law.variance.item() == pytest.approx(deviation**2, rel=1e-5)
    assert law.snr.item() == pytest.approx(mean / deviation, rel=1e-5)
    assert law.log_entropy.item() == pytest.approx(entropy, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("loc", "scale"), PARAMETERS)
def test_draws_have_these_moments(loc: float, scale: float) -> None:
    law = TruncatedLogNormal(torch.tensor(loc).double(), torch.tensor(scale).double())
    draws = law.sample((20_000,))

    assert ((draws >= math.exp(-20)) & (draws <= 1)).all()
    z = (draws.mean() - law.mean) / (law.variance / 20_000).sqrt()
    assert z.abs() < 6


def test_single_precision_far_in_both_tails() -> None:
    loc = torch.linspace(-100, 100, 41).unsqueeze(-1).requires_grad_()
    scale = torch.logspace(-4, 1.5, 12).requires_grad_()
    law = TruncatedLogNormal(loc, scale)
    outputs = [
        law.rsample((50,)),
        law.mean,
        law.variance,
        law.snr,
        law.log_entropy,
        law.log_prob(law.sample()),
        kl_divergence(law, TruncatedLogUniform()),
    ]

    for output in outputs:
        gradients = torch.autograd.grad(output.sum(), [loc, scale])
        assert output.dtype == torch.float32
        assert output.isfinite().all()
        assert all(gradient.isfinite().all() for gradient in gradients)


def test_gradients_of_moments() -> None:
    loc = torch.tensor([-3.0, 0.5, -22.0, 0.0], dtype=torch.float64, requires_grad=True)
    scale = torch.tensor([1.0, 0.3, 2.0, 0.5], dtype=torch.float64, requires_grad=True)

    for name in ("mean", "variance", "snr", "log_entropy"):
        run = lambda *leaves, name=name: getattr(TruncatedLogNormal(*leaves), name)  # noqa: E731
        assert torch.autograd.gradcheck(run, (loc, scale))


def test_quantile_and_cdf() -> None:
    law = TruncatedLogNormal(torch.tensor([-3.0, 5.0]).double(), torch.tensor([1.0, 0.3]).double())
    u = torch.tensor([[0.1], [0.5], [0.99]]).double()

    torch.testing.assert_close(law.cdf(law.icdf(u)), u.expand(3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.nan, 1.0), "finite loc, got nan"),
        ((0.0, 0.0), "scale > 0, got 0"),
        ((0.0, 1.0, 0.0, 0.0), r"low < high, got \(0.0, 0.0\)"),
        ((torch.zeros(2), torch.ones(3)), r"loc \(2,\), scale \(3,\)"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TruncatedLogNormal(*arguments)


def test_draws_lie_in_the_support_that_is_checked() -> None:
    law = TruncatedLogNormal(torch.tensor(1e4), 0.01, low=-7.0, high=0.3, validate_args=True)

    assert law.log_prob(law.rsample((1000,))).isfinite().all()
    assert law.cdf(torch.tensor(-1.0)) == 0
