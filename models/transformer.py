"""Small transformers: a classifier of sequences, and a causal model of characters."""

__all__ = ["Block", "CharacterModel", "SequenceClassifier"]

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and a hidden layer, each on a branch of its own behind a norm.

    References:
        On Layer Normalization in the Transformer Architecture (Xiong et al., 2020),
        https://arxiv.org/abs/2002.04745

    Args:
        width: features of the residual stream.
        heads: attention heads.
        hidden: units of the hidden layer.
        dropout: probability that a feature of a branch is dropped in training.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = self.norm1(x)
        told = self.attention(seen, seen, seen, attn_mask=mask, need_weights=False)[0]
        x = x + self.dropout(told)
        return x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)))))


class SequenceClassifier(nn.Module):
    """Says what a sequence of vectors is, such as the rows of an image.

    Args:
        features: numbers at each position.
        length: positions of a sequence.
        classes: outputs.
        layers: blocks.
        width: features of the residual stream.
        heads: attention heads a block.
        hidden: units of a block's hidden layer.
        dropout: see `Block`.
    """

    def __init__(
        self,
        features: int,
        length: int,
        classes: int,
        layers: int = 2,
        width: int = 32,
        heads: int = 4,
        hidden: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x) + self.positions
        for block in self.blocks:
            x = block(x)

        return self.head(self.norm(x).mean(1))


class CharacterModel(nn.Module):
    """Says of each position which symbol comes next.

    Args:
        symbols: size of the alphabet.
        length: largest number of positions.
        layers: blocks.
        width: features of the residual stream.
        heads: attention heads a block.
        hidden: units of a block's hidden layer.
        dropout: see `Block`.
    """

    mask: Tensor

    def __init__(
        self,
        symbols: int,
        length: int,
        layers: int = 2,
        width: int = 64,
        heads: int = 4,
        hidden: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(symbols, width)
        self.positions = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols)
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        self.register_buffer("mask", later, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mask = self.mask[:length, :length]
        x = self.embed(x) + self.positions[:length]
        for block in self.blocks:
            x = block(x, mask)

        return self.head(self.norm(x))
