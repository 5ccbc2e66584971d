r"""Attention with any number of heads, in ordinary linear layers."""

__all__ = ["Attention"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.graph.attend import Attend


class Attention(nn.Module):
    r"""Attends to positions with several heads whose width does not depend on their number.

    It takes what `torch.nn.MultiheadAttention` takes and gives what that gives, and may stand in
    its place in torch's own transformer layers. Its projections are linear layers of their own,
    so they are converted, gated and cut like any others, and a head can be taken out:
    `num_heads * head_dim` need not be `embed_dim`. Causal attention needs no mask here.

    Each position of a sequence passes through the projections by itself. Local noise of their
    weights is drawn for each position, as dropout is: every example then sees several draws of one
    weight, while a gate is drawn once an example and shared over its positions. Only weights
    drawn once, `AutoSparse(shared=True)`, leave the bound exact.

    References:
        | Attention Is All You Need (Vaswani et al., 2017)
        | https://arxiv.org/abs/1706.03762
        | Are Sixteen Heads Really Better than One? (Michel, Levy, Neubig, 2019)
        | https://arxiv.org/abs/1905.10650

    Args:
        embed_dim: Features of queries and of the result.
        num_heads: Number of heads.
        dropout: Probability that an attention weight is dropped in training.
        bias: Whether the projections have biases.
        kdim: Features of keys, by default `embed_dim`.
        vdim: Features of values, by default `embed_dim`.
        batch_first: Whether the first dimension counts examples, `(B, L, E)`, or positions.
        head_dim: Features of a head, by default `embed_dim // num_heads`.
        device: Where the parameters are.
        dtype: Their type.

    Raises:
        ValueError: A number is not positive, or the heads do not share `embed_dim` evenly.

    Example:
        >>> layer = Attention(8, num_heads=3, head_dim=2, batch_first=True)
        >>> x = torch.randn(5, 7, 8)
        >>> result, weights = layer(x, x, x, is_causal=True)
        >>> result.shape, weights.shape
        (torch.Size([5, 7, 8]), torch.Size([5, 7, 7]))
    """

    # What torch's transformer layers ask before they hand the weights to a fused kernel.
    in_proj_bias = None
    _qkv_same_embed_dim = False

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        *,
        head_dim: int | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout is a probability, from 0 to 1, got {dropout}.")
        inner = num_heads * _head_dim(embed_dim, num_heads, head_dim)
        options: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}

        self.embed_dim = embed_dim
        self.q = nn.Linear(embed_dim, inner, **options)
        self.k = nn.Linear(embed_dim if kdim is None else kdim, inner, **options)
        self.v = nn.Linear(embed_dim if vdim is None else vdim, inner, **options)
        self.attend = Attend(num_heads, dropout, batch_first)
        self.out = nn.Linear(inner, embed_dim, **options)

    @classmethod
    def from_torch(cls, module: nn.MultiheadAttention) -> "Attention":
        r"""The same attention, with the same values of its parameters, as a new module.

        Args:
            module: Attention of torch.

        Raises:
            ValueError: The module appends a key and a value to those it is given.
        """

        if module.bias_k is not None or module.add_zero_attn:
            raise ValueError(
                "Attention attends to the keys it is given, and this MultiheadAttention has "
                "add_bias_kv or add_zero_attn. Leave it as it is."
            )

        bias = module.in_proj_bias is not None
        like = module.out_proj.weight
        new = cls(
            module.embed_dim,
            module.num_heads,
            module.dropout,
            bias,
            module.kdim,
            module.vdim,
            module.batch_first,
            device="meta",
            dtype=like.dtype,
        )
        new._take(module)
        return new.train(module.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        r"""Attends; arguments and results are those of `torch.nn.MultiheadAttention`.

        Args:
            query: `(B, L, E)`, `(L, B, E)` with the positions first, or `(L, E)`.
            key: `(B, S, kdim)` likewise.
            value: `(B, S, vdim)` likewise.
            key_padding_mask: `(B, S)` or `(S,)`; true, or minus infinity, where a key is ignored.
            need_weights: Whether to return the attention weights; costs time and memory.
            attn_mask: `(L, S)` or `(B * heads, L, S)`, likewise, or added to the logits.
            average_attn_weights: Whether they are averaged over heads.
            is_causal: Whether no position sees later ones; needs no mask.
        """

        projected = self.q(query), self.k(key), self.v(value)
        found = self.attend(
            *projected, key_padding_mask, attn_mask, is_causal, need_weights, average_attn_weights
        )
        if need_weights:
            return self.out(found[0]), found[1]
        return self.out(found), None

    @property
    def num_heads(self) -> int:
        r"""Number of heads."""

        return self.attend.num_heads

    @property
    def batch_first(self) -> bool:
        r"""Whether the first dimension counts examples."""

        return self.attend.batch_first

    @property
    def in_proj_weight(self) -> Any:
        r"""There is none; what stands here keeps torch's encoder away from its fused kernel."""

        return _Unfused()

    @property
    def out_proj(self) -> nn.Linear:
        r"""Torch's name of `out`."""

        return self.out

    def _take(self, module: nn.MultiheadAttention) -> None:
        packed, given = module.in_proj_weight, module.in_proj_bias
        weights: Any = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
        weights = weights if packed is None else packed.chunk(3)
        biases: Any = (None, None, None) if given is None else given.chunk(3)

        layers: Any = (self.q, self.k, self.v)
        for layer, weight, bias in zip(layers, weights, biases, strict=True):
            layer.weight = _parameter(weight, weight if packed is None else packed)
            layer.bias = None if bias is None else _parameter(bias, given)
        for name, parameter in module.out_proj.named_parameters():
            setattr(self.out, name, _parameter(parameter, parameter))


class _Unfused:
    """A weight that is none: torch leaves alone what has functions of its own."""

    @classmethod
    def __torch_function__(
        cls, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        raise TypeError(
            "Attention has no packed in_proj_weight: its projections are the layers q, k and v."
        )


def _head_dim(embed_dim: int, num_heads: int, head_dim: int | None) -> int:
    if min(embed_dim, num_heads) < 1 or (head_dim is not None and head_dim < 1):
        raise ValueError(
            "Attention has a positive embed_dim, num_heads and head_dim, got "
            f"{embed_dim}, {num_heads} and {head_dim}."
        )
    if head_dim is None and embed_dim % num_heads:
        raise ValueError(
            f"{num_heads} heads do not share embed_dim={embed_dim} evenly. Give a head_dim."
        )
    return embed_dim // num_heads if head_dim is None else head_dim


def _parameter(values: Tensor, like: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().clone(), requires_grad=like.requires_grad)
