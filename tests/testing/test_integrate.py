import math

import pytest
import torch
from pyro.distributions import Beta, Exponential, LogNormal, Normal, Uniform
from torch.distributions import Distribution

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.testing import expectation, grid

DOUBLE = torch.tensor([0.7, 1.3], dtype=torch.float64)


@pytest.mark.parametrize(
    "law",
    [
        Normal(DOUBLE, DOUBLE),
        LogNormal(DOUBLE, DOUBLE),
        Exponential(DOUBLE),
        Uniform(DOUBLE[:1], 2 * DOUBLE[:1]),
        Uniform(-DOUBLE[:1].expand(2), DOUBLE[1:].expand(2)),
        Beta(DOUBLE / 4, DOUBLE),
        HardConcrete(logits=DOUBLE),
    ],
    ids=lambda law: type(law).__name__,
)
def test_mass_and_mean(law: Distribution) -> None:
    mass = grid(law).masses.sum(0)

    torch.testing.assert_close(mass, torch.ones_like(mass), rtol=0, atol=1e-8)
    torch.testing.assert_close(expectation(law, lambda x: x), law.mean, rtol=1e-6, atol=0)


def test_cumulative_mass() -> None:
    law = Normal(DOUBLE, 1.0)
    points = grid(law)

    torch.testing.assert_close(points.cdf, law.cdf(points.nodes), rtol=0, atol=1e-5)


def test_atoms_are_nodes() -> None:
    law = HardConcrete(logits=DOUBLE)
    points = grid(law)

    torch.testing.assert_close(points.cdf[0], 1 - law.prob_active)
    assert (points.nodes[0] == 0).all()
    assert (points.nodes[-1] == 1).all()


def test_expectations_carry_gradients() -> None:
    loc = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(expectation(Normal(loc, 1.0), torch.cos), loc)

    assert gradient.item() == pytest.approx(-math.sin(0.5) * math.exp(-0.5), abs=1e-9)


def test_gradients_where_the_support_moves() -> None:
    low, high = DOUBLE.clone().requires_grad_(), (2 + 0 * DOUBLE).requires_grad_()
    law = Uniform(low[:1], high)
    gradient = torch.autograd.grad(expectation(law, torch.square).sum(), (low, high))

    # E x^2 = (low^2 + low high + high^2) / 3, for two entries with the same low.
    by_low, by_high = (2 * 0.7 + 2) / 3, (0.7 + 4) / 3
    torch.testing.assert_close(gradient[0], torch.tensor([2 * by_low, 0.0]).double())
    torch.testing.assert_close(gradient[1], torch.tensor([by_high, by_high]).double())


class Spike(Normal):
    has_atoms = True


def test_atoms_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"Spike has atoms, so it needs .* got \(-inf, inf\)"):
        grid(Spike(DOUBLE, DOUBLE))
