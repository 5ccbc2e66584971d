r"""Log densities of a draw under model and guide, so that their difference estimates the bound."""

__all__ = ["log_densities"]

from collections.abc import Mapping
from typing import Any

import torch
from pyro.distributions import MaskedDistribution
from pyro.distributions.util import scale_and_mask
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Independent

from pyro_sparse.distributions import L0, L2
from pyro_sparse.distributions.gate import has_atoms
from pyro_sparse.infer.gating import beside
from pyro_sparse.infer.statements import Site
from pyro_sparse.local import Local, peel


def log_densities(guide: Mapping[str, Site], model: Mapping[str, Site]) -> tuple[Tensor, Tensor]:
    r"""log p(data, draw) and log q(draw), scalars in nats, of one draw.

    The mean of their difference over draws is the evidence lower bound of `TraceSparse_ELBO`,
    with its conventions:

    - under a penalty (`L0`, `L2`), which has no entropy, q counts 0;
    - a gate with atoms under a Bernoulli prior is open or closed on both sides;
    - a site that is gated by another counts where its gate is open.

    Where the bound's divergence is itself a bound (a fit, or a prior fitted to the posterior) the
    mean differs by that much.

    Args:
        guide: The guide's latent sites, as `guide_draw` gives them.
        model: The model's sites at the same draw, as `model_draw` gives them.
    """

    log_p = log_q = torch.zeros(())
    for name, site in model.items():
        if name not in guide:
            density = site["fn"].log_prob(site["value"])
            log_p = log_p + _total(density, site)
            continue

        p, q = _elementwise(site, guide[name])
        open_ = _open(site, guide)
        log_p = log_p + _summed(p, open_, site["fn"], site)
        log_q = log_q + _summed(q, open_, guide[name]["fn"], site)

    for name, site in guide.items():
        if name not in model:
            log_q = log_q + _total(site["fn"].log_prob(site["value"]), site)

    return log_p, log_q


def _elementwise(model: Site, guide: Site) -> tuple[Tensor, Tensor]:
    p: Any = peel(model["fn"])
    q: Any = peel(guide["fn"])
    value = guide["value"]

    if isinstance(p, L0 | L2):
        density = p.log_prob(value)
        return density, torch.zeros_like(density)

    if isinstance(p, Bernoulli) and has_atoms(q):
        active = (value != 0).to(value.dtype)
        closed_or_open = Bernoulli(logits=q.active_logits)
        return p.log_prob(active), closed_or_open.log_prob(active)

    return p.log_prob(value), q.log_prob(value)


def _open(model: Site, guide: Mapping[str, Site]) -> Tensor | None:
    gate = model["infer"].get("gated_by")
    if gate is None:
        return None

    active = (guide[gate]["value"] != 0).to(guide[gate]["value"].dtype)
    return beside(model, guide[gate]["fn"].event_dim, active)


def _summed(density: Tensor, open_: Tensor | None, law: Distribution, site: Site) -> Tensor:
    return _total(_wrapped(law, density if open_ is None else density * open_), site)


def _wrapped(law: Any, density: Tensor) -> Tensor:
    """What the wrappers of a law make of its elementwise density."""
    if isinstance(law, Local):
        return _wrapped(law.law, density)
    if isinstance(law, MaskedDistribution):
        return scale_and_mask(_wrapped(law.base_dist, density), mask=law._mask)
    if isinstance(law, Independent):
        inner = _wrapped(law.base_dist, density)
        dims = law.reinterpreted_batch_ndims
        return inner.sum(list(range(-dims, 0))) if dims else inner

    return density


def _total(density: Tensor, site: Site) -> Tensor:
    return scale_and_mask(density, site["scale"], site["mask"]).sum()
