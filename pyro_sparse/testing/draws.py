"""Checks of a law's draws: against its density, against each other, and their gradients."""

__all__ = ["samples_are_independent", "samples_carry_gradients", "samples_match_density"]

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.gate import has_atoms
from pyro_sparse.testing.assertions import assert_likely
from pyro_sparse.testing.cases import LawCase
from pyro_sparse.testing.integrate import Grid, expectation, grid
from pyro_sparse.testing.questions import samplers
from pyro_sparse.testing.statistics import independent, kolmogorov, two_sided

DRAWS = 20_000


def samples_match_density(case: LawCase) -> None:
    """Draws follow the density: Kolmogorov's test, atoms spread at random over their mass."""
    for name, uniforms in _uniforms(case.law()).items():
        assert_likely(kolmogorov(uniforms), f"draws of {name} do not follow log_prob")


def samples_are_independent(case: LawCase) -> None:
    """Entries of a batch have noise of their own, also those that `expand` makes.

    The cdf at the draws must not correlate between neighbours along any dimension.
    """
    law = case.law()
    wide = law.expand((2, *law.batch_shape))

    for one, batch in ((law, "the batch"), (wide, "the dimension that expand makes")):
        for name, uniforms in _uniforms(one).items():
            what = f"draws of {name} share their noise across {batch}, {tuple(one.batch_shape)}"
            assert_likely(independent(uniforms), what)


def samples_carry_gradients(case: LawCase) -> None:
    """The mean gradient of a function of samples is the gradient of its mean."""
    leaves = case.leaves()
    law = case.law(*leaves)
    assert law.has_rsample, (
        "has_rsample is False. Set it to True if the law has rsample, or skip this check"
    )
    exact = _gradients(expectation(law, torch.square).sum(), leaves)

    repeated = [leaf.detach().expand(DRAWS, *leaf.shape).requires_grad_() for leaf in leaves]
    draws = case.law(*(_aligned(leaf, law) for leaf in repeated)).rsample()
    sampled = _gradients(draws.square().sum(), repeated)

    for name, gradient, expected in zip(case.parameters, sampled, exact, strict=True):
        if expected is None:
            continue  # the density does not depend on it either
        assert gradient is not None, f"samples carry no gradient in {name}"
        mean, exact_mean = (x.round(decimals=6).tolist() for x in (gradient.mean(0), expected))
        what = f"gradients of samples in {name} average {mean}, expected {exact_mean}"
        assert_likely(two_sided(gradient, expected), what)


def _uniforms(law: Distribution) -> dict[str, Tensor]:
    """Draws of each method, sent through the integral of the density: uniform if they match."""
    points = grid(law)
    return {
        name: _through_cdf(law, points, draw(torch.Size([DRAWS])))
        for name, draw in samplers(law).items()
    }


@torch.no_grad()
def _through_cdf(law: Distribution, points: Grid, draws: Tensor) -> Tensor:
    upper = _interpolate(points.nodes, points.cdf, draws)
    if not has_atoms(law):
        return upper

    mass = torch.where((draws == 0) | (draws == 1), law.log_prob(draws).exp(), 0.0)
    return upper - torch.rand_like(draws) * mass


def _gradients(total: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Gradients, `None` where there is no way from a leaf to the total."""
    if not total.requires_grad:
        return [None] * len(leaves)
    return torch.autograd.grad(total, leaves, allow_unused=True)


def _aligned(leaf: Tensor, law: Distribution) -> Tensor:
    """Inserts dimensions after the first, so that the rest aligns with the batch shape."""
    missing = 1 + len(law.batch_shape) - leaf.dim()
    return leaf.reshape(leaf.shape[0], *(1 for _ in range(missing)), *leaf.shape[1:])


def _interpolate(nodes: Tensor, heights: Tensor, draws: Tensor) -> Tensor:
    """Linear interpolation along the first dimension, each batch entry by its own nodes."""
    x, y, at = (t.reshape(t.shape[0], -1).T.contiguous() for t in (nodes, heights, draws))
    right = torch.searchsorted(x, at).clamp(1, x.shape[1] - 1)

    (x0, x1), (y0, y1) = ((t.gather(1, right - 1), t.gather(1, right)) for t in (x, y))
    share = ((at - x0) / (x1 - x0)).clamp(0, 1)
    return (y0 + share * (y1 - y0)).T.reshape(draws.shape)
