"""Laws that only the examples need: a group lasso, and what a half-Cauchy scale costs."""

__all__ = ["GroupLasso"]

import math

import numpy as np
import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Distribution, HalfCauchy, LogNormal, register_kl
from torch.linalg import vector_norm
from torch.nn.functional import softplus

from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.penalty import Penalty
from pyro_sparse.guides import Options, PointFamily, SiteSpec, register_family
from pyro_sparse.prune import register_criterion

SMALLEST = 1e-3
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(32)


class GroupLasso(Penalty):
    r"""Penalty on the norms of the input units' weights, :math:`\lambda \sqrt{n} \|w_g\|_2`.

    The units of a weight are its second dimension; a convolution's are its filters.

    References:
        Learning Structured Sparsity in Deep Neural Networks (Wen, Wu, Wang, Chen, Li, 2016),
        https://arxiv.org/abs/1608.03665

    Args:
        penalty: Strength in nats on the scale of the full data, `(*batch)`.
    """

    has_atoms = False

    def expand(self, batch_shape: Shape, _instance: object = None) -> "GroupLasso":
        return GroupLasso(self.penalty.expand(batch_shape), validate_args=False)

    def energy(self, value: Tensor) -> Tensor:
        """Each group's cost, spread evenly over its weights."""
        mean_square = norms(value).expand(value.shape)
        return self.penalty * mean_square


def norms(weight: Tensor) -> Tensor:
    """Root mean squares of the groups, which broadcast against the weight."""
    dims = (-3, -2, -1) if weight.ndim > 2 else (-2,)
    count = math.prod(weight.shape[dim] for dim in dims)
    return vector_norm(weight, dim=dims, keepdim=True) / math.sqrt(count)


@register_kl(Delta, GroupLasso)
def _delta_group_lasso(q: Delta, p: GroupLasso) -> Tensor:
    return p.energy(q.v)


@register_kl(LogNormal, HalfCauchy)
def _log_normal_half_cauchy(q: LogNormal, p: HalfCauchy) -> Tensor:
    r"""Log-normal against half-Cauchy with scale t, by Gauss-Hermite quadrature.

    .. math::
        \log\frac{\pi t}{2} + E \log\Big(1 + \frac{z^2}{t^2}\Big)
        - \mu - \log\sigma - \tfrac12 \log(2 \pi e)
    """
    nodes, weights = (torch.as_tensor(a).to(q.loc) for a in (NODES, WEIGHTS / WEIGHTS.sum()))
    log_ratio = (q.loc - p.scale.log())[..., None] + q.scale[..., None] * nodes
    expected = (softplus(2 * log_ratio) * weights).sum(-1)
    entropy = q.loc + q.scale.log() + math.log(2 * math.pi * math.e) / 2
    return (math.pi / 2 * p.scale).log() + expected - entropy


def _point(site: SiteSpec, options: Options) -> PointFamily:
    return PointFamily(options.weights(site), site.shared)


def _large_enough(law: Distribution, role: str, prior: Distribution) -> Tensor:
    return (norms(law.mean) > SMALLEST).expand(law.mean.shape)


register_family(GroupLasso, "weight", _point)
register_criterion(Delta, _large_enough, "weight", GroupLasso)
