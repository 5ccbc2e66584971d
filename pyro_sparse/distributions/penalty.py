"""Penalties in the form of priors: unnormalised laws whose log density is minus an energy."""

__all__ = ["L0", "L2", "Penalty"]

from abc import abstractmethod
from typing import ClassVar, NoReturn, Self

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import Shape, require, settle, together, validates


class Penalty(TorchDistribution):
    r"""Base of the penalties: an unnormalised law :math:`p(w) \propto e^{-E(w)}`.

    `log_prob` is :math:`-E(w)` and never raises for want of a normaliser. `kl_divergence(q, p)`
    is the expected energy :math:`E_q[E(w)]` and deliberately has *no* entropy term: the
    fixed-coding-cost bound of the paper, whose sum with the expected loss is a penalised
    training loss. There are no samples.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        penalty: not negative, in nats on the scale of the full data, `(*batch)`. What papers
            write as lambda / N inside a *mean* loss is lambda here.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "penalty": constraints.nonnegative
    }
    has_rsample = False
    support = constraints.real

    def __init__(self, penalty: Tensor | float, validate_args: bool | None = None) -> None:
        (self.penalty,) = together(penalty)
        if validates(validate_args):
            _check(type(self).__name__, self.penalty)

        super().__init__(self.penalty.shape, validate_args=False)
        settle(self, validate_args)

    def expand(self, batch_shape: Shape, _instance: object = None) -> Self:
        new = self._get_checked_instance(Penalty, _instance)
        new.penalty = self.penalty.expand(batch_shape)
        super(Penalty, new).__init__(torch.Size(batch_shape), validate_args=False)
        new._validate_args = self._validate_args
        return new

    @abstractmethod
    def energy(self, value: Tensor) -> Tensor:
        """The cost of `value`, in nats."""

    def log_prob(self, value: Tensor) -> Tensor:
        return -self.energy(value)

    def sample(self, sample_shape: Shape = ()) -> NoReturn:
        """Raises: a penalty is not a normalised law."""
        name = type(self).__name__
        raise TypeError(
            f"{name} is a penalty, not a normalised law, and cannot be sampled. Give its site a "
            "law in the guide and sample that."
        )

    rsample = sample


class L0(Penalty):
    r"""Penalty on the number of open gates, :math:`e^{-\lambda 1[z \ne 0]}`.

    Its divergence from a gate is :math:`\lambda P(z \ne 0)`. For gates; not for weights, which
    are never exactly 0 under a continuous law.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        penalty: cost of one open gate in nats on the scale of the full data, `(*batch)`.

    Example:
        >>> L0(3.0).log_prob(torch.tensor([0.0, 0.7]))
        tensor([-0., -3.])
    """

    has_atoms = True  # the energy jumps at 0, where a sample's gradient cannot see it

    def energy(self, value: Tensor) -> Tensor:
        return self.penalty * (value != 0).to(self.penalty.dtype)


class L2(Penalty):
    r"""Quadratic penalty, :math:`e^{-\lambda w^2 / 2}`: weight decay.

    Its divergence from a law with a second moment is :math:`\lambda E[w^2] / 2`.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        penalty: strength in nats on the scale of the full data, `(*batch)`.

    Example:
        >>> L2(3.0).log_prob(torch.tensor([0.0, 2.0]))
        tensor([-0., -6.])
    """

    has_atoms = False

    def energy(self, value: Tensor) -> Tensor:
        return self.penalty * value.square() / 2


def _check(name: str, penalty: Tensor) -> None:
    require(
        (penalty >= 0) & penalty.isfinite(),
        penalty,
        f"{name} needs a finite penalty >= 0",
        "Use 0 for no penalty.",
    )
