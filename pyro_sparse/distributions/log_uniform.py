"""The log-uniform prior of variational dropout."""

__all__ = ["LogUniform"]

from typing import ClassVar, NoReturn

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import Shape, check_sample, require


class LogUniform(TorchDistribution):
    r"""Improper prior with log |w| uniform, the prior of variational dropout.

    .. math::
        p(w) \propto \frac{1}{|w|}

    For weights, and for multiplicative scales of groups of weights, under a normal posterior: the
    divergence depends on :math:`\sigma^2 / \mu^2` alone, and drives what the data do not need to
    infinite dropout rates. Zeros are reached in the limit and taken by a threshold on
    log alpha. The law does not integrate to one, so the divergence has a free constant (chosen
    to be 0 at infinite dropout rate), evidence cannot be compared across such models, and
    there are no samples.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369

    Args:
        kl: which divergence from a normal `kl_divergence` gives: "fit", the three-constant
            sigmoid of the paper (off by at most 0.0094), or "exact", by Dawson's integral.

    Example:
        >>> LogUniform().log_prob(torch.tensor([1.0, -2.0]))
        tensor([-0.0000, -0.6931])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = False
    has_rsample = False
    support = constraints.real

    def __init__(self, kl: str = "fit", validate_args: bool | None = None) -> None:
        require(kl in ("fit", "exact"), kl, 'LogUniform needs kl="fit" or "exact"', "Choose one.")

        self.kl = kl
        super().__init__(validate_args=validate_args)

    def __repr__(self) -> str:
        return f'LogUniform(kl="{self.kl}")'

    def expand(self, batch_shape: Shape, _instance: object = None) -> "LogUniform":
        new = self._get_checked_instance(LogUniform, _instance)
        new.kl = self.kl
        super(LogUniform, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        return -value.abs().log()

    def sample(self, sample_shape: Shape = ()) -> NoReturn:
        """Raises: an improper law has no samples."""
        raise TypeError(
            "LogUniform is improper (1/|w| has no finite integral) and cannot be sampled. Give "
            "its site a proper law in the guide and sample that, or use a proper prior."
        )

    rsample = sample
