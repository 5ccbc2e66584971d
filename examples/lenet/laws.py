"""Laws that only the examples need: a group lasso and a tempered prior."""

__all__ = ["Bottleneck", "GroupLasso"]

import math

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Distribution, Normal, register_kl
from torch.linalg import vector_norm

from pyro_sparse.distributions import EmpiricalNormal
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.penalty import Penalty
from pyro_sparse.guides import Options, PointFamily, SiteSpec, register_family
from pyro_sparse.prune import register_criterion

SMALLEST = 1e-3


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


class Bottleneck(EmpiricalNormal):
    r"""An empirical-Bayes prior of gates whose divergence counts `strength` times.

    References:
        Compressing Neural Networks using the Variational Information Bottleneck (Dai, Zhu, Guo,
        Wipf, 2018), https://arxiv.org/abs/1802.10399

    Args:
        strength: The factor, which differs from layer to layer.
    """

    def __init__(self, strength: float, validate_args: bool | None = None) -> None:
        super().__init__((), validate_args)
        self.strength = strength

    def expand(self, batch_shape: Shape, _instance: object = None) -> "Bottleneck":
        new = self._get_checked_instance(Bottleneck, _instance)
        new.strength = self.strength
        return super().expand(batch_shape, new)


def norms(weight: Tensor) -> Tensor:
    """Root mean squares of the groups, which broadcast against the weight."""
    dims = (-3, -2, -1) if weight.ndim > 2 else (-2,)
    count = math.prod(weight.shape[dim] for dim in dims)
    return vector_norm(weight, dim=dims, keepdim=True) / math.sqrt(count)


@register_kl(Delta, GroupLasso)
def _delta_group_lasso(q: Delta, p: GroupLasso) -> Tensor:
    return p.energy(q.v)


@register_kl(Normal, Bottleneck)
def _normal_bottleneck(q: Normal, p: Bottleneck) -> Tensor:
    return p.strength * torch.log1p((q.loc / q.scale).square()) / 2


def _point(site: SiteSpec, options: Options) -> PointFamily:
    return PointFamily(options.weights(site), site.shared)


def _large_enough(law: Distribution, role: str, prior: Distribution) -> Tensor:
    return (norms(law.mean) > SMALLEST).expand(law.mean.shape)


register_family(GroupLasso, "weight", _point)
register_criterion(Delta, _large_enough, "weight", GroupLasso)
