r"""`Local`: the law of a sample that remembers where it came from."""

__all__ = ["Local", "peel"]

from typing import Any, ClassVar

import torch
from pyro.distributions import MaskedDistribution, TorchDistribution
from torch import Tensor
from torch.distributions import Distribution, Independent, constraints, kl_divergence, register_kl

from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.gate import Gate
from pyro_sparse.distributions.penalty import L0, L2
from pyro_sparse.local.deferred import Factor, defer, mark_weight
from pyro_sparse.local.draw import Draw


class Local(TorchDistribution):
    r"""Creates a law whose samples are drawn where they are used, with less noise.

    A guide says `pyro.sample("w", Local(Normal(loc, scale)).to_event(2))` and the model stays
    ordinary torch. The sample has no numbers yet; the operation that receives it decides:

    - A **weight** (normal or point mass) in the weight slot of a linear operation (a linear or
      bilinear layer, a convolution, an embedding, a matrix product, an einsum) is not drawn at
      all: the pre-activations are, one draw per example and position (local
      reparameterisation). Derivatives of this noise are first derivatives only.
    - A **gate** that multiplies a tensor waits for the slot in which the product is used. In a
      weight slot it gates the inputs or the outputs of the operation, anywhere else an
      activation: one draw per example along `batch_dim`, shared over the other positions.
    - Any other operation draws one ordinary sample, which is kept.

    A gate times a tensor is taken for a gated weight where the tensor is a parameter, a sampled
    weight or a leaf that is trained, and in every weight slot. Elsewhere it is an activation: to
    gate a weight that was computed, `(softplus(v) * z).abs()`, draw the gate with `shared=True`.

    A variable drawn per example leaves the objective unbiased if and only if the log-likelihood
    is a sum over examples of terms that each see their own example only. It is *not* for the
    statistics of batch normalisation in training mode (where it is customary all the same),
    attention across examples, contrastive losses or Gaussian-process heads: there,
    `shared=True` draws once and is exact given the batch.

    The same sample used for two different pre-activations would be two draws of one variable,
    so a second use raises `SecondUseError`; weights used twice want `shared=True`.

    References:
        | Variational Dropout and the Local Reparameterization Trick (Kingma et al., 2015)
        | https://arxiv.org/abs/1506.02557

    Args:
        law: The law, of batch shape `(*batch)`; a gate law or a normal for gates, a normal or a
            point mass for local weights.
        role: "weight" or "gate"; by default "gate" for gate laws and "weight" otherwise.
        shared: Whether to draw one ordinary sample at once, for all uses.
        batch_dim: The dimension of activations that counts examples.

    Example:
        >>> law = Local(torch.distributions.Normal(torch.zeros(3, 2), 1.0))
        >>> weight = law.rsample()
        >>> weight.shape
        torch.Size([3, 2])
        >>> torch.nn.functional.linear(torch.ones(5, 2), weight).shape
        torch.Size([5, 3])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_rsample = True

    def __init__(
        self,
        law: Distribution,
        role: str | None = None,
        shared: bool = False,
        batch_dim: int = 0,
    ) -> None:
        if not isinstance(law, Distribution):
            raise TypeError(
                f"Local wraps a law (a torch or Pyro distribution), got {type(law).__name__}. "
                "Build the law first, e.g. `Normal(loc, scale)`."
            )
        if not law.has_rsample:
            raise ValueError(
                f"Local needs a law with rsample, got {type(law).__name__}, which has none. "
                "Sample it without Local."
            )
        if role is None:
            role = "gate" if isinstance(peel(law), Gate) else "weight"
        if role not in ("weight", "gate"):
            raise ValueError(f"The role of a Local law is 'weight' or 'gate', got {role!r}.")
        if batch_dim < 0:
            raise ValueError(f"batch_dim counts from the left and is at least 0, got {batch_dim}.")

        self.law = law
        self.role = role
        self.shared = shared
        self.batch_dim = batch_dim
        super().__init__(law.batch_shape, law.event_shape, validate_args=False)

    def __repr__(self) -> str:
        return f"Local({self.law}, role={self.role!r})"

    @property
    def support(self) -> constraints.Constraint | None:
        return self.law.support

    @property
    def mean(self) -> Tensor:
        return self.law.mean

    @property
    def variance(self) -> Tensor:
        return self.law.variance

    def expand(self, batch_shape: Shape, _instance: Any = None) -> "Local":
        return Local(self.law.expand(batch_shape), self.role, self.shared, self.batch_dim)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        if self.shared or sample_shape:
            value = self.law.rsample(torch.Size(sample_shape))
            if self.role == "weight":
                mark_weight(value)
            return value

        factor = Factor(
            Draw(peel(self.law), self.batch_dim), self.law.batch_shape + self.event_shape
        )
        if self.role == "weight":
            return defer(None, factor, ())
        return defer(None, None, (factor,))

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        return self.law.sample(torch.Size(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        return self.law.log_prob(value)

    def entropy(self) -> Tensor:
        return self.law.entropy()


def peel(law: Distribution) -> Distribution:
    r"""The elementwise law inside any nesting of `to_event`, `mask` and `Local`.

    Args:
        law: Any torch distribution.
    """

    while True:
        if isinstance(law, (Independent, MaskedDistribution)):
            law = law.base_dist
        elif isinstance(law, Local):
            law = law.law
        else:
            return law


@register_kl(Local, Distribution)
@register_kl(Local, L0)
@register_kl(Local, L2)
def _local_any(q: Local, p: Distribution) -> Tensor:
    """KL(Local(q) || p) = KL(q || p): when a sample is drawn does not change its law."""
    return kl_divergence(q.law, p)
