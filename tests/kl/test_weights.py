import pytest
import torch
from pyro.distributions import Delta, Normal
from torch.distributions import kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import LogUniform

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
