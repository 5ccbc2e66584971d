import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from pyro_sparse.special import log1mexp, log_ndtr_difference, log_ndtr_tail, ndtr, ndtri_between

BOUNDS = [
    (-1.0, 1.0),
    (-20.0, 0.0),
    (-20.0, 1e-3),
    (-8.0, 30.0),
    (3.0, 4.0),
    (29.0, 30.0),
    (30.0, 50.0),
    (-60.0, -30.5),
    (-600.0, -500.0),
    (-500.01, -500.0),
    (0.0, 10.0),
]


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def exact_log_mass(low: float, high: float) -> float:
    with mpmath.workdps(50):
        if high > -low:
            low, high = -high, -low
        root = mpmath.sqrt(2)
        return float(mpmath.log((mpmath.erfc(-high / root) - mpmath.erfc(-low / root)) / 2))


def test_log1mexp() -> None:
    x = -torch.logspace(-12, 1, 27, dtype=torch.float64)

    torch.testing.assert_close(log1mexp(x), torch.log(-torch.expm1(x)), rtol=1e-11, atol=0)
    torch.testing.assert_close(log1mexp(double(-40.0)), -torch.exp(double(-40.0)))


def test_log1mexp_gradient_is_finite() -> None:
    x = torch.tensor([-1e-30, -1e-3, -0.7, -100.0, -1e30], requires_grad=True)
    (gradient,) = torch.autograd.grad(log1mexp(x).sum(), x)

    assert gradient.isfinite().all()


@pytest.mark.parametrize(("low", "high"), BOUNDS)
def test_log_mass(low: float, high: float) -> None:
    found = log_ndtr_difference(double(low), double(high))

    assert found.item() == pytest.approx(exact_log_mass(low, high), rel=1e-10)


@pytest.mark.parametrize(("low", "high"), [bounds for bounds in BOUNDS if bounds[1] <= 0])
def test_log_mass_in_the_tail(low: float, high: float) -> None:
    found = log_ndtr_tail(double(low), double(high))

    assert found.item() == pytest.approx(exact_log_mass(low, high) + high**2 / 2, rel=1e-8)


def test_gradients() -> None:
    low = double(-2.0, 1.0, -9.0, 8.0).requires_grad_()
    high = double(1.0, 3.0, -8.0, 9.0).requires_grad_()

    assert torch.autograd.gradcheck(log_ndtr_difference, (low, high))
    below = double(-2.0, -9.0).requires_grad_(), double(-1.0, -8.0).requires_grad_()
    assert torch.autograd.gradcheck(log_ndtr_tail, below)


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize("u", [1e-12, 1e-3, 0.5, 0.999])
def test_quantile(u: float, low: float, high: float) -> None:
    x = ndtri_between(double(u), double(low), double(high)).item()

    assert low <= x <= high
    reached = exact_log_mass(low, x) - exact_log_mass(low, high)
    beyond = exact_log_mass(x, high) - exact_log_mass(low, high)
    assert pytest.approx((u, 1 - u), rel=1e-5) == tuple(mpmath.exp(v) for v in (reached, beyond))


def test_quantile_without_bounds() -> None:
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)

    expected = torch.from_numpy(norm.ppf(u.numpy()))
    torch.testing.assert_close(ndtri_between(u, double(-30.0), double(30.0)), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cdf_in_the_lower_tail(dtype: torch.dtype) -> None:
    x = torch.linspace(-12, 8, 41, dtype=dtype)

    expected = torch.from_numpy(norm.cdf(x.double().numpy()))
    torch.testing.assert_close(ndtr(x).double(), expected, rtol=3e-5, atol=0)
