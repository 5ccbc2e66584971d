r"""Numbers about a posterior that cost next to nothing: for progress bars and histories."""

__all__ = ["at_the_mean", "share_alive"]

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pyro.distributions import Bernoulli, Categorical, OneHotCategorical
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.draws import evaluating, guide_draw, model_draw
from pyro_sparse.local import peel
from pyro_sparse.nn import BayesianLayer, bayesian_layers
from pyro_sparse.prune.mask import masks


@torch.no_grad()
def share_alive(model: Callable, guide: Callable) -> float | None:
    r"""The share of weights that are kept themselves, through a gate that is kept.

    Above the share that compaction leaves, as a weight that no later layer reads still counts.

    Args:
        model: A model around a bayesianized network.
        guide: Its guide.

    Returns:
        The share; None unless the guide is an `AutoSparse` and the model holds such layers.
    """

    if not (isinstance(guide, AutoSparse) and isinstance(model, nn.Module)):
        return None

    kept = masks(guide)
    layers = [layer for layer in bayesian_layers(model) if not isinstance(layer, _BatchNorm)]
    pairs = [_alive(layer, kept) for layer in layers]
    total = sum(count for _, count in pairs)
    return sum(alive for alive, _ in pairs) / total if total else None


@torch.no_grad()
def at_the_mean(
    model: Callable, guide: Callable, batches: Iterable[tuple[tuple, dict[str, Any]]]
) -> dict[str, float]:
    r"""Negative log-likelihood and error with every site at its posterior mean.

    Args:
        model: The model.
        guide: The guide.
        batches: Positional and keyword arguments of the model, batch by batch.

    Returns:
        "nll" in nats an example; "error", the share of wrong classes, where the model observes
        classes, and "rmse" where it observes numbers.
    """

    sums: dict[str, list[float]] = {}
    with evaluating(model, guide):
        for args, kwargs in batches:
            nodes = guide_draw(guide, *args, **kwargs)
            values = {name: _mean(node) for name, node in nodes.items()}
            for name, node in model_draw(model, values, *args, **kwargs).items():
                if name not in values:
                    _add(sums, peel(node["fn"]), node["value"])

    total = {name: sum(numbers) for name, numbers in sums.items()}
    found = {"nll": total["nll"] / total["examples"]} if total else {}
    if "wrong" in total:
        found["error"] = total["wrong"] / total["answers"]
    if "square" in total:
        found["rmse"] = (total["square"] / total["numbers"]) ** 0.5
    return found


def _alive(layer: BayesianLayer, kept: dict[str, Tensor]) -> tuple[float, int]:
    sources = layer.sources
    weight: Any = sources["weight"] if "weight" in sources else layer._parameters["weight"]
    count = weight.shape.numel()

    sites = [sources[name].site for name in ("weight", "gate") if name in sources]
    return count * math.prod(kept[site].double().mean().item() for site in sites), count


def _mean(node: Any) -> Tensor:
    law = peel(node["fn"])
    try:
        return law.deterministic if isinstance(law, Gate) else law.mean
    except NotImplementedError:
        return node["value"]


def _add(sums: dict[str, list[float]], law: Distribution, value: Tensor) -> None:
    log_prob = law.log_prob(value)
    found: dict[str, float | Tensor] = {"nll": -log_prob.sum(), "examples": len(log_prob)}

    if isinstance(law, Categorical | OneHotCategorical | Bernoulli):
        wrong = _classes(law) != (
            value.argmax(-1) if isinstance(law, OneHotCategorical) else value
        )
        found |= {"wrong": wrong.sum(), "answers": wrong.numel()}
    else:
        found |= {"square": (law.mean - value).square().sum(), "numbers": value.numel()}

    for name, number in found.items():
        sums.setdefault(name, []).append(float(number))


def _classes(law: Any) -> Tensor:
    return (law.probs > 0.5).to(law.probs) if isinstance(law, Bernoulli) else law.probs.argmax(-1)
