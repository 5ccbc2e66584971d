"""Einstein sums against weight space."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.local.weight_space import assert_weight_space, double, gate, normal, sample

einsum = torch.einsum

# Call, shape of an example, shape of the weight.
LOCAL: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "rows": (lambda x, w: einsum("bi,oi->bo", x, w), (4,), (3, 4)),
    "columns": (lambda x, w: einsum("bi, io -> bo", x, w), (4,), (4, 3)),
    "weight first": (lambda x, w: einsum("oi,bi->bo", w, x), (4,), (3, 4)),
    "a list": (lambda x, w: einsum("bi,io->bo", [x, w]), (4,), (4, 3)),
    "no arrow": (lambda x, w: einsum("bi,io", x, w), (4,), (4, 3)),
    "sublists": (lambda x, w: einsum(x, [0, 1], w, [1, 2], [0, 2]), (4,), (4, 3)),
    "dots": (lambda x, w: einsum("...i,io->...o", x, w), (2, 4), (4, 3)),
    "dots inside": (lambda x, w: einsum("b...i,io->b...o", x, w), (2, 4), (4, 3)),
    "heads": (lambda x, w: einsum("bsd,dhk->bhsk", x, w), (2, 4), (4, 2, 3)),
    "of heads": (lambda x, w: einsum("bshk,hkd->bsd", x, w), (2, 2, 3), (2, 3, 4)),
    "one matrix a head": (lambda x, w: einsum("bhi,hio->bho", x, w), (2, 4), (2, 4, 3)),
    "a vector": (lambda x, w: einsum("bi,i->b", x, w), (4,), (4,)),
    "scales": (lambda x, w: einsum("bi,i->bi", x, w), (4,), (4,)),
    "two activations": (lambda x, w: einsum("bi,oij,bj->bo", x, w, x), (4,), (3, 4, 4)),
    "summed by itself": (lambda x, w: einsum("bi,iok->bo", x, w), (4,), (4, 3, 2)),
}
DRAWN: dict[str, tuple[Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "the same entry twice": (lambda x, w: einsum("bki,oi->bo", x, w), (2, 4), (3, 4)),
    "the same entry for all": (lambda x, w: einsum("bi,oi->bo", x, w), (4,), (3, 1)),
    "a diagonal": (lambda x, w: einsum("bi,ii->bi", x, w), (4,), (4, 4)),
    "dots in the weight": (lambda x, w: einsum("bi,i...->b...", x, w), (4,), (4, 3)),
}


@pytest.mark.parametrize("name", LOCAL)
def test_local_weight(name: str) -> None:
    call, example, shape = LOCAL[name]

    assert_weight_space(call, double(200, *example), normal(*shape))


@pytest.mark.parametrize("name", LOCAL)
def test_gates_of_a_weight_are_drawn_once(name: str) -> None:
    call, example, shape = LOCAL[name]
    units = gate(*shape)

    assert_weight_space(
        lambda x, w, z: call(x, w * z), double(100, *example), normal(*shape), units
    )
    assert units.drawn.shape == shape


@pytest.mark.parametrize("name", DRAWN)
def test_numbers_where_noise_could_not_be_local(name: str) -> None:
    call, example, shape = DRAWN[name]
    weight, x = sample(normal(*shape)), double(5, *example)

    torch.testing.assert_close(call(x, weight), call(x, weight.clone()))


def test_a_gated_activation_has_one_draw_per_example() -> None:
    assert_weight_space(
        lambda x, w, z: einsum("bi,oi->bo", x * z, w), double(100, 4), normal(3, 4), gate(4)
    )


@pytest.mark.parametrize(
    ("equation", "per_example"),
    [
        ("bi,oi->bo", True),
        ("...i,oi->...o", True),
        ("bi,ci", True),
        ("bi,oi->ob", False),
        ("ib,oi->bo", False),
    ],
)
def test_gates_are_drawn_per_example_where_the_output_counts_examples(
    equation: str, per_example: bool
) -> None:
    law, x, weight = gate(4), double(4, 4), double(3, 4)

    found = einsum(equation, x * sample(law), weight)

    assert law.drawn.shape == ((4, 4) if per_example else (4,))
    torch.testing.assert_close(found, einsum(equation, x * law.drawn, weight))


@pytest.mark.parametrize("equation", ["bi,io->bo", "bi,io"])
def test_gates_of_ordinary_tensors_that_are_no_activations_are_drawn_once(equation: str) -> None:
    law, x, weight = gate(3), double(5, 4), double(4, 3)

    found = einsum(equation, x, weight * sample(law))

    assert law.drawn.shape == (3,)
    torch.testing.assert_close(found, x @ (weight * law.drawn))


def test_two_weights_are_numbers() -> None:
    left, right, x = sample(normal(4, 3)), sample(normal(3, 2)), double(5, 4)

    torch.testing.assert_close(
        einsum("bi,ij,jo->bo", x, left, right), x @ left.clone() @ right.clone()
    )
