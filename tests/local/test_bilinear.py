"""Bilinear forms against weight space."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.local.weight_space import assert_weight_space, double, gate, normal

# The oracle maps over examples, and torch has no rule for that.
pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


def form(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A bilinear form of the two halves of one tensor."""
    return F.bilinear(x[..., :4], x[..., 4:], weight, bias)


@pytest.mark.parametrize("shape", [(300,), (80, 3), (30, 2, 3)])
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_weight(shape: tuple[int, ...], bias: bool) -> None:
    laws = [normal(2, 4, 3)] + [normal(2)] * bias

    assert_weight_space(form, double(*shape, 7), *laws)


def test_keywords() -> None:
    assert_weight_space(
        lambda x, w, b: F.bilinear(weight=w, input2=x[:, 4:], input1=x[:, :4], bias=b),
        double(300, 7),
        normal(2, 4, 3),
        normal(2),
    )


@pytest.mark.parametrize(
    "shape",
    [(4, 1), (2, 1, 1), (3,), (2, 4, 3), ()],
    ids=["first inputs", "outputs", "second inputs", "single weights", "one"],
)
def test_gated_weight(shape: tuple[int, ...]) -> None:
    assert_weight_space(
        lambda x, w, z: form(x, w * z), double(100, 7), normal(2, 4, 3), gate(*shape)
    )


def test_gated_inputs() -> None:
    assert_weight_space(
        lambda x, w, z, y: F.bilinear(x[:, :4] * z, x[:, 4:] * y, w),
        double(100, 7),
        normal(2, 4, 3),
        gate(4),
        gate(3),
    )


def test_an_ordinary_weight_and_a_gated_second_input() -> None:
    weight = torch.nn.Parameter(double(2, 4, 3))

    assert_weight_space(
        lambda x, z: F.bilinear(x[:, :4], x[:, 4:] * z, weight), double(100, 7), gate(3)
    )
