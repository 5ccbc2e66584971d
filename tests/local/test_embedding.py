"""Embeddings against weight space."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.local.weight_space import assert_weight_space, gate, normal, run, sample

CALLS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "F.embedding": lambda i, w: F.embedding(i, w),
    "by keyword": lambda i, w: F.embedding(input=i, weight=w),
    "with padding": lambda i, w: F.embedding(i, w, padding_idx=4),
}


def indices(*shape: int) -> Tensor:
    return torch.randint(4, shape)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(200,), (80, 3), (30, 2, 3)])
def test_rows_are_drawn_where_they_are_looked_up(name: str, shape: tuple[int, ...]) -> None:
    assert_weight_space(CALLS[name], indices(*shape), normal(5, 3))


@pytest.mark.parametrize(
    "shape", [(3,), (1, 3), (5, 1), (5, 3), ()], ids=["features", "columns", "words", "all", "one"]
)
def test_gates(shape: tuple[int, ...]) -> None:
    units = gate(*shape)
    assert_weight_space(
        lambda i, w, z: F.embedding(i, w * z), indices(100, 2), normal(5, 3), units
    )

    # Whether a word is there at all is the same for all that say it.
    assert (units.drawn.shape == shape) == (5 in shape)


def test_gradients_leave_the_padding_alone() -> None:
    law = normal(5, 3)
    F.embedding(torch.tensor([0, 4]), sample(law), padding_idx=4).sum().backward()

    for parameter in (law.loc, law.scale):
        gradient = parameter.grad
        assert gradient is not None and gradient[0].all() and not gradient[1:].any()


@pytest.mark.parametrize("padding_idx", [4, -1])
@pytest.mark.parametrize("trained", [False, True])
def test_the_padding_has_no_noise(padding_idx: int, trained: bool) -> None:
    law = normal(5, 3)
    with torch.set_grad_enabled(trained):
        output = F.embedding(torch.tensor([0, 4, 4]), sample(law), padding_idx)

    assert torch.equal(output[1:], law.loc[4].expand(2, 3))
    assert not torch.isclose(output[0], law.loc[0]).any()


@pytest.mark.parametrize(
    "options", [{"max_norm": 1.0}, {"sparse": True}, {"scale_grad_by_freq": True}]
)
def test_options_about_the_table_itself_want_a_number(options: dict[str, object]) -> None:
    weight = sample(normal(5, 3))
    with torch.no_grad():
        output = F.embedding(torch.tensor([1, 1]), weight, **options)  # type: ignore[arg-type]

    assert torch.equal(output[0], output[1])


def test_modules() -> None:
    layer = nn.Embedding(5, 3, padding_idx=4)
    del layer._parameters["weight"]

    def call(i: Tensor, weight: Tensor) -> Tensor:
        layer.__dict__["weight"] = weight
        return layer(i)

    output = run(call, torch.tensor([1, 1]), [normal(5, 3)])
    assert not torch.equal(output[0], output[1])
