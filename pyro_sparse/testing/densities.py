"""Checks of a law's numbers against the integral of its density, and of their gradients."""

__all__ = [
    "cdf_matches_density",
    "density_integrates_to_one",
    "gradients",
    "icdf_inverts_cdf",
    "moments_match_density",
]

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from pyro_sparse.testing.assertions import assert_close
from pyro_sparse.testing.cases import LawCase
from pyro_sparse.testing.integrate import expectation, grid
from pyro_sparse.testing.questions import Question, questions
from pyro_sparse.testing.support import ends, values_inside

# A gate's value at test time may jump, and quantiles and cdfs owe nobody a gradient.
WITHOUT_GRADIENT = {"cdf", "icdf", "deterministic"}


def density_integrates_to_one(case: LawCase) -> None:
    """Density and atoms together have mass one."""
    mass = grid(case.law()).masses.sum(0)

    assert_close("the density has mass 1", mass, torch.ones_like(mass), rtol=0, atol=1e-6)


def cdf_matches_density(case: LawCase) -> None:
    """The cdf is the integral of the density."""
    law = case.law()
    points = grid(law)

    what = "the cdf is the integral of the density"
    assert_close(what, law.cdf(points.nodes), points.cdf, rtol=0, atol=1e-4)


def icdf_inverts_cdf(case: LawCase) -> None:
    """`cdf(icdf(u)) >= u`, with equality where there is no atom, and `icdf(cdf(x)) = x`."""
    law = case.law()
    u = torch.linspace(0.01, 0.99, 99).double().reshape(-1, *(1 for _ in law.batch_shape))
    u = u.expand(-1, *law.batch_shape)
    value = law.icdf(u)
    reached = law.cdf(value)

    short = (u - reached).amax().item()
    assert short <= 1e-9, f"cdf(icdf(u)) is below u, by {short:g}"

    low, high = ends(law)
    inside = (value > low) & (value < high)
    back = law.icdf(reached)[inside]
    assert_close("cdf(icdf(u)) = u", reached[inside], u[inside], rtol=0, atol=1e-7)
    assert_close("icdf(cdf(x)) = x", back, value[inside], rtol=1e-5, atol=1e-7)


def moments_match_density(case: LawCase) -> None:
    """Mean and variance are those of the density."""
    law = case.law()
    mean = expectation(law, lambda x: x)
    variance = expectation(law, lambda x: (x - mean).square())

    what = "the {} is that of the density"
    assert_close(what.format("mean"), law.mean.double(), mean, rtol=1e-6, atol=1e-6)
    assert_close(what.format("variance"), law.variance.double(), variance, rtol=1e-5, atol=1e-6)


def gradients(case: LawCase) -> None:
    """Gradients of `log_prob`, the moments and a gate's numbers agree with finite differences."""
    value = values_inside(case.law())

    for name, ask in questions(case).items():
        if name not in WITHOUT_GRADIENT:
            for parameter in case.parameters:
                _check_gradient(case, name, ask, parameter, value)


def _check_gradient(
    case: LawCase, name: str, ask: Question, parameter: str, value: Tensor
) -> None:
    def run(leaf: Tensor) -> Tensor:
        return ask(case.law(*{**case.parameters, parameter: leaf}.values()), value)

    leaf = case.parameters[parameter].clone().requires_grad_()
    try:
        gradcheck(run, leaf)
    except GradcheckError as error:
        raise AssertionError(
            f"the gradient of {name} in {parameter} is not that of finite differences: {error}"
        ) from error
