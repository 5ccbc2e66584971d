r"""Whether the statements of a model and a guide fit each other."""

__all__ = [
    "Site",
    "check_density",
    "check_shapes",
    "check_statements",
    "is_constraint",
    "is_latent",
    "is_likelihood",
    "is_true",
    "missing_sites",
]

import sys
from typing import Any

from pyro.infer.util import is_validation_enabled
from pyro.poutine.trace_struct import Trace
from pyro.util import check_site_shape
from torch import Tensor
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing

from pyro_sparse.local import peel

Site = Any  # a node of a Pyro trace


def is_latent(site: Site) -> bool:
    r"""Whether a trace node is a sample statement without an observed value."""

    return site["type"] == "sample" and not site["is_observed"]


def is_likelihood(site: Site) -> bool:
    r"""Whether a trace node is a sample statement with an observed value."""

    deterministic = site.get("infer") and site["infer"].get("_deterministic")
    return site["type"] == "sample" and site["is_observed"] and not deterministic


def is_constraint(site: Site) -> bool:
    r"""Whether an observed site adds a term to the bound that is no likelihood."""

    return bool(site["infer"].get("is_constraint"))


def is_true(condition: Tensor) -> bool:
    r"""The value of a Boolean that belongs to a program's structure and not to its numbers.

    It is read while the program is captured as a graph too, in which it does not appear.
    """

    with disable_proxy_modes_tracing():
        return bool(condition)


def check_statements(guide: Trace, model: Trace) -> None:
    r"""Checks that both traces sample the same sites, on the same scale.

    Args:
        guide: The guide's trace.
        model: The model's trace, replayed against it.

    Raises:
        TypeError: The guide samples from a law without reparameterised samples, or states a
            factor that does not say that it comes from such.
        ValueError: What does not fit, at which site.
    """

    _check_sites(guide, model)
    for name, site in guide.nodes.items():
        if is_latent(site):
            _check_reparameterised(name, site)
        elif is_likelihood(site):
            _check_factor(name, site)
    for name, site in model.nodes.items():
        if is_latent(site):
            _check_scales(name, guide.nodes[name], site)


def _check_sites(guide: Any, model: Any) -> None:
    wanted = {name for name, site in model.nodes.items() if is_latent(site)}
    given = {name for name, site in guide.nodes.items() if is_latent(site)}
    if not any(is_likelihood(s) and not is_constraint(s) for s in model.nodes.values()):
        raise ValueError(
            "A model observes at least one site, and this one observes none of "
            f"{sorted(wanted)}. Condition it with pyro.sample(..., obs=data); a network becomes a "
            "model inside Classifier or Regressor."
        )

    auxiliary = {name for name in given if guide.nodes[name]["infer"].get("is_auxiliary")}

    if wanted - given:
        raise missing_sites(sorted(wanted - given))
    if given - wanted - auxiliary:
        raise ValueError(
            f"The guide samples {sorted(given - wanted - auxiliary)}, which the model does not. "
            'Remove the sites, or mark them with infer={"is_auxiliary": True}.'
        )


def missing_sites(names: list[str]) -> ValueError:
    r"""The error that names sites of a model which its guide does not sample."""

    return ValueError(
        f"The guide does not sample {names}, which the model does. "
        "Every latent site of the model needs a pyro.sample statement in the guide; a site that "
        "is data is given to the model, as the second of (x, y) for example."
    )


def _check_reparameterised(name: str, guide: Site) -> None:
    if not guide["fn"].has_rsample:
        raise TypeError(
            f"Gradients reach a guide through its samples, and {type(peel(guide['fn'])).__name__} "
            f"at site '{name}' has no rsample. Use a reparameterised law, for example a gate law "
            "in the place of a Bernoulli."
        )


def _check_factor(name: str, guide: Site) -> None:
    if not guide["fn"].has_rsample:
        raise TypeError(
            f"What a guide adds to its own density comes from reparameterised samples, and site "
            f"'{name}' ({type(peel(guide['fn'])).__name__}) does not say so. Use "
            "pyro.factor(name, log_factor, has_rsample=True)."
        )


def check_density(site: Site, density: Tensor) -> None:
    r"""Checks, where Pyro's validation is on, that a density counts nothing several times.

    In plates it has one entry for each of their members, as Pyro's bounds ask too. Outside of
    plates it is no larger than both the law and the value.

    Args:
        site: The trace node.
        density: The log density of its value, `(*batch)`.
    """

    if not is_validation_enabled():
        return

    law, value = site["fn"], site["value"]
    if any(plate.vectorized for plate in site["cond_indep_stack"]):
        try:
            check_site_shape({**site, "log_prob": density}, sys.maxsize)
        except ValueError as error:
            remedy = "squeeze a mean of shape (n, 1) beside data of shape (n,)"
            raise ValueError(f"{error}\n  - {remedy}") from error
    elif density.numel() > max(law.batch_shape.numel(), value.numel()):
        raise ValueError(
            f"At site '{site['name']}' a law of batch shape {tuple(law.batch_shape)} meets a "
            f"value of shape {tuple(value.shape)}, and their density {tuple(density.shape)} would "
            "count each number several times. Give both one shape, by squeeze(-1) or expand."
        )


def check_shapes(guide: Site, model: Site) -> None:
    r"""Checks that both statements of a site have one shape, before the model uses the value.

    Args:
        guide: The guide's trace node.
        model: The model's trace node, or its message.
    """

    q, p = guide["fn"], model["fn"]
    if (q.batch_shape, q.event_shape) != (p.batch_shape, p.event_shape):
        raise ValueError(
            f"Model and guide state one shape for a site, and at '{model['name']}' the model "
            f"states batch {tuple(p.batch_shape)} event {tuple(p.event_shape)}, the guide batch "
            f"{tuple(q.batch_shape)} event {tuple(q.event_shape)}. "
            "Use .expand(shape).to_event(dims) on both."
        )


def _check_scales(name: str, guide: Site, model: Site) -> None:
    for what in ("scale", "mask"):
        if not _same(guide[what], model[what]):
            raise ValueError(
                f"Model and guide state one {what} for a site, and at '{name}' the model states "
                f"{model[what]}, the guide {guide[what]}. Put both under the same handler; to "
                "weight the divergences use TraceSparse_ELBO(kl_weight=...)."
            )


def _same(left: Any, right: Any) -> bool:
    if left is right:
        return True
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return left.shape == right.shape and is_true((left == right).all())
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        return left is not None and right is not None and is_true((left == right).all())
    return left == right
