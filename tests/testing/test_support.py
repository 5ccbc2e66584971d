import math

import pytest
import torch
from pyro.distributions import Exponential, Normal, Uniform
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.testing.support import bounds, ends, values_inside

PAIR = torch.tensor([1.0, 2.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Normal(PAIR, 1.0), (-math.inf, math.inf)),
        (Exponential(PAIR).to_event(1), (0, math.inf)),
        (HardConcrete(logits=PAIR), (0, 1)),
        (Uniform(-PAIR[:1].expand(3), PAIR[1:].expand(3)), (-1, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ends_and_values_inside(law: Distribution, expected: tuple[float, float]) -> None:
    low, high = ends(law)
    inside = values_inside(law)

    assert (low, high) == expected
    assert inside.shape == law.batch_shape
    assert ((inside > low) & (inside < high)).all()


def test_ends_that_differ_within_the_batch() -> None:
    with pytest.raises(
        ValueError, match=r"Uniform needs .* here 2, got 3 \(1 of 2 entries\)\. Write"
    ):
        ends(Uniform(torch.zeros(2), torch.tensor([2.0, 3.0])))


def test_bounds_carry_gradients() -> None:
    high = PAIR[:1].clone().requires_grad_()
    gradient = torch.autograd.grad(bounds(Uniform(0.0, high))[1].sum(), high)[0]

    assert gradient.item() == 1


def test_values_differ() -> None:
    values: Tensor = values_inside(Normal(torch.zeros(2, 3), 1.0))

    assert values.unique().numel() == 6
