from collections.abc import Callable

import pytest
import torch

from pyro_sparse.distributions import (
    PowerFunction,
    Smoothing,
    TruncatedExponential,
    UniformExponential,
)

DOUBLE = torch.tensor([2.0, 8.0], dtype=torch.float64)
LAWS = [TruncatedExponential(DOUBLE), UniformExponential(DOUBLE, 0.1), PowerFunction(DOUBLE / 2)]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_a_reflection_is_what_the_law_says(law: Smoothing) -> None:
    draws = law.reflect(torch.Size([1000, 2]), DOUBLE, list(law.parameters()))
    near, far = draws.near, draws.far
    density = law.log_prob(near).exp()

    torch.testing.assert_close(far, 1 - near, rtol=0, atol=1e-12)
    torch.testing.assert_close(draws.near_cdf, law.cdf(near))
    torch.testing.assert_close(draws.far_survival, 1 - law.cdf(far), rtol=0, atol=1e-12)
    torch.testing.assert_close(draws.spread, 1 / density)
    torch.testing.assert_close(draws.ratio, law.log_prob(far).exp() / density, rtol=1e-6, atol=0)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_slopes_of_a_reflection_are_derivatives_of_the_cdf(law: Smoothing) -> None:
    leaves = {name: value.clone().requires_grad_() for name, value in law.parameters().items()}
    draws = law.reflect(torch.Size([1, 2]), DOUBLE, list(leaves))

    for value, slopes in ((draws.near, draws.near_slopes), (draws.far, draws.far_slopes)):
        family: Callable[..., Smoothing] = type(law)
        cdf = family(**leaves).cdf(value)
        expected = torch.autograd.grad(cdf.sum(), list(leaves.values()))
        for name, gradient in zip(leaves, expected, strict=True):
            torch.testing.assert_close(slopes[name].sum_to_size(gradient.shape), gradient)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_only_the_slopes_asked_for(law: Smoothing) -> None:
    draws = law.reflect(torch.Size([2]), DOUBLE, [])

    assert not draws.near_slopes
    assert not draws.far_slopes


def test_numeric_inverse() -> None:
    law = UniformExponential(DOUBLE.clone().requires_grad_(), 0.1)
    u = torch.tensor([0.2, 0.99], dtype=torch.float64, requires_grad=True)
    z = law.icdf(u)
    (slope,) = torch.autograd.grad(z.sum(), u, retain_graph=True)
    (gradient,) = torch.autograd.grad(z.sum(), law.rate)

    torch.testing.assert_close(law.cdf(z), u)
    torch.testing.assert_close(slope, 1 / law.log_prob(z).exp())
    step = 1e-6
    wider, narrower = (UniformExponential(DOUBLE + h, 0.1).icdf(u) for h in (step, -step))
    torch.testing.assert_close(gradient, (wider - narrower) / (2 * step), rtol=1e-6, atol=1e-9)
