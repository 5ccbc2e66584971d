"""Attention in linear layers against torch's, and inside torch's transformer layers."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.nn import Attention

CLOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}

KINDS: dict[str, dict[str, Any]] = {
    "batch first": {"batch_first": True},
    "positions first": {},
    "without biases": {"batch_first": True, "bias": False},
    "cross": {"batch_first": True, "kdim": 5, "vdim": 6},
    "cross, positions first": {"kdim": 5, "vdim": 6, "bias": False},
}
everywhere = pytest.mark.parametrize("kind", KINDS)

BATCH, L, S, HEADS = 3, 4, 7, 2


def pair(kind: str) -> tuple[nn.MultiheadAttention, Attention]:
    theirs = nn.MultiheadAttention(8, HEADS, dropout=0.0, **KINDS[kind])
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.5)

    return theirs, Attention.from_torch(theirs)


def inputs(layer: nn.MultiheadAttention, batched: bool = True) -> tuple[Tensor, ...]:
    found = (
        torch.randn(BATCH, L, layer.embed_dim),
        torch.randn(BATCH, S, layer.kdim),
        torch.randn(BATCH, S, layer.vdim),
    )
    if not batched:
        return tuple(x[0] for x in found)

    return found if layer.batch_first else tuple(x.transpose(0, 1) for x in found)


def masks() -> dict[str, dict[str, Any]]:
    causal = torch.ones(L, S, dtype=torch.bool).triu(1)
    padding = torch.zeros(BATCH, S, dtype=torch.bool)
    padding[1, 4:] = True
    added = torch.randn(L, S)
    many = torch.rand(BATCH * HEADS, L, S) < 0.4
    many[..., 0] = False
    minus = torch.zeros(BATCH, S).masked_fill(padding, -torch.inf)
    return {
        "none": {},
        "Boolean": {"attn_mask": causal},
        "added": {"attn_mask": added},
        "a head": {"attn_mask": many},
        "padding": {"key_padding_mask": padding},
        "padding in numbers": {"key_padding_mask": minus},
        "both": {"attn_mask": causal, "key_padding_mask": padding},
        "both in numbers": {"attn_mask": added, "key_padding_mask": minus},
        "causal": {"attn_mask": causal, "is_causal": True},
        "causal and padded": {
            "attn_mask": causal,
            "key_padding_mask": padding,
            "is_causal": True,
        },
    }


@everywhere
@pytest.mark.parametrize("need", ["none", "average", "each"])
@pytest.mark.parametrize("training", [True, False])
def test_equals_torch(kind: str, need: str, training: bool) -> None:
    theirs, ours = pair(kind)
    x = inputs(theirs)
    how = {"need_weights": need != "none", "average_attn_weights": need == "average"}
    theirs.train(training)
    ours.train(training)

    for name, mask in masks().items():
        expected, weights = theirs(*x, **mask, **how)
        found, mine = ours(*x, **mask, **how)

        assert torch.allclose(found, expected, **CLOSE), name
        if need == "none":
            assert mine is None
        else:
            torch.testing.assert_close(mine, weights, **CLOSE)


@everywhere
def test_equals_torch_without_a_batch(kind: str) -> None:
    theirs, ours = pair(kind)
    x = inputs(theirs, batched=False)
    padding = torch.arange(S) > 4

    for mask in ({}, {"key_padding_mask": padding}):
        expected, weights = theirs(*x, **mask)
        found, mine = ours(*x, **mask)
        torch.testing.assert_close(found, expected, **CLOSE)
        torch.testing.assert_close(mine, weights, **CLOSE)


def test_gradients_are_torchs() -> None:
    theirs, ours = pair("batch first")
    x = torch.randn(BATCH, L, 8)

    theirs(x, x, x)[0].square().sum().backward()
    ours(x, x, x)[0].square().sum().backward()

    grads: list[Any] = [layer.weight.grad for layer in (ours.q, ours.k, ours.v)]
    torch.testing.assert_close(torch.cat(grads), theirs.in_proj_weight.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weights", [True, False])
def test_causal_without_a_mask(weights: bool) -> None:
    _, ours = pair("batch first")
    x = torch.randn(BATCH, L, 8)
    later = torch.ones(L, L, dtype=torch.bool).triu(1)

    found = ours(x, x, x, is_causal=True, need_weights=weights)[0]

    torch.testing.assert_close(found, ours(x, x, x, attn_mask=later)[0], **CLOSE)
    assert not torch.allclose(found, ours(x, x, x)[0])


@pytest.mark.parametrize("weights", [True, False])
def test_dropout_in_training_only(weights: bool) -> None:
    layer = Attention(8, 2, dropout=0.5, batch_first=True)
    x = torch.randn(BATCH, L, 8)

    assert not torch.equal(*(layer(x, x, x, need_weights=weights)[0] for _ in range(2)))
    layer.eval()
    assert torch.equal(*(layer(x, x, x, need_weights=weights)[0] for _ in range(2)))


def test_heads_of_any_number_and_width() -> None:
    layer = Attention(8, 3, head_dim=5)

    assert layer.q.weight.shape == (15, 8) and layer.out.weight.shape == (8, 15)
    assert layer(*[torch.randn(4, 2, 8)] * 3)[0].shape == (4, 2, 8)


def test_the_original_keeps_its_values() -> None:
    theirs, ours = pair("batch first")
    before = copy.deepcopy(theirs.state_dict())

    for parameter in ours.parameters():
        nn.init.zeros_(parameter)

    assert all(tensor.equal(before[name]) for name, tensor in theirs.state_dict().items())


def test_what_is_fixed_stays_fixed() -> None:
    theirs, _ = pair("cross")
    theirs.eval().double()
    theirs.k_proj_weight.requires_grad_(False)

    ours = Attention.from_torch(theirs)

    assert [name for name, p in ours.named_parameters() if not p.requires_grad] == ["k.weight"]
    assert not ours.training and ours.k.weight.dtype is torch.double


def layer(**options: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, **options)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_inside_torchs_encoder(
    batch_first: bool, norm_first: bool, training: bool, padded: bool
) -> None:
    """Also without gradients, where torch would take its fused kernel and nested tensors."""
    theirs = nn.TransformerEncoder(layer(batch_first=batch_first, norm_first=norm_first), 2)
    theirs.train(training)
    ours: Any = copy.deepcopy(theirs)
    for block in ours.layers:
        block.self_attn = Attention.from_torch(block.self_attn)

    shape = (BATCH, L, 8) if batch_first else (L, BATCH, 8)
    x = torch.randn(shape)
    padding = torch.arange(L).expand(BATCH, L) > 1 + torch.arange(BATCH)[:, None]
    mask = {"src_key_padding_mask": padding} if padded else {}

    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            expected, found = theirs(x, **mask), ours(x, **mask)
        seen = ~padding if batch_first else ~padding.T
        seen = seen if padded else torch.ones_like(seen)
        torch.testing.assert_close(found[seen], expected[seen], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch_first", [True, False])
def test_inside_torchs_decoder(batch_first: bool) -> None:
    theirs = nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first).eval()
    ours: Any = copy.deepcopy(theirs)
    for name in ("self_attn", "multihead_attn"):
        setattr(ours, name, Attention.from_torch(getattr(theirs, name)))
    x, memory = torch.randn(4, 4, 8), torch.randn(4, 4, 8)
    later = nn.Transformer.generate_square_subsequent_mask(4)

    found = ours(x, memory, tgt_mask=later, tgt_is_causal=True)

    expected = theirs(x, memory, tgt_mask=later, tgt_is_causal=True)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_there_is_no_packed_weight_to_use() -> None:
    with pytest.raises(TypeError, match="no packed in_proj_weight"):
        torch.add(Attention(8, 2).in_proj_weight, 1.0)


@pytest.mark.parametrize("option", ["add_bias_kv", "add_zero_attn"])
def test_appended_keys_are_refused(option: str) -> None:
    with pytest.raises(ValueError, match="add_bias_kv or add_zero_attn"):
        Attention.from_torch(nn.MultiheadAttention(8, 2, **{option: True}))


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="3 heads do not share embed_dim=8 evenly"):
        Attention(8, 3)
    with pytest.raises(ValueError, match="positive embed_dim, num_heads and head_dim, got 8, 0"):
        Attention(8, 0)
    with pytest.raises(ValueError, match=r"probability, from 0 to 1, got 2\.0"):
        Attention(8, 2, dropout=2.0)
