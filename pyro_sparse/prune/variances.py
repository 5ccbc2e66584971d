"""How uncertain the posterior is about the parameters of the frozen network."""

__all__ = ["variances"]

from collections.abc import Callable, Mapping
from typing import Any

import pyro
import torch
from pyro.distributions import Delta
from torch import Tensor, nn

from pyro_sparse.distributions import Gate
from pyro_sparse.nn import bayesian_layers
from pyro_sparse.prune.criterion import Criterion
from pyro_sparse.prune.freeze import freeze
from pyro_sparse.prune.mask import masks, posteriors


def variances(
    model: nn.Module,
    guide: Callable,
    criterion: Criterion | str | Mapping[str, Tensor] = "auto",
    *args: Any,
    **kwargs: Any,
) -> dict[str, Tensor]:
    r"""The posterior variance of every parameter of the network that `freeze` makes.

    The variance of a weight times its scale is :math:`E[z]^2 v_w + v_z (E[w]^2 + v_w)`; a gate
    counts as fixed at its test-time value. What the criterion drops has variance 0, and so do
    parameters that were not sampled.

    For going on as a Bayesian network after `compact`: its `plan.cut(path, variance)` is the
    variance of the compact network's parameter.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide.
        criterion: What is kept, as for `freeze`.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.

    Returns:
        By path, a tensor of the parameter's shape.
    """
    kept = (
        criterion if isinstance(criterion, Mapping) else masks(guide, criterion, *args, **kwargs)
    )
    noise, fixed, square, spread = {}, {}, {}, {}

    for site, posterior in posteriors(guide, *args, **kwargs).items():
        law = posterior.law
        with torch.no_grad():
            mean = law.deterministic if isinstance(law, Gate) else law.mean
            variance = torch.zeros_like(mean) if isinstance(law, Gate) else law.variance

        if posterior.role == "gate":
            fixed[site], spread[site] = mean.square(), variance
        else:
            noise[site], square[site] = variance, mean.square() + variance

    sampled = _sampled(model)
    first = _frozen(model, noise | fixed, kept)
    second = _frozen(model, square | spread, kept) if spread else {}
    zero = {name: torch.zeros_like(v) for name, v in first.items() if name not in sampled}
    return {name: v + second[name] if second else v for name, v in first.items()} | zero


def _sampled(model: nn.Module) -> set[str]:
    """Paths of the parameters that have a posterior."""
    return {
        f"{layer.path}.{name}".lstrip(".")
        for layer in bayesian_layers(model)
        for name in layer.sources
        if name != "gate"
    }


def _frozen(
    model: nn.Module, values: Mapping[str, Tensor], kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What freezing makes of these values: it multiplies by gates, whatever they stand for."""

    def guide() -> None:
        for site, value in values.items():
            pyro.sample(site, Delta(value).to_event(value.dim()))

    parameters = freeze(model, guide, kept).named_parameters()
    return {name: parameter.detach() for name, parameter in parameters}
