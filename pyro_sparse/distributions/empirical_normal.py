"""The empirical-Bayes normal prior: a zero-mean normal that fits its own variance."""

__all__ = ["EmpiricalNormal"]

import math
from collections.abc import Sequence
from typing import ClassVar, NoReturn

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import Shape, check_sample, require


class EmpiricalNormal(TorchDistribution):
    r"""Zero-mean normal prior whose variance is always the one that minimises the divergence.

    .. math::
        v_g = \frac{\sum_{j \in g} \omega_j (\mu_j^2 + \sigma_j^2)}{\sum_{j \in g} \omega_j},
        \qquad
        \sum_{j \in g} \mathrm{KL}_j = \tfrac12 \sum_{j \in g} \log\frac{v_g}{\sigma_j^2}

    For weights, and for multiplicative gates of units, under a normal posterior. With a variance
    of its own for every weight this is empirical-Bayes variational dropout, with divergence
    :math:`\tfrac12 \log(1 + \mu^2 / \sigma^2)`; with such a prior on gates it is the variational
    information bottleneck; with one variance for a row, column, filter or layer whole groups
    shrink together. Nothing is ever exactly 0: zeros are taken by a threshold on log alpha.
    Having been fitted, the prior is not a law one could draw from, so there are no samples;
    `log_prob` is the profile density :math:`N(w \mid 0, \mathrm{mean}_g w^2)`.

    References:
        Variational Dropout via Empirical Bayes (Kharitonov, Molchanov, Vetrov, 2018),
        https://arxiv.org/abs/1811.00596
        Compressing Neural Networks using the Variational Information Bottleneck (Dai, Zhu, Guo,
        Wipf, 2018), https://arxiv.org/abs/1802.10399

    Args:
        groups: dimensions that share a variance, negative, counted from the right of the weight:
            `()` gives each weight its own; for a linear weight (out, in), `-1` gives one to
            each output unit, `-2` to each input unit, `(-2, -1)` to the layer; for a
            convolution, `(-3, -2, -1)` to each filter.

    Example:
        >>> prior = EmpiricalNormal(groups=-1)
        >>> prior.log_prob(torch.tensor([[1.0, 1.0], [3.0, 4.0]]))
        tensor([[-1.4189, -1.4189],
                [-2.5418, -2.8218]])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = False
    has_rsample = False
    support = constraints.real

    def __init__(
        self, groups: int | Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self.groups = (groups,) if isinstance(groups, int) else tuple(groups)
        negative = all(isinstance(dim, int) and dim < 0 for dim in self.groups)
        require(
            negative and len(set(self.groups)) == len(self.groups),
            self.groups,
            "EmpiricalNormal needs groups of different negative dimensions",
            "Count from the right of the weight, e.g. groups=-1 for its rows.",
        )

        super().__init__(validate_args=validate_args)

    def __repr__(self) -> str:
        return f"EmpiricalNormal(groups={self.groups})"

    def expand(self, batch_shape: Shape, _instance: object = None) -> "EmpiricalNormal":
        new = self._get_checked_instance(EmpiricalNormal, _instance)
        new.groups = self.groups
        super(EmpiricalNormal, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def best_variance(self, square: Tensor, weights: Tensor | None = None) -> Tensor:
        r"""The variance of each group, from expected squares, with its groups kept as ones.

        Args:
            square: expected squares of the weights, `(*batch)`.
            weights: how much each weight counts, not negative, broadcastable to `(*batch)`; a
                group in which none counts is averaged evenly.
        """
        if not self.groups:
            return square
        if -min(self.groups) > square.dim():
            raise ValueError(
                f"EmpiricalNormal has groups {self.groups}, which a weight of shape "
                f"{tuple(square.shape)} does not have. Leave out what lies beyond its dimensions."
            )
        if weights is None:
            return square.mean(self.groups, keepdim=True)

        weights = weights.expand(square.shape)
        total = weights.sum(self.groups, keepdim=True)
        weights = torch.where(total > 0, weights, torch.ones_like(weights))
        return (weights * square).sum(self.groups, keepdim=True) / weights.sum(
            self.groups, keepdim=True
        )

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        square = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape)).square()
        variance = self.best_variance(square).clamp(min=torch.finfo(value.dtype).tiny)
        return -0.5 * (square / variance + variance.log() + math.log(2 * math.pi))

    def sample(self, sample_shape: Shape = ()) -> NoReturn:
        """Raises: a prior fitted to its posterior has no samples of its own."""
        raise TypeError(
            "EmpiricalNormal fits its variance to the posterior and cannot be sampled by itself. "
            "Sample the posterior, or use a Normal prior with a fixed scale."
        )

    rsample = sample
