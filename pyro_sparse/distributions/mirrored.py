"""The mirror image of a law on the unit interval."""

__all__ = ["Mirrored"]

from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, constraints

from pyro_sparse.distributions.checks import Shape, check_sample, validates
from pyro_sparse.distributions.component import require_component


class Mirrored(TorchDistribution):
    r"""The law of 1 - z, for turning a law that piles up at 0 into one that piles up at 1.

    .. math::
        r_{\mathrm{mirrored}}(z) = r(1 - z), \qquad
        R_{\mathrm{mirrored}}(z) = 1 - R(1 - z)

    References:
        DVAE++: Discrete Variational Autoencoders with Overlapping Transformations (Vahdat,
        Macready, Bian, Khoshaman, Andriyash, 2018), https://arxiv.org/abs/1802.04920

    Args:
        law: any law on the unit interval with a density and a cdf, `(*batch)`.

    Example:
        >>> from torch.distributions import Kumaraswamy
        >>> Mirrored(Kumaraswamy(1.0, 19.0)).mean
        tensor(0.9500)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = False
    support = constraints.unit_interval

    def __init__(self, law: Distribution, validate_args: bool | None = None) -> None:
        if validates(validate_args):
            require_component("Mirrored", law)

        self.law, self.has_rsample = law, law.has_rsample
        super().__init__(law.batch_shape, validate_args=validate_args)

    def __repr__(self) -> str:
        return f"Mirrored({self.law})"

    def expand(self, batch_shape: Shape, _instance: object = None) -> "Mirrored":
        new = self._get_checked_instance(Mirrored, _instance)
        new.law, new.has_rsample = self.law.expand(torch.Size(batch_shape)), self.has_rsample
        super(Mirrored, new).__init__(new.law.batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)
        return self.law.log_prob(1 - value)

    def cdf(self, value: Tensor) -> Tensor:
        return 1 - self.law.cdf(1 - value)

    def icdf(self, value: Tensor) -> Tensor:
        return 1 - self.law.icdf(1 - value)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return 1 - self.law.rsample(torch.Size(sample_shape))

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        return 1 - self.law.sample(torch.Size(sample_shape))

    @property
    def mean(self) -> Tensor:
        return 1 - self.law.mean

    @property
    def variance(self) -> Tensor:
        return self.law.variance
