r"""Weights that make up for what their gates take away."""

__all__ = ["rescale_weights"]

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_sparse.nn.folding import fold_gate
from pyro_sparse.nn.layer import BayesianLayer, bayesian_layers


class Guide(Protocol):
    r"""What is asked of a guide: the laws of its sites, and the parameters behind them."""

    def laws(self) -> Mapping[str, Distribution]: ...

    def location(self, name: str) -> nn.Parameter: ...


def rescale_weights(model: nn.Module, guide: Guide) -> None:
    r"""Divides initial weights by the mean of the gates that multiply them, in place.

    A gate that is open with probability 0.9 makes a layer's output that much smaller, in every
    layer once more; a deep network starts with hardly any signal, and a pretrained one is not
    what it was. Afterwards the network's first outputs are, on average over the gates of each
    layer, those of the network without gates. Posterior standard deviations stay what they are.

    Call it once, before training. Where a gate multiplies the outputs of a layer or a batch norm,
    its bias is divided, too.

    References:
        | Controlled Sparsity via Constrained Optimization (Gallego-Posada et al., 2022)
        | https://arxiv.org/abs/2208.04425

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide, an `AutoSparse`.

    Raises:
        ValueError: A gated weight is shared by layers, or there is none, as in a batch norm
            without parameters.

    Example:
        >>> from pyro_sparse.distributions import L0
        >>> from pyro_sparse.guides import AutoSparse
        >>> from pyro_sparse.nn import bayesianize
        >>> net = bayesianize(nn.Linear(4, 3), gate=L0(1.0))
        >>> guide = AutoSparse(net, init_gate_prob=0.5)
        >>> before = net.weight.detach().clone()
        >>> rescale_weights(net, guide)
        >>> torch.allclose(net.weight, 2 * before)
        True
    """

    found = {layer: _parameters(layer, guide) for layer in bayesian_layers(model)}
    uses = Counter(id(p) for parameters in found.values() for p in parameters.values())
    gated = {layer: own for layer, own in found.items() if layer.gate_dim is not None}
    for layer, parameters in gated.items():
        _check(layer, parameters, uses)

    laws = guide.laws()
    with torch.no_grad():
        for layer, parameters in gated.items():
            factor = 1 / laws[layer.sources["gate"].site].mean
            for name, parameter in parameters.items():
                parameter.copy_(fold_gate(layer, name, parameter, factor, layer.gate_dim))


def _parameters(layer: BayesianLayer, guide: Guide) -> dict[str, Tensor]:
    """Weight and bias, wherever they are trained: in the guide or in the network."""
    found: dict[str, Tensor] = {}
    for name in ("weight", "bias"):
        own = layer._parameters.get(name)
        if name in layer.sources:
            found[name] = guide.location(layer.sources[name].site)
        elif own is not None:
            found[name] = own

    return found


def _check(layer: BayesianLayer, parameters: dict[str, Tensor], uses: Counter[int]) -> None:
    if "weight" not in parameters:
        raise ValueError(
            f"Weights are rescaled for their gates, and '{layer.path}' "
            f"({layer.original.__name__}) is gated and has no weight of its own."
        )
    if any(uses[id(parameter)] > 1 for parameter in parameters.values()):
        raise ValueError(
            f"Weights are rescaled for one gate, and those of '{layer.path}' are used by several "
            "layers. Rescale them by hand, or leave these gates out."
        )
