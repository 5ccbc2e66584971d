import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.nn.folding import fold_gate, make_affine

LAYERS = {
    "linear": (nn.Linear(6, 4), (5, 6)),
    "conv": (nn.Conv2d(6, 4, 3, padding=1, groups=2), (5, 6, 3, 4)),
    "transposed": (nn.ConvTranspose1d(6, 4, 3, groups=2), (5, 6, 7)),
}


def beside(gate: Tensor, like: Tensor) -> Tensor:
    return gate.reshape(-1, *(1,) * (like.ndim - 2))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dim", ["in", "out", "layer"])
def test_a_folded_gate_does_what_the_gate_did(name: str, dim: str) -> None:
    layer, shape = LAYERS[name]
    x = torch.randn(shape)
    y = layer(x)
    gate = torch.rand({"in": 6, "out": 4, "layer": 1}[dim])
    wanted = layer(x * beside(gate, x)) if dim == "in" else y * beside(gate, y)

    folded = {n: fold_gate(layer, n, p, gate, dim) for n, p in layer.named_parameters()}

    torch.testing.assert_close(torch.func.functional_call(layer, folded, (x,)), wanted)


def test_a_head_is_several_columns() -> None:
    layer, x, gate = nn.Linear(6, 4), torch.randn(5, 6), torch.rand(3)

    folded = {n: fold_gate(layer, n, p, gate, "head") for n, p in layer.named_parameters()}

    wanted = layer(x * gate.repeat_interleave(2))
    torch.testing.assert_close(torch.func.functional_call(layer, folded, (x,)), wanted)


def test_gates_of_single_weights_leave_the_bias() -> None:
    layer = nn.Linear(3, 2)
    gate = torch.rand(2, 3)

    assert torch.equal(
        fold_gate(layer, "weight", layer.weight, gate, "weight"), layer.weight * gate
    )
    assert torch.equal(fold_gate(layer, "bias", layer.bias, gate, "weight"), layer.bias)


def test_without_a_gate_it_is_a_copy() -> None:
    layer = nn.Linear(3, 2)
    value = fold_gate(layer, "weight", layer.weight, None, None)

    assert torch.equal(value, layer.weight) and value is not layer.weight
    assert not value.requires_grad


def test_a_norm_gets_parameters_that_change_nothing() -> None:
    norm = nn.BatchNorm1d(3, affine=False).eval()
    x = torch.randn(4, 3)
    wanted = norm(x)

    make_affine(norm)

    assert norm.weight.shape == norm.bias.shape == (3,)
    assert torch.equal(norm(x), wanted)
