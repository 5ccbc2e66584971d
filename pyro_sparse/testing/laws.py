"""What every law must pass."""

__all__ = ["LAW_CHECKS", "check_law"]

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.gate import Gate, has_atoms
from pyro_sparse.testing.cases import LawCase
from pyro_sparse.testing.integrate import ends, expectation, grid
from pyro_sparse.testing.statistics import FAILURE_RATE, kolmogorov, two_sided

DRAWS = 20_000


def shapes(case: LawCase) -> None:
    """Batch and event shapes of `sample`, `log_prob`, `expand`, `to_event` and `mask`."""
    law = case.law()
    wide = law.expand((4, *law.batch_shape))
    events = wide.to_event(len(law.batch_shape))
    masked = law.mask(False)
    value = _values(law)

    assert type(wide) is type(law), f"expand gives a {type(wide).__name__}"
    assert wide.batch_shape == (4, *law.batch_shape)
    assert events.batch_shape == (4,)
    assert law.log_prob(value).shape == law.batch_shape
    assert torch.equal(wide.log_prob(value), law.log_prob(value).expand(wide.batch_shape))
    assert torch.allclose(events.log_prob(value.expand(wide.batch_shape)), _summed(law, value))
    assert torch.equal(masked.log_prob(value), torch.zeros_like(value))


def sample_shapes(case: LawCase) -> None:
    """Shapes of draws, also after `expand`."""
    law = case.law()

    assert law.sample().shape == law.batch_shape
    assert law.sample((3, 2)).shape == (3, 2, *law.batch_shape)
    assert law.expand((4, *law.batch_shape)).sample((3,)).shape == (3, 4, *law.batch_shape)


def pickles(case: LawCase) -> None:
    """A law survives pickling and `torch.save`."""
    law, value = case.law(), _values(case.law())
    buffer = io.BytesIO()
    torch.save(law, buffer)
    buffer.seek(0)

    for copy in (pickle.loads(pickle.dumps(law)), torch.load(buffer, weights_only=False)):
        assert torch.equal(copy.log_prob(value), law.log_prob(value))


def precision(case: LawCase) -> None:
    """In single precision everything is single, and agrees with double precision."""
    single, double = case.to(torch.float32).law(), case.law()
    value = _values(double)
    found = single.log_prob(value.float())

    assert found.dtype == torch.float32, f"log_prob is {found.dtype}"
    torch.testing.assert_close(found.double(), double.log_prob(value), rtol=1e-3, atol=1e-3)


def device(case: LawCase) -> None:
    """Draws and densities stay where the parameters are.

    On the meta device, which refuses to mix with tensors from elsewhere, and on a GPU if any.
    """
    for place in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        with pyro.validation_enabled(False):  # tensors on the meta device have no values
            law = case.to(torch.float32, place).law()
            value = torch.full(law.batch_shape, 0.5, device=place)

            assert law.log_prob(value).device.type == place
            if "sample_shapes" not in case.skip:
                assert law.sample((3,)).device.type == place


def density_integrates_to_one(case: LawCase) -> None:
    """Density and atoms together have mass one."""
    mass = grid(case.law()).masses.sum(0)

    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-6)


def cdf_matches_density(case: LawCase) -> None:
    """The cdf is the integral of the density."""
    law = case.law()
    points = grid(law)

    torch.testing.assert_close(law.cdf(points.nodes), points.cdf, rtol=0, atol=1e-4)


def icdf_inverts_cdf(case: LawCase) -> None:
    """`cdf(icdf(u)) >= u`, with equality where there is no atom, and `icdf(cdf(x)) = x`."""
    law = case.law()
    u = torch.linspace(0.01, 0.99, 99).double().reshape(-1, *(1 for _ in law.batch_shape))
    u = u.expand(-1, *law.batch_shape)
    value = law.icdf(u)
    reached = law.cdf(value)

    assert (reached >= u - 1e-9).all(), "cdf(icdf(u)) < u"
    inside = (value > law.support.lower_bound) & (value < law.support.upper_bound)
    torch.testing.assert_close(reached[inside], u[inside], rtol=0, atol=1e-7)
    torch.testing.assert_close(law.icdf(reached)[inside], value[inside], rtol=1e-5, atol=1e-7)


def samples_match_density(case: LawCase) -> None:
    """Draws follow the density: Kolmogorov's test, atoms spread at random over their mass."""
    law = case.law()
    points = grid(law)
    draws = law.sample((DRAWS,)).detach()

    upper, lower = _interpolate(points.nodes, points.cdf, draws), torch.zeros_like(draws)
    if has_atoms(law):
        mass = torch.where((draws == 0) | (draws == 1), law.log_prob(draws).exp(), 0.0)
        lower, upper = upper - mass, upper
        upper = lower + torch.rand_like(draws) * mass

    assert kolmogorov(upper.detach()) > FAILURE_RATE, "samples do not follow log_prob"


def moments_match_density(case: LawCase) -> None:
    """Mean and variance are those of the density."""
    law = case.law()
    mean = expectation(law, lambda x: x)
    variance = expectation(law, lambda x: (x - mean).square())

    torch.testing.assert_close(law.mean.double(), mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(law.variance.double(), variance, rtol=1e-5, atol=1e-6)


def gradients(case: LawCase) -> None:
    """Gradients of `log_prob`, and of a gate's own numbers, agree with finite differences."""
    value = _values(case.law())
    outputs: list[Callable[[Any], Tensor]] = [lambda law: law.log_prob(value)]
    if isinstance(case.law(), Gate):
        outputs += [lambda law: law.prob_active, lambda law: law.active_logits]

    for output in outputs:
        run = lambda *leaves, output=output: output(case.law(*leaves))  # noqa: E731
        assert torch.autograd.gradcheck(run, case.leaves())


def samples_carry_gradients(case: LawCase) -> None:
    """The mean gradient of a function of samples is the gradient of its mean."""
    leaves = case.leaves()
    law = case.law(*leaves)
    square = expectation(law, lambda x: x.square()).sum()
    exact = torch.autograd.grad(square, leaves)

    repeated = [leaf.detach().expand(DRAWS, *leaf.shape).requires_grad_() for leaf in leaves]
    draws = case.law(*(_aligned(leaf, law) for leaf in repeated)).rsample()
    sampled = torch.autograd.grad(draws.square().sum(), repeated)

    for gradient, expected in zip(sampled, exact, strict=True):
        assert two_sided(gradient, expected) > FAILURE_RATE, "gradients of samples are biased"


def gate_contract(case: LawCase) -> None:
    """`prob_active`, `deterministic`, `mean` and the atoms of a gate fit together."""
    gate = case.law()
    if not isinstance(gate, Gate):
        return

    assert gate.prob_active.shape == gate.deterministic.shape == gate.batch_shape
    assert ((gate.prob_active >= 0) & (gate.prob_active <= 1)).all()
    assert ((gate.deterministic >= 0) & (gate.deterministic <= 1)).all()
    torch.testing.assert_close(torch.sigmoid(gate.active_logits), gate.prob_active)

    if gate.has_atoms:
        zero = gate.log_prob(torch.zeros_like(gate.prob_active)).exp()
        torch.testing.assert_close(zero, 1 - gate.prob_active)


def _values(law: Distribution) -> Tensor:
    """One value inside the support for each batch entry, different ones."""
    low, high = ends(law)
    count = max(law.batch_shape.numel(), 1)
    position = torch.linspace(0.2, 0.7, count, dtype=torch.float64).reshape(law.batch_shape)

    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * position

    return low + position if math.isfinite(low) else position


def _summed(law: Distribution, value: Tensor) -> Tensor:
    return law.log_prob(value).sum().expand(4)


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


LAW_CHECKS: dict[str, Callable[[LawCase], None]] = {
    check.__name__: check
    for check in (
        shapes,
        sample_shapes,
        pickles,
        precision,
        device,
        density_integrates_to_one,
        cdf_matches_density,
        icdf_inverts_cdf,
        samples_match_density,
        moments_match_density,
        gradients,
        samples_carry_gradients,
        gate_contract,
    )
}
"""The checks by name, for `pytest.mark.parametrize`."""


def check_law(case: LawCase, name: str | None = None) -> None:
    """Runs one check by name, or all that apply; raises `AssertionError` at the first failure.

    Args:
        case: the law and its parameters.
        name: a key of `LAW_CHECKS`; all that the case does not skip by default.

    Example:
        >>> from pyro_sparse.distributions import HardConcrete
        >>> check_law(LawCase(HardConcrete, {"logits": torch.tensor([-1.0, 2.0]).double()}))
    """
    for check in LAW_CHECKS if name is None else [name]:
        if check not in case.skip:
            LAW_CHECKS[check](case)
