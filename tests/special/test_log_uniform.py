import mpmath  # type: ignore[import-untyped]
import pytest
import torch
from scipy.special import dawsn
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.special import dawson, dawson_ratio, log_uniform_kl, log_uniform_kl_fit

LOG_ALPHA = torch.linspace(-10, 10, 201, dtype=torch.float64)


def exact(u: float) -> float:
    with mpmath.workdps(40):
        return float(u * mpmath.hyp2f2(1, 1, 1.5, 2, -u))


def from_log_alpha(log_alpha: Tensor) -> Tensor:
    return torch.exp(-log_alpha) / 2


def test_kl_is_the_hypergeometric_function() -> None:
    u = from_log_alpha(LOG_ALPHA[60:])  # beyond, the series needs more digits than it is worth
    expected = torch.tensor([exact(x) for x in u.tolist()], dtype=torch.float64)

    torch.testing.assert_close(log_uniform_kl(u), expected, rtol=1e-10, atol=0)


def test_kl_is_the_integral_of_dawson() -> None:
    u = from_log_alpha(LOG_ALPHA)
    steps = torch.linspace(0, 1, 20_001, dtype=torch.float64).unsqueeze(-1)
    heights = torch.from_numpy(dawsn((steps * u.sqrt()).numpy()))
    weights = torch.full((20_001, 1), 4.0, dtype=torch.float64)  # Simpson's rule
    weights[::2] = 2.0
    weights[[0, -1]] = 1.0
    integral = 2 * u.sqrt() * (weights * heights).sum(0) / 60_000

    torch.testing.assert_close(log_uniform_kl(u), integral, rtol=1e-8, atol=0)


def test_gradient_is_dawson() -> None:
    u = from_log_alpha(LOG_ALPHA).requires_grad_()
    (gradient,) = torch.autograd.grad(log_uniform_kl(u).sum(), u)
    root = u.detach().sqrt()

    expected = torch.from_numpy(dawsn(root.numpy())) / root
    torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=0)


def test_dawson() -> None:
    x = torch.linspace(-50, 50, 2001, dtype=torch.float64)

    torch.testing.assert_close(dawson(x), torch.from_numpy(dawsn(x.numpy())), rtol=1e-8, atol=0)


def test_single_precision_everywhere() -> None:
    log_alpha = torch.linspace(-20, 20, 401, dtype=torch.float64)
    u = from_log_alpha(log_alpha)
    single = u.float().requires_grad_()
    kl = log_uniform_kl(single)
    (gradient,) = torch.autograd.grad(kl.sum(), single)

    torch.testing.assert_close(kl.double(), log_uniform_kl(u), rtol=2e-6, atol=0)
    torch.testing.assert_close(gradient.double(), dawson_ratio(u), rtol=5e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_ends(dtype: torch.dtype) -> None:
    u = torch.tensor([0.0, 1e30], dtype=dtype, requires_grad=True)
    kl = log_uniform_kl(u)
    (gradient,) = torch.autograd.grad(kl.sum(), u)

    assert kl[0] == 0
    assert kl.isfinite().all()
    torch.testing.assert_close(gradient, torch.tensor([1.0, 5e-31], dtype=dtype))


def test_finite_differences_and_vmap() -> None:
    u = torch.tensor([0.0, 0.1, 3.0, 50.0], dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(log_uniform_kl, u)
    assert torch.autograd.gradgradcheck(log_uniform_kl, u)
    torch.testing.assert_close(torch.vmap(log_uniform_kl)(u), log_uniform_kl(u))


def test_fit() -> None:
    ratio = torch.tensor([-300.0, -1.0, -1e-3, 0.0, 1e-3, 2.0, 50.0]).double().requires_grad_()
    log_alpha = -2 * ratio.detach().abs().log()
    share = torch.sigmoid(1.87320 + 1.48695 * log_alpha)
    expected = 0.63576 - 0.63576 * share + 0.5 * torch.log1p(torch.exp(-log_alpha))

    torch.testing.assert_close(log_uniform_kl_fit(ratio), expected)
    assert torch.autograd.gradcheck(log_uniform_kl_fit, ratio)
    away = ratio.detach()[[0, 1, 5, 6]].requires_grad_()
    assert torch.autograd.gradgradcheck(log_uniform_kl_fit, away)
    torch.testing.assert_close(torch.vmap(log_uniform_kl_fit)(ratio), expected)


def test_fit_keeps_its_gradient_in_a_recorded_graph() -> None:
    ratio = torch.tensor([-2.0, 0.0, 0.5])
    graph = make_fx(log_uniform_kl_fit)(ratio)

    gradients = []
    for function in (graph, log_uniform_kl_fit):
        leaf = ratio.clone().requires_grad_()
        gradients.append(torch.autograd.grad(function(leaf).sum(), leaf)[0])
    torch.testing.assert_close(*gradients)
