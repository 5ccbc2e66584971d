"""The two-component normal prior shared by the weights of a neuron."""

__all__ = ["GroupGaussianMixture"]

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.special import ndtr

from pyro_sparse.distributions.checks import (
    Shape,
    broadcast,
    check_sample,
    require,
    settle,
    together,
    validates,
)

PROB_FLOOR = 1e-6
VARIANCE_FLOOR = 1e-12


class GroupGaussianMixture(TorchDistribution):
    r"""Mixture of two zero-mean normals, shared by the weights of a group.

    .. math::
        p(w_{ij}) = p_i\, N(w_{ij} \mid 0, s_{1i}^2) + (1 - p_i)\, N(w_{ij} \mid 0, s_{2i}^2)

    For weights under a normal posterior, a neuron being a group: a neuron of no use has small
    weights in both components and goes as a whole. The parameters broadcast against the weight,
    (out, 1) against (out, in), and keep their shape under `expand`. They are learnt by gradient
    or by `em_step` between training steps, which changes them in place, so that buffers of the
    module that owns them stay buffers. Nothing is ever exactly 0: zeros are taken by a threshold
    on log alpha.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369
        Maximum Likelihood from Incomplete Data via the EM Algorithm (Dempster, Laird, Rubin,
        1977), https://doi.org/10.1111/j.2517-6161.1977.tb01600.x

    Args:
        probs: probability of the first component, broadcastable to the weight.
        scale1: positive standard deviation of the first component, likewise broadcastable.
        scale2: positive standard deviation of the second component, likewise broadcastable.

    Example:
        >>> prior = GroupGaussianMixture(torch.full((2, 1), 0.5), torch.tensor(1.0), 0.1)
        >>> prior.expand((2, 3)).log_prob(torch.zeros(2, 3))
        tensor([[0.7858, 0.7858, 0.7858],
                [0.7858, 0.7858, 0.7858]])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "probs": constraints.unit_interval,
        "scale1": constraints.positive,
        "scale2": constraints.positive,
    }
    has_atoms = False
    has_rsample = False
    support = constraints.real

    def __init__(
        self,
        probs: Tensor | float,
        scale1: Tensor | float,
        scale2: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.probs, self.scale1, self.scale2 = together(probs, scale1, scale2)
        if validates(validate_args):
            _check(self.probs, self.scale1, self.scale2)

        shapes = {name: getattr(self, name).shape for name in self.arg_constraints}
        super().__init__(broadcast("GroupGaussianMixture", shapes), validate_args=False)
        settle(self, validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "GroupGaussianMixture":
        new = self._get_checked_instance(GroupGaussianMixture, _instance)
        batch_shape = torch.Size(batch_shape)
        torch.broadcast_shapes(self.batch_shape, batch_shape)

        # The tensors themselves, so that an EM step on the expanded law reaches their owner.
        new.probs, new.scale1, new.scale2 = self.probs, self.scale1, self.scale2

        super(GroupGaussianMixture, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def mean(self) -> Tensor:
        """Zero, `(*batch)`."""
        return self.probs.new_zeros(()).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """Mean of the two variances, `(*batch)`."""
        first, second = self.scale1.square(), self.scale2.square()
        return (second + self.probs * (first - second)).expand(self.batch_shape)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        with torch.no_grad():
            noise = torch.randn(shape, dtype=self.probs.dtype, device=self.probs.device)
            first = torch.rand_like(noise) < self.probs
            return noise * torch.where(first, self.scale1, self.scale2)

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        log_prob = self.log_prob_of_square(value.square())
        return log_prob.expand(torch.broadcast_shapes(log_prob.shape, self.batch_shape))

    def log_prob_of_square(self, square: Tensor) -> Tensor:
        """Log density at a weight with this square, or with this expected square."""
        return torch.logaddexp(*self._components(square))

    def cdf(self, value: Tensor) -> Tensor:
        first, second = ndtr(value / self.scale1), ndtr(value / self.scale2)
        return second + self.probs * (first - second)

    @torch.no_grad()
    def em_step(self, posterior: Distribution) -> None:
        r"""Moves the parameters, in place, to a better prior for a posterior of the weights.

        .. math::
            r_{ij} = P(\text{first} \mid \tilde w_{ij}), \quad p_i = \mathrm{mean}_j r_{ij}, \quad
            s_{1i}^2 = \frac{\sum_j r_{ij} \tilde w_{ij}^2}{\sum_j r_{ij}}, \qquad
            \tilde w_{ij}^2 = \mu_{ij}^2 + \sigma_{ij}^2

        and likewise for the second component. Never raises the divergence of the posterior from
        the prior, as long as the floors are not met: probabilities stay in
        [1e-6, 1 - 1e-6], variances above 1e-12, and a component that explains nothing keeps
        its variance.

        Args:
            posterior: law of the weights with a mean and a variance, elementwise, of the
                weights' shape; `to_event` may be around it.
        """
        square = self._expected_square(posterior)
        first, second = self._components(square)
        share = torch.sigmoid(first - second)
        other = torch.sigmoid(second - first)

        for scale, weight in ((self.scale1, share), (self.scale2, other)):
            mass = weight.sum_to_size(scale.shape)
            variance = (weight * square).sum_to_size(scale.shape) / mass
            variance = torch.where(mass > 0, variance.clamp(min=VARIANCE_FLOOR), scale.square())
            scale.copy_(variance.sqrt())

        mean = share.sum_to_size(self.probs.shape) * (self.probs.numel() / share.numel())
        self.probs.copy_(mean.clamp(PROB_FLOOR, 1 - PROB_FLOOR))

    def _components(self, square: Tensor) -> tuple[Tensor, Tensor]:
        constant = math.log(2 * math.pi) / 2
        first, second = (
            -constant - scale.log() - square / scale.square() / 2
            for scale in (self.scale1, self.scale2)
        )
        return first + self.probs.log(), second + torch.log1p(-self.probs)

    def _expected_square(self, posterior: Distribution) -> Tensor:
        if not isinstance(posterior, Distribution):
            raise TypeError(
                "em_step needs a law with a mean and a variance as the posterior, got "
                f"{type(posterior).__name__}. Pass e.g. the guide's Normal of the weight."
            )
        try:
            square = posterior.mean.square() + posterior.variance
        except NotImplementedError:
            raise TypeError(
                "em_step needs a posterior with a mean and a variance, and "
                f"{type(posterior).__name__} has none. Use a Normal."
            ) from None

        shape = _group_shape(self.probs, self.scale1, self.scale2)
        if not _fits(shape, square.shape):
            raise ValueError(
                "em_step needs a posterior to whose shape the parameters of the prior, "
                f"{tuple(shape)}, broadcast; got {tuple(square.shape)}. "
                "Pass the posterior of the weight that has this prior."
            )
        return square


def _group_shape(*parameters: Tensor) -> torch.Size:
    return torch.broadcast_shapes(*(parameter.shape for parameter in parameters))


def _fits(groups: torch.Size, weights: torch.Size) -> bool:
    try:
        return torch.broadcast_shapes(groups, weights) == weights
    except RuntimeError:
        return False


def _check(probs: Tensor, scale1: Tensor, scale2: Tensor) -> None:
    law = "GroupGaussianMixture"
    inside = (probs >= 0) & (probs <= 1)
    require(inside, probs, f"{law} needs probs in [0, 1]", "Start from 1/2.")
    for name, scale in (("scale1", scale1), ("scale2", scale2)):
        positive = (scale > 0) & scale.isfinite()
        require(positive, scale, f"{law} needs a finite {name} > 0", "Start from 1 and 0.1.")
