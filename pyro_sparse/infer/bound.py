r"""One evaluation of the bound: run guide and model once, and add up what their sites say."""

__all__ = ["evaluate", "run_pair"]

import functools
from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.trace_struct import Trace
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor

from pyro_sparse.effects import Replay
from pyro_sparse.infer.divergence import find_rule, site_divergence
from pyro_sparse.infer.parts import Parts
from pyro_sparse.infer.statements import (
    Site,
    check_density,
    check_shapes,
    check_statements,
    is_constraint,
    is_latent,
    is_likelihood,
    missing_sites,
)
from pyro_sparse.local import Deferred, mark_weight


def evaluate(
    weight: float | Tensor,
    model: Callable,
    guide: Callable,
    args: tuple,
    kwargs: dict[str, Any],
    num_particles: int = 1,
) -> tuple[Tensor, Parts]:
    r"""The negative bound and its parts, averaged over particles.

    Args:
        weight: The factor of the divergences.
        model: The model.
        guide: The guide.
        args: Arguments of both.
        kwargs: Keyword arguments of both.
        num_particles: Number of draws.
    """

    particles = [_particle(weight, model, guide, args, kwargs) for _ in range(num_particles)]
    losses, parts = zip(*particles, strict=True)
    return losses[0] if len(losses) == 1 else torch.stack(losses).mean(), Parts.mean(parts)


def run_pair(
    model: Callable, guide: Callable, args: tuple, kwargs: dict[str, Any]
) -> tuple[Trace, Trace]:
    r"""Traces of the model and of the guide, the model's with the guide's values.

    Args:
        model: The model.
        guide: The guide.
        args: Arguments of both.
        kwargs: Keyword arguments of both.
    """

    guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
    for name, site in guide_trace.nodes.items():
        _introduce(name, site)

    with Replay(guide_trace, _replayed, _missing):
        model_trace = poutine.trace(model).get_trace(*args, **kwargs)
    return prune_subsample_sites(model_trace), prune_subsample_sites(guide_trace)


def _particle(
    weight: float | Tensor, model: Callable, guide: Callable, args: tuple, kwargs: dict[str, Any]
) -> tuple[Tensor, Parts]:
    model_trace, guide_trace = run_pair(model, guide, args, kwargs)
    check_statements(guide_trace, model_trace)

    observed = [site for site in model_trace.nodes.values() if is_likelihood(site)]
    data = [_log_density(site) for site in observed if not is_constraint(site)]
    terms = [_log_density(site) for site in observed if is_constraint(site)]
    log_likelihood = functools.reduce(torch.add, data)
    parts = Parts(log_likelihood.detach(), noise=_noise(guide_trace))

    divergence: float | Tensor = 0.0
    for name, site in guide_trace.nodes.items():
        if is_latent(site) and name in model_trace:
            found = site_divergence(name, site, model_trace.nodes[name], guide_trace)
            value, analytic = found.value, found.analytic
        elif is_latent(site) or is_likelihood(site):
            value, analytic = _log_density(site), False
        else:
            continue

        divergence = divergence + value
        parts.kl[name], parts.analytic[name] = value.detach(), analytic

    return functools.reduce(torch.sub, terms, weight * divergence - log_likelihood), parts


def _introduce(name: str, site: Site) -> None:
    """Tells the draws of a guide what they are: of which site, and whether of a weight."""
    value = site.get("value")
    if isinstance(value, Deferred):
        for factor in value.factors:
            factor.draw.site = name
    elif is_latent(site) and not site["cond_indep_stack"]:
        mark_weight(value)


def _replayed(guide: Site, model: Site) -> Tensor:
    if not site_is_subsample(model):
        check_shapes(guide, model)

    # Without a rule the divergence is estimated from the value, which must then be a number.
    value = guide["value"]
    if isinstance(value, Deferred) and find_rule(guide["fn"], model["fn"]) is None:
        return value.clone()
    return value


def _missing(model: Site) -> ValueError:
    # Said before the prior is sampled, which an improper one would refuse in other words.
    return missing_sites([model["name"]])


def _log_density(site: Site) -> Tensor:
    density = site["fn"].log_prob(site["value"])
    check_density(site, density)
    return scale_and_mask(density, site["scale"], site["mask"]).sum()


def _noise(guide: Trace) -> dict[str, str | None]:
    values = {name: site.get("value") for name, site in guide.nodes.items()}
    return {
        name: value.factors[0].draw.used
        for name, value in values.items()
        if isinstance(value, Deferred)
    }
