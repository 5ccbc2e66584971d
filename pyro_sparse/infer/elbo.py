r"""The evidence lower bound for programs whose samples remember their laws."""

__all__ = ["Parts", "TraceSparse_ELBO"]

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.infer import ELBO
from pyro.poutine.trace_struct import Trace
from pyro.poutine.util import prune_subsample_sites
from torch import Tensor

from pyro_sparse.effects import Replay
from pyro_sparse.infer.divergence import Site, find_rule, site_divergence
from pyro_sparse.infer.statements import check_statements, is_latent, is_likelihood
from pyro_sparse.local import Deferred

Weight = float | Tensor | Callable[[int], float | Tensor]


@dataclass
class Parts:
    r"""What the last evaluation of the bound was made of, averaged over particles.

    Args:
        log_likelihood: Expected log-likelihood, a scalar in nats, detached.
        kl: Divergence per site, scalars in nats, before `kl_weight`, detached.
        analytic: Per site, whether a rule gave the divergence; otherwise one draw estimated it.
        noise: Per local site, how it was drawn: "local", "per example (n)" or "global".
    """

    log_likelihood: Tensor
    kl: dict[str, Tensor] = field(default_factory=dict)
    analytic: dict[str, bool] = field(default_factory=dict)
    noise: dict[str, str | None] = field(default_factory=dict)


class TraceSparse_ELBO(ELBO):
    r"""Creates the evidence lower bound, with a rule for every divergence that has one.

    .. math::
        L = E_q [\log p(y | z)] - \beta \sum_s P(g_s \ne 0) \, KL(q(z_s) \| p(z_s))

    where :math:`g_s` is the gate that the model names at site :math:`s` with
    `infer={"gated_by": gate}`, if any (the bound of a spike-and-slab posterior), and
    :math:`\beta` is `kl_weight`. Beside Pyro's mean-field bound it

    - understands `Local` samples, and evaluates no density of a weight;
    - takes a divergence from the registry, and estimates one from a draw only where there is no
      rule and neither law has atoms; `parts` says which;
    - never applies a rule to a point mass that carries a Jacobian;
    - asks model and guide to state the same scale and mask: to temper the divergences, use
      `kl_weight`, not `poutine.scale`.

    Works in `pyro.infer.SVI`, and as a module, `elbo(model, guide)`, with any torch optimiser.
    A gate without an atom, such as `MixtureGate`, makes the product with its probability a
    relaxed penalty and no longer a bound.

    References:
        | Auto-Encoding Variational Bayes (Kingma and Welling, 2014)
        | https://arxiv.org/abs/1312.6114
        | Variational Dropout and the Local Reparameterization Trick (Kingma et al., 2015)
        | https://arxiv.org/abs/1506.02557

    Args:
        kl_weight: The factor of the divergences: a number, a tensor or a function of the step;
            may be changed between steps.
        num_particles: Number of draws the bound is averaged over.
    """

    def __init__(self, *, kl_weight: Weight = 1.0, num_particles: int = 1) -> None:
        if num_particles < 1:
            raise ValueError(f"num_particles is at least 1, got {num_particles}.")
        super().__init__(num_particles=num_particles)
        self.kl_weight = kl_weight
        self.step = 0
        self.parts: Parts | None = None

    def loss(self, model: Callable, guide: Callable, *args: Any, **kwargs: Any) -> Tensor:
        r"""The negative bound, a scalar in nats, without gradients."""

        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs)

    def loss_and_grads(
        self, model: Callable, guide: Callable, *args: Any, **kwargs: Any
    ) -> Tensor:
        r"""The negative bound, after adding its gradients to the parameters'."""

        loss = self.differentiable_loss(model, guide, *args, **kwargs)
        if loss.requires_grad:
            loss.backward()
        return loss.detach()

    def differentiable_loss(
        self, model: Callable, guide: Callable, *args: Any, **kwargs: Any
    ) -> Tensor:
        r"""The negative bound, a scalar in nats that can be differentiated.

        Args:
            model: The model, which observes at least one site.
            guide: The guide, which samples the model's latent sites.
            *args: Arguments of both.
            **kwargs: Keyword arguments of both.

        Raises:
            ValueError: Model and guide do not fit each other.
            TypeError: A divergence has no rule and cannot be estimated from a draw.
        """

        weight = self._current_weight()
        particles = [
            self._particle(weight, model, guide, args, kwargs) for _ in range(self.num_particles)
        ]
        losses, parts = zip(*particles, strict=True)
        self.parts = _averaged(list(parts))
        self.step += torch.is_grad_enabled()
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def _get_trace(
        self, model: Callable, guide: Callable, args: tuple, kwargs: dict[str, Any]
    ) -> tuple[Trace, Trace]:
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        for name, site in guide_trace.nodes.items():
            value = site.get("value")
            for factor in value.factors if isinstance(value, Deferred) else ():
                factor.draw.site = name

        with Replay(guide_trace, _replayed):
            model_trace = poutine.trace(model).get_trace(*args, **kwargs)
        return prune_subsample_sites(model_trace), prune_subsample_sites(guide_trace)

    def _current_weight(self) -> float | Tensor:
        weight = self.kl_weight(self.step) if callable(self.kl_weight) else self.kl_weight
        if not isinstance(weight, Tensor) and not (0 <= weight < math.inf):
            raise ValueError(f"kl_weight is finite and not negative, got {weight}.")
        return weight

    def _particle(
        self,
        weight: float | Tensor,
        model: Callable,
        guide: Callable,
        args: tuple,
        kwargs: dict[str, Any],
    ) -> tuple[Tensor, Parts]:
        model_trace, guide_trace = self._get_trace(model, guide, args, kwargs)
        check_statements(guide_trace, model_trace)

        observed = [_log_density(s) for s in model_trace.nodes.values() if is_likelihood(s)]
        log_likelihood = functools.reduce(torch.add, observed)

        parts = Parts(log_likelihood.detach(), noise=_noise(guide_trace))
        divergence: float | Tensor = 0.0
        for name, site in guide_trace.nodes.items():
            if not is_latent(site):
                continue
            if name in model_trace:
                found = site_divergence(name, site, model_trace.nodes[name], guide_trace)
                value, analytic = found.value, found.analytic
            else:
                value, analytic = _log_density(site), False

            divergence = divergence + value
            parts.kl[name], parts.analytic[name] = value.detach(), analytic

        return weight * divergence - log_likelihood, parts


def _replayed(guide: Site, model: Site) -> Tensor:
    # Without a rule the divergence is estimated from the value, which must then be a number.
    value = guide["value"]
    if isinstance(value, Deferred) and find_rule(guide["fn"], model["fn"]) is None:
        return value.clone()
    return value


def _log_density(site: Site) -> Tensor:
    density = site["fn"].log_prob(site["value"])
    return scale_and_mask(density, site["scale"], site["mask"]).sum()


def _noise(guide: Trace) -> dict[str, str | None]:
    values = {name: site.get("value") for name, site in guide.nodes.items()}
    return {
        name: value.factors[0].draw.used
        for name, value in values.items()
        if isinstance(value, Deferred)
    }


def _averaged(parts: list[Parts]) -> Parts:
    if len(parts) == 1:
        return parts[0]

    def mean(values: list[Tensor]) -> Tensor:
        return torch.stack(values).mean()

    first = parts[0]
    kl = {name: mean([p.kl[name] for p in parts]) for name in first.kl}
    return Parts(mean([p.log_likelihood for p in parts]), kl, first.analytic, first.noise)
