"""Torch's transformer modules with forward methods that can be followed: the same numbers."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from pyro_sparse.graph.transformers import TRANSFORMERS, followed

OPTIONS: dict[str, Any] = {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True}


def encoder(norm_first: bool) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, norm_first=norm_first, **OPTIONS)
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)


def decoder(norm_first: bool) -> nn.TransformerDecoder:
    layer = nn.TransformerDecoderLayer(8, 2, norm_first=norm_first, **OPTIONS)
    return nn.TransformerDecoder(layer, 2)


def whole(norm_first: bool) -> nn.Transformer:
    return nn.Transformer(8, 2, 1, 1, norm_first=norm_first, **OPTIONS)


BUILDERS: dict[str, tuple[Callable[[bool], nn.Module], int]] = {
    "encoder": (encoder, 1),
    "decoder": (decoder, 2),
    "both": (whole, 2),
}


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_the_numbers_stay(kind: str, norm_first: bool) -> None:
    build, count = BUILDERS[kind]
    net = build(norm_first).eval()
    plain = copy.deepcopy(net)
    inputs = [torch.randn(3, 5, 8) for _ in range(count)]

    followed(plain)

    torch.testing.assert_close(plain(*inputs), net(*inputs))
    leaves = {type(m) for m in plain.modules() if fx.Tracer().is_leaf_module(m, "")}
    assert not leaves & TRANSFORMERS.keys()


def test_masks_are_passed_on() -> None:
    net = encoder(True).eval()
    plain = copy.deepcopy(net)
    followed(plain)
    later = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.zeros(3, 5).masked_fill(torch.arange(5) > 3, -torch.inf)
    x = torch.randn(3, 5, 8)

    for arguments in ((x, later), (x, None, padding), (x, later, None, True), (x, later, padding)):
        expected = net(*arguments)
        torch.testing.assert_close(plain(*arguments), expected)
        assert not torch.allclose(expected, net(x))


def test_a_forward_method_of_ones_own_is_kept() -> None:
    class Own(nn.TransformerEncoderLayer):
        def forward(self, src: Tensor) -> Tensor:  # type: ignore[override]
            return src

    class Named(nn.TransformerEncoderLayer):
        """Torch's, under another name."""

    own, named = Own(8, 2, **OPTIONS), Named(8, 2, **OPTIONS)
    followed(own)
    followed(named)

    assert type(own) is Own
    assert type(named) is not Named and isinstance(named, Named)
