"""Products with gates and views stay deferred, and mean what they say."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.local import Deferred
from tests.local.weight_space import double, gate, normal, sample

PRODUCTS: dict[str, Callable[[Any, Any], Any]] = {
    "*": lambda a, z: a * z,
    "* from the right": lambda a, z: z * a,
    "torch.mul": lambda a, z: torch.mul(a, z),
    "torch.mul by keyword": lambda a, z: torch.mul(input=a, other=z),
    "torch.multiply": lambda a, z: torch.multiply(z, a),
    "mul": lambda a, z: a.mul(z),
    "mul by keyword": lambda a, z: z.mul(other=a),
    "multiply": lambda a, z: a.multiply(z),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("kind", ["activation", "parameter", "local weight", "another gate"])
def test_products_with_a_gate_stay_deferred(name: str, kind: str) -> None:
    law, other = gate(4), gate(3, 4)
    operand = {
        "activation": double(3, 4),
        "parameter": nn.Parameter(double(3, 4)),
        "local weight": sample(normal(3, 4)),
        "another gate": sample(other),
    }[kind]

    product = PRODUCTS[name](operand, sample(law))

    assert isinstance(product, Deferred) and product.shape == (3, 4)
    number = operand + 0
    torch.testing.assert_close(product + 0, number * law.drawn)
    assert law.drawn.shape == ((3, 4) if kind == "activation" else (4,))


def test_a_gate_spreads_the_operand() -> None:
    law = gate(3, 1)
    product = nn.Parameter(double(4)) * sample(law)

    assert product.shape == (3, 4)
    assert (product + 0).shape == (3, 4)


@pytest.mark.parametrize(
    "product",
    [
        lambda z: z * 2,
        lambda z: 2.0 * z,
        lambda z: torch.mul(z, double(4), out=torch.empty(4).double()),
    ],
    ids=["number", "number from the left", "out"],
)
def test_other_products_are_numbers(product: Callable[[Any], Any]) -> None:
    with torch.no_grad():
        assert type(product(sample(gate(4)))) is Tensor


def test_a_product_of_two_local_weights_is_a_number() -> None:
    left, right = sample(normal(4)), sample(normal(4))

    product = (left * sample(gate(4))) * right

    assert type(product) is Tensor


VIEWS: dict[str, Callable[[Any], Any]] = {
    "t": lambda w: w.t(),
    "torch.t": torch.t,
    "T": lambda w: w.T,
    "mT": lambda w: w.mT,
    "transpose": lambda w: w.transpose(0, -1),
    "transpose by keyword": lambda w: torch.transpose(input=w, dim0=0, dim1=1),
    "permute": lambda w: w.permute(1, 0),
    "permute by keyword": lambda w: torch.permute(w, dims=(1, 0)),
    "swapaxes": lambda w: torch.swapaxes(w, 0, 1),
    "movedim": lambda w: w.movedim(0, 1),
    "reshape": lambda w: w.reshape(2, -1),
    "view": lambda w: w.view(4, 3),
    "flatten": lambda w: torch.flatten(w),
    "unsqueeze": lambda w: w.unsqueeze(1),
    "squeeze": lambda w: w.squeeze(),
    "None": lambda w: w[:, None],
    "...": lambda w: w[..., None, :],
}
PERMUTATIONS = list(VIEWS)[:10]


@pytest.mark.parametrize("name", VIEWS)
def test_views_stay_deferred(name: str) -> None:
    weight = sample(normal(3, 4))
    view = VIEWS[name](weight)

    assert isinstance(view, Deferred)
    assert view.weight is not None and view.weight.draw.used is None
    torch.testing.assert_close(view + 0, VIEWS[name](weight.clone()))


@pytest.mark.parametrize("name", PERMUTATIONS)
def test_permutations_of_a_gated_weight_stay_deferred(name: str) -> None:
    weight, law = nn.Parameter(double(3, 4)), gate(4)
    view = VIEWS[name](weight * sample(law))

    assert isinstance(view, Deferred)
    x = double(6, 3)
    torch.testing.assert_close(F.linear(x, view), (x @ weight) * law.drawn)
    assert law.drawn.shape == (6, 4)


@pytest.mark.parametrize("name", [name for name in VIEWS if name not in PERMUTATIONS])
def test_other_views_of_a_product_are_numbers(name: str) -> None:
    weight, law = nn.Parameter(double(3, 4)), gate(4)

    view = VIEWS[name](weight * sample(law))

    torch.testing.assert_close(view, VIEWS[name](weight * law.drawn))
    assert type(view) is Tensor


@pytest.mark.parametrize(
    "view",
    [
        lambda z: z[:, None],
        lambda z: z.view(4, 1),
        lambda z: z.reshape(-1, 1),
        lambda z: z.unsqueeze(-1),
        lambda z: z[..., None],
    ],
)
def test_views_of_a_gate_are_drawn_per_example(view: Callable[[Any], Any]) -> None:
    law, x = gate(4), double(6, 4, 5)

    gated = x * view(sample(law)) + 0

    torch.testing.assert_close(gated, x * law.drawn.unsqueeze(-1))
    assert law.drawn.shape == (6, 4)


@pytest.mark.parametrize(
    "view",
    [
        lambda z: z[None, :, None],
        lambda z: z.view(1, -1, 1),
        lambda z: z.unsqueeze(0).unsqueeze(-1),
    ],
)
def test_leading_axes_of_one_are_no_dimensions_of_a_gate(view: Callable[[Any], Any]) -> None:
    law, x = gate(4), double(6, 4, 5)

    gated = x * view(sample(law)) + 0

    torch.testing.assert_close(gated, x * law.drawn.unsqueeze(-1))
    assert law.drawn.shape == (6, 4)


def test_one_gate_beside_an_example_without_a_batch_is_one_draw() -> None:
    law, x = gate(1), double(6, 5)

    torch.testing.assert_close(x * sample(law).view(1, 1) + 0, x * law.drawn)
    assert law.drawn.shape == (1,)


def test_a_permuted_gate_is_drawn_per_example() -> None:
    law, x = gate(4, 5), double(6, 5, 4)

    torch.testing.assert_close(x * sample(law).T + 0, x * law.drawn.mT)


@pytest.mark.parametrize(
    "view",
    [lambda w: w.view(torch.int64), lambda w: w.view(dtype=torch.int64), lambda w: w[0]],
    ids=["retyped", "retyped by keyword", "indexed"],
)
def test_what_is_no_view_of_the_values_is_a_number(view: Callable[[Any], Any]) -> None:
    with torch.no_grad():
        assert type(view(sample(normal(3, 4)))) is Tensor


def test_impossible_views_are_refused_at_once() -> None:
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        sample(normal(3, 4)).view(5, 5)
