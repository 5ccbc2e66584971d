"""The same network, physically smaller."""

__all__ = ["compact"]

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from pyro_sparse.graph.liveness import analyse
from pyro_sparse.graph.trace import trace
from pyro_sparse.nn import bayesian_layers
from pyro_sparse.nn.torch_attention import with_attention
from pyro_sparse.prune.arguments import described
from pyro_sparse.prune.evaluation import evaluating
from pyro_sparse.prune.surgery import CompactModule, operate

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}


def compact(
    frozen: nn.Module,
    example_input: Tensor | tuple[Any, ...],
    round_to: int = 1,
    gather: bool = True,
    allow_empty: bool = False,
) -> CompactModule:
    """Removes everything that exact zeros make superfluous; the outputs stay what they are.

    The operations of the network are followed once forward, to learn which units are the same
    for every input, and once backward, to learn which inputs nothing depends on. Both kinds go:
    inputs of the network (gathered by index, so that the compact network takes what the original
    takes), hidden units, channels, branches. Units that are added to one another or concatenated
    stay aligned: one goes only where all do. A constant other than 0 is folded into the bias of
    the layer behind it; where that is not exact, under a zero-padded convolution, the unit stays
    and `plan.kept` names it. Heads of attention go as a whole, from torch's modules or those of
    `Attention`; attention written out by hand stays as it is.

    The analysis and the surgery are this package's own. Torch-Pruning, which looks at zeros
    without asking what a removed unit leaves behind, is not used: it does not fold constants, nor
    gather the network's inputs, and couples depthwise convolutions with residual streams.

    Outputs are those in evaluation mode. They agree to rounding, which is checked on
    `example_input`, provided that activations are finite (a weight of 0 is taken to remove its
    input). The result is an ordinary module, traced: layers keep their names, the original
    `forward` method and class are gone. Batch norms and dropout still do in training what they
    did; any other decision of the code by `self.training` is that of evaluation for good. Where
    the code asks for sizes, inputs of sizes for which it would do something else are an
    AssertionError: give an example of the sizes that are used.

    References:
        Pruning Filters for Efficient ConvNets (Li, Kadav, Durdanovic, Samet, Graf, 2017),
        https://arxiv.org/abs/1608.08710
        torch.fx: Practical Program Capture and Transformation for Deep Learning in Python (Reed,
        DeVito, He, Ussery, Ansel, 2022), https://arxiv.org/abs/2112.08429

    Args:
        frozen: a plain network with exact zeros in its weights; it is not changed.
        example_input: a batch, one or two examples suffice, or a tuple of arguments.
        round_to: keep units so that every layer has a multiple of this many, where it has that
            many; hardware likes 8.
        gather: let a convolution pick its channels from a tensor that others read as well, as in
            a residual stream. Saves every product that zeros make superfluous, at the price of a
            copy; with False such a layer reads all channels of the stream.
        allow_empty: what to do when nothing of the input gets through a layer. By default that
            is an error that names the layer; with True the compact network is constant there.

    Returns:
        The compact network. Its `plan` says what was cut, and cuts other tensors alike.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with torch.no_grad():
        ...     _ = net[0].weight[1:].zero_()
        >>> compact(net, torch.zeros(1, 4))
        Sequential(
          (0): Linear(in_features=4, out_features=1, bias=True)
          (1): ReLU()
          (2): Linear(in_features=1, out_features=2, bias=True)
        )
    """
    if not isinstance(round_to, int) or round_to < 1:
        raise ValueError(f"compact needs round_to, a positive whole number, but got {round_to!r}")

    if next(bayesian_layers(frozen), None) is not None:
        raise ValueError(
            f"compact makes a plain network smaller, and {type(frozen).__name__} is still "
            "Bayesian. Freeze it first: compact(freeze(model, guide), example_input)."
        )

    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    traced = trace(with_attention(copy.deepcopy(frozen)), example_input)
    shapes = {name: list(tensor.shape) for name, tensor in traced.root.state_dict().items()}
    plan, values = analyse(traced, round_to, gather, allow_empty)
    smaller = operate(traced, plan, values, name=type(frozen).__name__)
    smaller.meta |= {"shapes": shapes, "example": [described(argument) for argument in inputs]}
    _require_equal(frozen, smaller, inputs)

    modes = {name: module.training for name, module in frozen.named_modules()}
    for name, module in smaller.named_modules():
        module.training = modes.get(name, frozen.training)

    return smaller


def _require_equal(frozen: nn.Module, smaller: nn.Module, inputs: tuple[Any, ...]) -> None:
    with evaluating(frozen), evaluating(smaller), torch.random.fork_rng():
        pairs = zip(tree_leaves(frozen(*inputs)), tree_leaves(smaller(*inputs)), strict=True)

    if not all(_agree(before, after) for before, after in pairs):
        raise RuntimeError(
            f"{type(frozen).__name__} and its compact form disagree on the example input. "
            "This is a fault of compact, or the network is random in evaluation mode; "
            "please report it with the network."
        )


def _agree(before: Any, after: Any) -> bool:
    """Whether numbers are close against the largest finite one, and all else is equal."""
    if not isinstance(before, Tensor):
        return True
    if before.shape != after.shape:
        return False
    if not (before.is_floating_point() or before.is_complex()):
        return torch.equal(before, after)

    sizes = before[before.isfinite()].abs()
    limit = TOLERANCE.get(sizes.dtype, 1e-2) * float(sizes.max()) if len(sizes) else 0.0
    return torch.allclose(before, after, rtol=0.0, atol=max(limit, 1e-30), equal_nan=True)
