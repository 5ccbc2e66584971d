r"""Which entries of a posterior are kept."""

__all__ = ["Posterior", "masks", "posteriors"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.guides import AutoSparse
from pyro_sparse.local import Local, peel
from pyro_sparse.prune.criterion import Criterion, resolve


@dataclass(frozen=True)
class Posterior:
    r"""The posterior of one site.

    Args:
        law: The elementwise law, without wrappers.
        role: "weight" or "gate".
        prior: The prior; the law itself where a guide does not tell.
    """

    law: Distribution
    role: str
    prior: Distribution


def masks(
    guide: Callable, criterion: Criterion | str = "auto", *args: Any, **kwargs: Any
) -> dict[str, Tensor]:
    r"""Applies a criterion to every site of a guide.

    Args:
        guide: An `AutoSparse` guide, or one written by hand, which is run once. The criterion
            "auto" knows the priors of the former only, and drops no weight of the latter.
        criterion: A criterion of this package or its name, or a function of (law, role, prior).
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.

    Returns:
        For each site a Boolean tensor of the site's shape, true where the entry is kept.

    Raises:
        ValueError: The criterion is unknown, or gives a mask of another shape.
    """

    rule = resolve(criterion)
    kept = {}
    for site, posterior in posteriors(guide, *args, **kwargs).items():
        with torch.no_grad():
            mask = rule(posterior.law, posterior.role, posterior.prior)
        shape = posterior.law.batch_shape
        if mask.shape != shape or mask.dtype != torch.bool:
            raise ValueError(
                f"A criterion gives Booleans of the law's shape {tuple(shape)}, and at '{site}' "
                f"it gave {mask.dtype} of shape {tuple(mask.shape)}."
            )
        kept[site] = mask
    return kept


def posteriors(guide: Callable, *args: Any, **kwargs: Any) -> dict[str, Posterior]:
    r"""The posterior of every latent site of a guide.

    Args:
        guide: An `AutoSparse` guide, or one written by hand, which is run once.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.
    """

    if isinstance(guide, AutoSparse):
        priors = guide.priors()
        return {site: _posterior(law, priors[site]) for site, law in guide.laws().items()}

    with torch.no_grad():
        trace = poutine.trace(guide).get_trace(*args, **kwargs)
    nodes: list[tuple[str, Any]] = list(trace.nodes.items())
    latent = {site: node["fn"] for site, node in nodes if node["type"] == "sample"}
    return {site: _posterior(law) for site, law in latent.items()}


def _posterior(law: Distribution, prior: Distribution | None = None) -> Posterior:
    role = "weight"
    inner: Any = law
    while inner is not None:
        role = inner.role if isinstance(inner, Local) else role
        inner = getattr(inner, "base_dist", None)

    base = peel(law)
    return Posterior(base, role, base if prior is None else peel(prior))
