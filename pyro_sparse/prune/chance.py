r"""How likely an entry is to be kept: the criteria of `auto`, as smooth numbers."""

__all__ = ["chance_kept", "is_kept"]

import math

import torch
from torch import Tensor
from torch.distributions import Distribution, LogNormal, Normal

from pyro_sparse.distributions import (
    EmpiricalNormal,
    Gate,
    GroupGaussianMixture,
    LogUniform,
    TruncatedLogNormal,
)
from pyro_sparse.prune.criterion import resolve
from pyro_sparse.prune.mask import Posterior


def chance_kept(posterior: Posterior) -> Tensor | None:
    r"""The chance that an entry of a posterior is kept, differentiable in its parameters.

    Of a gate it is P(active). Other laws are never exactly 0, and their criterion compares a
    number with a threshold: there it is the sigmoid of the distance,

    .. math::
        \sigma(\mathrm{threshold} - \log \alpha) \quad\text{or}\quad \sigma(\log \mathrm{snr})

    which is above 1/2 where the criterion keeps the entry.

    References:
        Controlled Sparsity via Constrained Optimization (Gallego-Posada et al., 2022),
        https://arxiv.org/abs/2208.04425

    Args:
        posterior: the posterior of a site.

    Returns:
        Chances of the site's shape; None where every entry is kept.
    """
    law, role = posterior.law, posterior.role
    if isinstance(law, Gate):
        return law.prob_active
    if isinstance(law, TruncatedLogNormal):
        return torch.sigmoid(law.snr.log())
    if isinstance(law, LogNormal):
        return torch.sigmoid(_log_ratio(law) / 2)
    if not isinstance(law, Normal):
        return None

    threshold = _threshold(role, posterior.prior)
    return None if threshold is None else torch.sigmoid(threshold + _log_ratio(law))


def is_kept(posterior: Posterior) -> Tensor:
    r"""Which entries of a posterior the criterion "auto" keeps, as zeros and ones.

    Args:
        posterior: the posterior of a site.
    """
    kept = resolve("auto")(posterior.law, posterior.role, posterior.prior)
    return kept.to(posterior.law.mean)


def _threshold(role: str, prior: Distribution) -> float | None:
    """The largest log alpha that is kept; None where the criterion does not ask for it."""
    if role == "gate":
        return 0.0
    if isinstance(prior, LogUniform | EmpiricalNormal):
        return 3.0
    return math.log(99) if isinstance(prior, GroupGaussianMixture) else None


def _log_ratio(law: Distribution) -> Tensor:
    r"""The log of squared mean to variance, finite and with a gradient where the mean is 0."""
    tiny = torch.finfo(law.mean.dtype).tiny
    return (law.mean.square() + tiny).log() - (law.variance + tiny).log()
