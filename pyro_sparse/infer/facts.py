r"""Numbers about a posterior that cost next to nothing: for progress bars and histories."""

__all__ = ["at_the_mean", "share_alive"]

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from pyro.distributions import Bernoulli, Categorical, OneHotCategorical
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.distributions import Gate
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer.draws import evaluating, guide_draw, model_draw
from pyro_sparse.infer.outcomes import counted, examples_in, is_data, log_likelihood
from pyro_sparse.infer.statements import Site
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

    What masks hide is left out, and scales count 1: each data point counts once.

    Args:
        model: The model.
        guide: The guide.
        batches: Positional and keyword arguments of the model, batch by batch.

    Returns:
        "nll" in nats an example, of all its observations together; "error", the share of wrong
        classes, where the model observes classes, and "rmse" where it observes numbers whose law
        has a mean.

    Raises:
        ValueError: The model observes nothing of a batch.
    """

    sums: dict[str, list[float]] = {}
    with evaluating(model, guide):
        for args, kwargs in batches:
            nodes = guide_draw(guide, *args, **kwargs)
            values = {name: _mean(node) for name, node in nodes.items()}
            found = model_draw(model, values, *args, **kwargs)
            data = [node for name, node in found.items() if name not in values and is_data(node)]
            _require_data(data, args, kwargs)
            _add(sums, {"examples": examples_in(data, args, kwargs)})
            for node in data:
                _add(sums, _score(node))

    total = {name: sum(numbers) for name, numbers in sums.items()}
    scores = {"nll": total["nll"] / total["examples"]} if total else {}
    if total.get("answers"):
        scores["error"] = total["wrong"] / total["answers"]
    if total.get("numbers"):
        scores["rmse"] = (total["square"] / total["numbers"]) ** 0.5
    return scores


def _alive(layer: BayesianLayer, kept: dict[str, Tensor]) -> tuple[float, int]:
    sources = layer.sources
    weight: Any = sources["weight"] if "weight" in sources else layer._parameters["weight"]
    count = weight.shape.numel()

    sites = [sources[name].site for name in ("weight", "gate") if name in sources]
    return count * math.prod(kept[site].double().mean().item() for site in sites), count


def _mean(node: Any) -> Tensor:
    law = peel(node["fn"])
    mean = law.deterministic if isinstance(law, Gate) else _mean_of(law)
    return node["value"] if mean is None else mean


def _require_data(data: list[Site], args: tuple, kwargs: dict[str, Any]) -> None:
    if not data:
        given = ", ".join([type(a).__name__ for a in args] + [f"{name}=" for name in kwargs])
        raise ValueError(
            "Validation scores what the model observes, and of a batch of validation data, "
            f"({given}), it observes nothing. Give the responses, too, as in validation=(x, y)."
        )


def _add(sums: dict[str, list[float]], found: dict[str, float | Tensor]) -> None:
    for name, number in found.items():
        sums.setdefault(name, []).append(float(number))


def _score(node: Site) -> dict[str, float | Tensor]:
    law: Any = peel(node["fn"])
    value, mask = node["value"], counted(node)
    found: dict[str, float | Tensor] = {"nll": -log_likelihood(node).sum()}

    if isinstance(law, Categorical | OneHotCategorical | Bernoulli):
        answer = value.argmax(-1) if isinstance(law, OneHotCategorical) else value
        wrong = (_classes(law) != answer).masked_select(mask)
        return found | {"wrong": wrong.sum(), "answers": wrong.numel()}

    mean = _mean_of(law)
    if mean is None:
        return found
    inner = (None,) * len(law.event_shape)
    square = (mean - value).square().masked_select(mask[(..., *inner)])
    return found | {"square": square.sum(), "numbers": square.numel()}


def _mean_of(law: Any) -> Tensor | None:
    try:
        return law.mean
    except NotImplementedError:
        return None


def _classes(law: Any) -> Tensor:
    return (law.probs > 0.5).to(law.probs) if isinstance(law, Bernoulli) else law.probs.argmax(-1)
