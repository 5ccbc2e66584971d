"""The truncated log-uniform law, prior of structured Bayesian pruning."""

__all__ = ["TruncatedLogUniform"]

import math
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import Shape, check_sample, require


class TruncatedLogUniform(TorchDistribution):
    r"""Law with a uniform logarithm on an interval, a proper relative of `LogUniform`.

    .. math::
        p(\theta) = \frac{1}{\theta\,(\mathrm{high} - \mathrm{low})}, \qquad
        \mathrm{low} \le \log\theta \le \mathrm{high}

    The prior of multiplicative noise on units, under a `TruncatedLogNormal` posterior; being
    proper, its divergence has no free constant.

    References:
        Structured Bayesian Pruning via Log-Normal Multiplicative Noise (Neklyudov, Molchanov,
        Ashukha, Vetrov, 2017), https://arxiv.org/abs/1705.07283

    Args:
        low: lower end of the logarithm.
        high: upper end of the logarithm.

    Example:
        >>> TruncatedLogUniform(-2.0, 0.0).mean
        tensor(0.4323)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = False
    has_rsample = True

    def __init__(
        self, low: float = -20.0, high: float = 0.0, validate_args: bool | None = None
    ) -> None:
        require(
            -math.inf < low < high < math.inf,
            (low, high),
            "TruncatedLogUniform needs finite low < high",
            "The paper uses -20 and 0.",
        )

        self.low, self.high = low, high
        super().__init__(validate_args=validate_args)

    def __repr__(self) -> str:
        return f"TruncatedLogUniform({self.low}, {self.high})"

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The interval of theta itself."""
        return constraints.interval(math.exp(self.low), math.exp(self.high))

    def expand(self, batch_shape: Shape, _instance: object = None) -> "TruncatedLogUniform":
        new = self._get_checked_instance(TruncatedLogUniform, _instance)
        new.low, new.high = self.low, self.high
        super(TruncatedLogUniform, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        return -value.log() - math.log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        return ((value.clamp(min=0).log() - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        return torch.exp(self.low + (self.high - self.low) * value)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return self.icdf(torch.rand(self._extended_shape(torch.Size(sample_shape))))

    @property
    def mean(self) -> Tensor:
        """Expectation of theta, `(*batch)`."""
        return torch.tensor(self._moment(1)).expand(self.batch_shape)

    @property
    def variance(self) -> Tensor:
        """Variance of theta, `(*batch)`."""
        return torch.tensor(self._moment(2) - self._moment(1) ** 2).expand(self.batch_shape)

    def _moment(self, order: int) -> float:
        width = order * (self.high - self.low)
        return math.exp(order * self.low) * math.expm1(width) / width
