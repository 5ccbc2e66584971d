"""The contract that every gate law keeps."""

__all__ = ["Gate", "has_atoms"]

from abc import abstractmethod
from typing import ClassVar

import torch
from pyro.distributions import MaskedDistribution, TorchDistribution
from pyro.distributions.torch_distribution import ExpandedDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints

from pyro_sparse.distributions.checks import Shape


class Gate(TorchDistribution):
    r"""Law of a gate :math:`z \in [0, 1]` that multiplies a weight, a unit or a channel.

    Beside what every law of torch and Pyro offers (`expand`, `to_event`, `mask`, pickling), a
    gate answers four questions.

    - `prob_active`: the probability that the gate is open, differentiable in every parameter.
      This is what penalties and KL rules read. `active_logits` is the same number as log odds,
      exact where the probability itself rounds to 0 or 1.
    - `deterministic`: the value at test time, after the paper that introduced the law. A unit is
      removed where it is 0.
    - `mean`: the expectation of the gate.
    - `has_atoms`: whether single values, 0 or 1, have positive probability.

    `log_prob` is taken with respect to Lebesgue measure plus point masses at 0 and 1. A gate
    with atoms therefore has :math:`\exp(\mathrm{log\_prob}(0)) = P(z = 0) = 1 -` `prob_active`.
    No Monte Carlo estimate of a KL divergence may differentiate through the samples of such a
    gate: the samples do not move with the parameters where they sit on an atom, and the gradient
    is biased.

    Subclasses set `has_atoms` and define `prob_active`, `deterministic`, `mean`, `cdf`,
    `log_prob`, `rsample` and `expand`; one that knows its log odds in closed form also defines
    `active_logits`.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """

    has_atoms: ClassVar[bool]
    has_rsample = True
    support = constraints.unit_interval

    @property
    @abstractmethod
    def prob_active(self) -> Tensor:
        """Probability that the gate is open, `(*batch)`."""

    @property
    @abstractmethod
    def deterministic(self) -> Tensor:
        """Value of the gate at test time, `(*batch)`."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """Expectation of the gate, `(*batch)`."""

    @abstractmethod
    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a gate less than or equal to `value`."""

    @abstractmethod
    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of `value`, with point masses where the law has atoms."""

    @abstractmethod
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws gates of shape `(*sample_shape, *batch)` that carry gradients."""

    @abstractmethod
    def expand(self, batch_shape: Shape, _instance: object = None) -> "Gate":
        """The same law with its batch shape expanded."""

    @property
    def active_logits(self) -> Tensor:
        """Log odds of the gate being open, `(*batch)`."""
        prob = self.prob_active
        limits = torch.finfo(prob.dtype)
        return prob.clamp(min=limits.tiny).log() - torch.log1p(-prob.clamp(max=1 - limits.eps))


def has_atoms(law: Distribution) -> bool:
    """Whether a law gives single values positive probability, seen through wrappers.

    Args:
        law: any law; `Independent`, masked and expanded ones answer for the law they wrap.
            Laws that do not say, such as torch's, count as free of atoms.
    """
    while isinstance(law, Independent | MaskedDistribution | ExpandedDistribution):
        law = law.base_dist

    return getattr(law, "has_atoms", False)
