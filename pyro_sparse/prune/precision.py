"""How few bits the weights need, given how uncertain the posterior is about them."""

__all__ = ["Compression", "LayerBits", "compression", "significand_bits"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.prune.criterion import Criterion
from pyro_sparse.prune.freeze import freeze
from pyro_sparse.prune.mask import masks
from pyro_sparse.prune.variances import variances

FULL = 32
SIGNIFICAND = 23


@dataclass(frozen=True)
class LayerBits:
    """What one weight tensor costs.

    Attributes:
        name: path of the parameter.
        weights: its entries.
        kept: those that are not 0.
        bits: for each of them, sign included.
    """

    name: str
    weights: int
    kept: int
    bits: int


@dataclass(frozen=True)
class Compression:
    """Compression rates, and the network they are those of.

    Attributes:
        layers: one entry a weight tensor; biases and norms are not counted.
        network: the frozen network with weights of that many bits (stored as ordinary floats).
    """

    layers: tuple[LayerBits, ...]
    network: nn.Module

    @property
    def after_pruning(self) -> float:
        """Weights there were for each that is left."""
        return self._weights / max(sum(layer.kept for layer in self.layers), 1)

    @property
    def after_precision(self) -> float:
        """Bits there were, 32 a weight, for each that is left; positions are not counted."""
        return FULL * self._weights / max(sum(x.kept * x.bits for x in self.layers), 1)

    @property
    def _weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    def __str__(self) -> str:
        rows = [f"{x.name}: {x.kept:,} of {x.weights:,}, {x.bits} bits" for x in self.layers]
        rates = f"compression {self.after_pruning:.1f}x, with bits {self.after_precision:.1f}x"
        return "\n".join([*rows, rates])


def compression(
    model: nn.Module,
    guide: Callable,
    criterion: Criterion | str | Mapping[str, Tensor] = "auto",
    *args: Any,
    **kwargs: Any,
) -> Compression:
    r"""Rounds the frozen network's weights as coarsely as the posterior's noise allows.

    A weight whose posterior variance is v has as many digits behind the binary point as there
    are t up to 23 with :math:`2 v < 2^{-t}`; all weights of a tensor get the mean over those that
    are kept, rounded up. They are stored as multiples of :math:`2^{-t}`, with as many bits as the
    largest needs. See `variances` for weights with gates and scales.

    These are the rates papers call "after pruning" and "fast prediction"; whether the network
    still predicts well at these bits is for `Compression.network` to show.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide.
        criterion: What is kept, as for `freeze`.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.
    """
    kept = (
        criterion if isinstance(criterion, Mapping) else masks(guide, criterion, *args, **kwargs)
    )
    network = freeze(model, guide, kept, *args, **kwargs)
    variance = variances(model, guide, kept, *args, **kwargs)

    layers = []
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                layers.append(_rounded(name, weight, variance[name]))

    return Compression(tuple(layers), network)


def significand_bits(variance: Tensor) -> Tensor:
    r"""Digits behind the binary point that a posterior of this variance can tell apart.

    Args:
        variance: of the weights, `(*shape)`.

    Returns:
        The number of t from 1 to 23 with :math:`2 v < 2^{-t}`, `(*shape)`.

    Example:
        >>> significand_bits(torch.tensor([1.0, 0.01, 1e-4, 0.0]))
        tensor([ 0,  5, 12, 23])
    """
    round_off = 0.5 ** torch.arange(1, SIGNIFICAND + 1, device=variance.device)
    return (2 * variance.unsqueeze(-1) < round_off).sum(-1)


def _rounded(name: str, weight: nn.Parameter, variance: Tensor) -> LayerBits:
    """Rounds a weight in place and says what it costs."""
    alive = weight != 0
    if not alive.any():
        return LayerBits(name, weight.numel(), 0, 1)

    digits = int(significand_bits(variance[alive]).double().mean().ceil())
    multiples = (weight * 2.0**digits).round()
    weight.copy_(multiples / 2.0**digits)

    largest = int(multiples.abs().max())
    return LayerBits(name, weight.numel(), int(alive.sum()), 1 + largest.bit_length())
