"""Attention between the projections: all that is done with queries, keys and values."""

__all__ = ["Attend"]

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attend(nn.Module):
    r"""Scaled dot-product attention of several heads, without parameters.

    .. math::
        y_h = \mathrm{softmax}(q_h k_h^T / \sqrt{D} + \mathrm{mask})\, v_h

    One module, so that what looks at a network from outside finds whole heads.

    Args:
        num_heads: number of heads; queries, keys and values hold them one after the other.
        dropout: probability that an attention weight is dropped in training.
        batch_first: whether the first dimension of a batch counts examples or positions.
    """

    def __init__(self, num_heads: int, dropout: float = 0.0, batch_first: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first

    def extra_repr(self) -> str:
        return f"num_heads={self.num_heads}, dropout={self.dropout}"

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool | None = False,
        need_weights: bool = False,
        average_attn_weights: bool = True,
    ) -> Tensor | tuple[Tensor, Tensor]:
        r"""Attends; the masks are those of `torch.nn.MultiheadAttention`.

        Args:
            query: projected queries, `(B, L, heads * D)`, `(L, B, heads * D)` with the positions
                first, or `(L, heads * D)`.
            key: projected keys, `(B, S, heads * D)` likewise.
            value: projected values, as the keys.
            key_padding_mask: `(B, S)` or `(S,)`; true, or minus infinity, where a key is ignored.
            attn_mask: `(L, S)` or `(B * heads, L, S)`, likewise, or added to the logits.
            is_causal: whether no position sees later ones. With a mask it says that the mask
                means just that.
            need_weights: whether to return the attention weights, too.
            average_attn_weights: whether those are averaged over heads.

        Returns:
            A result shaped as the queries; with it the weights, `(B, L, S)` or
            `(B, heads, L, S)`, if they are needed.
        """

        q, k, v = (self._heads(tensor) for tensor in (query, key, value))
        drop = self.dropout if self.training else 0.0
        alone = key_padding_mask is None and not need_weights

        if is_causal and alone:
            mixed, weights = F.scaled_dot_product_attention(q, k, v, None, drop, True), None
        else:
            if is_causal and attn_mask is None:
                attn_mask = torch.ones_like(q[0, 0] @ k[0, 0].mT, dtype=torch.bool).triu(1)
            mask = self._mask(q, key_padding_mask, attn_mask)
            if need_weights:
                mixed, weights = _explicitly(q, k, v, mask, drop)
            else:
                mixed, weights = F.scaled_dot_product_attention(q, k, v, mask, drop), None

        result = self._merged(mixed, query)
        if weights is None:
            return result

        weights = weights.mean(1) if average_attn_weights else weights
        return result, weights if query.dim() == 3 else weights.squeeze(0)

    def _heads(self, tensor: Tensor) -> Tensor:
        """To `(B, heads, positions, D)`."""
        if tensor.dim() == 2:
            tensor = tensor.unsqueeze(0)
        elif not self.batch_first:
            tensor = tensor.transpose(0, 1)

        return tensor.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def _merged(self, mixed: Tensor, like: Tensor) -> Tensor:
        """From `(B, heads, positions, D)` to the order of dimensions that came in."""
        result = mixed.transpose(1, 2).flatten(2)
        if like.dim() == 2:
            return result.squeeze(0)

        return result if self.batch_first else result.transpose(0, 1)

    def _mask(
        self, like: Tensor, key_padding_mask: Tensor | None, attn_mask: Tensor | None
    ) -> Tensor | None:
        """What is added to the logits, `(B or 1, heads or 1, L or 1, S)`."""
        mask = None
        if attn_mask is not None:
            mask = _added(attn_mask, like)
            mask = mask.unflatten(0, (-1, self.num_heads)) if mask.dim() == 3 else mask[None, None]
        if key_padding_mask is None:
            return mask

        padding = _added(key_padding_mask, like)
        padding = padding[None] if padding.dim() == 1 else padding
        padding = padding[:, None, None]
        return padding if mask is None else mask + padding


def _added(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype is not torch.bool:
        return mask.to(like.dtype)

    zero = torch.zeros(mask.shape, dtype=like.dtype, device=mask.device)
    return zero.masked_fill(mask, -torch.inf)


def _explicitly(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, drop: float
) -> tuple[Tensor, Tensor]:
    """The result and the attention weights, which the fused operation does not give."""
    logits = (q * (1 / math.sqrt(q.shape[-1]))) @ k.mT
    weights = (logits if mask is None else logits + mask).softmax(-1)
    weights = F.dropout(weights, drop)
    return weights @ v, weights
