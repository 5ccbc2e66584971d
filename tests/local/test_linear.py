"""Matrix products against weight space, in every way of writing them."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse import Local
from tests.local.weight_space import (
    assert_standard_normal,
    assert_weight_space,
    double,
    gate,
    moments,
    normal,
    run,
    sample,
)

Call = Callable[..., Tensor]

OUT_IN: dict[str, Call] = {
    "F.linear": lambda x, w: F.linear(x, w),
    "F.linear by keyword": lambda x, w: F.linear(input=x, weight=w, bias=None),
    "x @ w.T": lambda x, w: x @ w.T,
    "x @ w.mT": lambda x, w: x @ w.mT,
    "x @ w.t()": lambda x, w: x @ w.t(),
    "torch.t": lambda x, w: torch.matmul(x, torch.t(w)),
    "transpose by keyword": lambda x, w: x @ torch.transpose(input=w, dim0=0, dim1=1),
    "permute": lambda x, w: x @ w.permute(1, 0),
    "swapaxes": lambda x, w: x @ w.swapaxes(0, 1),
    "movedim": lambda x, w: x @ w.movedim(0, 1),
    "twice transposed": lambda x, w: F.linear(x, w.T.T),
    "reshaped": lambda x, w: F.linear(x, w.reshape(-1).view(3, 4)),
    "with new axes": lambda x, w: F.linear(x, w[None, ..., None].squeeze()),
    "unsqueezed": lambda x, w: F.linear(x, w.unsqueeze(0).squeeze(0)),
}
IN_OUT: dict[str, Call] = {
    "x @ w": lambda x, w: x @ w,
    "torch.matmul": lambda x, w: torch.matmul(x, w),
    "torch.matmul by keyword": lambda x, w: torch.matmul(input=x, other=w),
    "x.matmul": lambda x, w: x.matmul(w),
    "torch.mm": lambda x, w: torch.mm(x, w),
    "torch.mm by keyword": lambda x, w: torch.mm(input=x, mat2=w),
    "x.mm by keyword": lambda x, w: x.mm(mat2=w),
    "w.__rmatmul__": lambda x, w: w.__rmatmul__(x),
}


@pytest.mark.parametrize("name", OUT_IN)
def test_weight_of_rows(name: str) -> None:
    assert_weight_space(OUT_IN[name], double(300, 4), normal(3, 4))


@pytest.mark.parametrize("name", IN_OUT)
def test_weight_of_columns(name: str) -> None:
    assert_weight_space(IN_OUT[name], double(300, 4), normal(4, 3))


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w, b: F.linear(x, w, b),
        lambda x, w, b: F.linear(x, bias=b, weight=w),
        lambda x, w, b: torch.addmm(b, x, w.T),
        lambda x, w, b: torch.addmm(input=b, mat1=x, mat2=w.T),
    ],
    ids=["positional", "keywords", "addmm", "addmm by keyword"],
)
def test_weight_and_bias(call: Call) -> None:
    assert_weight_space(call, double(300, 4), normal(3, 4), normal(3))


VECTORS: dict[str, Call] = {
    "x @ w": lambda x, w: x @ w,
    "torch.mv": lambda x, w: torch.mv(x, w),
    "x.mv by keyword": lambda x, w: x.mv(vec=w),
    "F.linear": lambda x, w: F.linear(x, w),
}


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("gated", [False, True], ids=["no gates", "gates"])
def test_weight_of_one_output(name: str, gated: bool) -> None:
    if gated:
        call = lambda x, w, z: VECTORS[name](x, w * z)  # noqa: E731
        assert_weight_space(call, double(300, 4), normal(4), gate(4))
    else:
        assert_weight_space(VECTORS[name], double(300, 4), normal(4))


@pytest.mark.parametrize("gates", [None, (4, 1), (3,), (2, 1, 1), (2, 4, 3)])
def test_a_stack_of_matrices(gates: tuple[int, ...] | None) -> None:
    x = double(100, 2, 5, 4)
    if gates is None:
        assert_weight_space(lambda x, w: x @ w, x, normal(2, 4, 3))
    else:
        assert_weight_space(lambda x, w, z: x @ (w * z), x, normal(2, 4, 3), gate(*gates))


def test_products_of_batches() -> None:
    law, x = normal(2, 4, 3), double(2, 5000, 4)
    residual = (torch.bmm(x, sample(law)) - x @ law.loc) / (x.square() @ law.scale.square()).sqrt()

    assert_standard_normal(residual.detach())


def test_local_bias_of_an_ordinary_weight() -> None:
    weight = double(3, 4)

    assert_weight_space(lambda x, b: F.linear(x, weight, b), double(300, 4), normal(3))


def test_ordinary_bias_of_a_local_weight() -> None:
    bias = double(3)

    assert_weight_space(lambda x, w: F.linear(x, w, bias), double(300, 4), normal(3, 4))


@pytest.mark.parametrize("shape", [(), (2,), (2, 5)])
def test_extra_batch_dimensions(shape: tuple[int, ...]) -> None:
    assert_weight_space(
        lambda x, w, b: F.linear(x, w, b), double(200, *shape, 4), normal(3, 4), normal(3)
    )


def test_one_example_without_a_batch() -> None:
    law = normal(3, 4)
    x = double(4)

    outputs = torch.stack([run(F.linear, x, [law]) for _ in range(400)])
    mean, variance = moments(F.linear, x.unsqueeze(0), [law])

    residual = (outputs - mean[0]) / variance[0].sqrt()
    assert residual.shape == (400, 3)
    assert_standard_normal(residual.detach())


GATES: dict[str, tuple[tuple[int, ...], ...]] = {
    "inputs": ((4,),),
    "inputs, two dimensions": ((1, 4),),
    "outputs": ((3, 1),),
    "all": ((),),
    "all, two dimensions": ((1, 1),),
    "single weights": ((3, 4),),
    "inputs and outputs": ((4,), (3, 1)),
}


@pytest.mark.parametrize("shapes", GATES.values(), ids=GATES)
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_gated_weight(shapes: tuple[tuple[int, ...], ...], bias: bool) -> None:
    def call(x: Tensor, w: Tensor, *rest: Tensor) -> Tensor:
        offset, gates = (rest[0], rest[1:]) if bias else (None, rest)
        for z in gates:
            w = w * z
        return F.linear(x, w, offset)

    laws = [normal(3, 4), *([normal(3)] if bias else []), *(gate(*shape) for shape in shapes)]
    late_bias = bias and ((3, 1) in shapes or shapes[0] in [(), (1, 1)])
    assert_weight_space(call, double(300, 4), *laws, sources=1 + late_bias)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w, z: x @ (w * z).T,
        lambda x, w, z: x @ (z * w).transpose(0, 1),
        lambda x, w, z: x @ (torch.mul(w, other=z)).mT,
        lambda x, w, z: x @ (w.T * z.unsqueeze(-1)),
        lambda x, w, z: F.linear(x * z, w),
        lambda x, w, z: F.linear(input=z * x, weight=w),
    ],
)
def test_gated_inputs_written_otherwise(call: Call) -> None:
    assert_weight_space(call, double(300, 4), normal(3, 4), gate(4))


@pytest.mark.parametrize(
    "call",
    [
        lambda x, w, z: F.linear(x, w * z.unsqueeze(-1)),
        lambda x, w, z: F.linear(x, w * z[:, None]),
        lambda x, w, z: F.linear(x, (w.T * z).T),
        lambda x, w, z: x @ (w.T * z),
        lambda x, w, z: F.linear(x, w) * z,
        lambda x, w, z: F.linear(x, w).mul(z) + 0,
    ],
)
def test_gated_outputs_written_otherwise(call: Call) -> None:
    def realised(x: Tensor, w: Tensor, z: Tensor) -> Tensor:
        return call(x, w, z) + 0

    assert_weight_space(realised, double(300, 4), normal(3, 4), gate(3))


def test_gated_bias() -> None:
    assert_weight_space(
        lambda x, w, b, z: F.linear(x, w * z.unsqueeze(-1), b * z),
        double(300, 4),
        normal(3, 4),
        normal(3),
        gate(3),
        sources=2,
    )


def test_gate_of_the_bias_alone() -> None:
    assert_weight_space(
        lambda x, w, b, z: F.linear(x, w, b * z),
        double(300, 4),
        normal(3, 4),
        normal(3),
        gate(3),
        sources=2,
    )


def test_gated_weight_and_a_tensor() -> None:
    mask = double(3, 4)

    assert_weight_space(
        lambda x, w, z: F.linear(x, (w * z) * mask), double(300, 4), normal(3, 4), gate(4)
    )


@pytest.mark.parametrize("shape", [(2,), (2, 5)])
def test_gates_with_extra_batch_dimensions(shape: tuple[int, ...]) -> None:
    assert_weight_space(
        lambda x, w, z, o: F.linear(x, w * z * o),
        double(200, *shape, 4),
        normal(3, 4),
        gate(4),
        gate(3, 1),
    )


def test_gated_ordinary_weight() -> None:
    weight = torch.nn.Parameter(double(3, 4))

    assert_weight_space(lambda x, z: F.linear(x, weight * z), double(50, 4), gate(4))
    assert_weight_space(lambda x, z: x @ (weight * z).T, double(50, 4), gate(3, 1))


PRODUCTS: dict[str, Call] = {
    **IN_OUT,
    "addmm": lambda x, w: torch.addmm(torch.zeros(3).double(), x, w),
    "F.linear": lambda x, w: F.linear(x, w.T),
}
del PRODUCTS["w.__rmatmul__"]
WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a leaf": lambda w: w.requires_grad_(),
    "of pyro.param": lambda w: pyro.param("W", w),
    "of pyro.param, constrained": lambda w: pyro.param(
        "W", w.exp(), constraint=constraints.positive
    ),
    "shared": lambda w: Local(dist.Normal(w, 1.0), shared=True).rsample(),
    "computed": lambda w: w + 0,
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("kind", WEIGHTS)
@pytest.mark.parametrize("shape", [(4, 1), (3,)], ids=["inputs", "outputs"])
def test_a_gate_is_one_for_all_entries_of_an_ordinary_weight(
    name: str, kind: str, shape: tuple[int, ...]
) -> None:
    """Its draw is known from the outputs: the same for each column, or row, of the weight."""
    law, x, weight = gate(*shape), double(5, 4), WEIGHTS[kind](double(4, 3))

    output = PRODUCTS[name](x, weight * sample(law))

    rows = law.drawn.expand(5, *shape)
    wanted = torch.stack([one @ (weight * z) for one, z in zip(x, rows, strict=True)])
    torch.testing.assert_close(output, wanted)


def test_activations_on_their_side_share_one_draw() -> None:
    law, x, weight = gate(4, 1), double(5, 4), double(3, 4)

    found = weight @ (x.T * sample(law))

    assert law.drawn.shape == (4, 1)
    torch.testing.assert_close(found, weight @ (x.T * law.drawn))


def test_a_stack_of_ordinary_matrices_counts_examples() -> None:
    """Such as the values of attention."""
    law, scores, values = gate(3), double(2, 5, 4), double(2, 4, 3)

    torch.testing.assert_close(
        scores @ (values * sample(law)), scores @ (values * law.drawn.unsqueeze(1))
    )


def test_a_weight_on_the_left_is_drawn() -> None:
    law = normal(3, 4)
    weight = sample(law)
    x = double(4, 5)

    torch.testing.assert_close(weight @ x, weight.clone() @ x)


def test_a_product_of_two_weights_is_drawn() -> None:
    left, right = sample(normal(3, 4)), sample(normal(4, 2))

    torch.testing.assert_close(left @ right, left.clone() @ right.clone())
