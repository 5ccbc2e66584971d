r"""Predictions with their uncertainty taken apart."""

__all__ = ["Classification", "Regression"]

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Classification:
    r"""Predicted classes; entropies in nats.

    .. math::
        H\big[E_w\, p(y|w)\big] = I[y; w] + E_w\, H\big[p(y|w)\big]

    the total uncertainty is the epistemic part, on which the networks disagree and which more
    data would remove, plus the aleatoric part, which each network states itself.

    References:
        Decomposition of Uncertainty in Bayesian Deep Learning for Efficient and Risk-sensitive
        Learning (Depeweg et al., 2018) https://arxiv.org/abs/1710.07283

    Args:
        probs: Mean class probabilities, `(N, *, classes)`.
        aleatoric: Expected entropy :math:`E_w H[p(y|w)]`, `(N, *)`.
        draws: Class probabilities of each network, `(num_samples, N, *, classes)`, if asked for.
    """

    probs: Tensor
    aleatoric: Tensor
    draws: Tensor | None = None

    @property
    def labels(self) -> Tensor:
        r"""The most probable classes, `(N, *)`."""

        return self.probs.argmax(-1)

    @property
    def total(self) -> Tensor:
        r"""Entropy of the mean probabilities, `(N, *)`."""

        return torch.special.entr(self.probs).sum(-1)

    @property
    def epistemic(self) -> Tensor:
        r"""Mutual information of class and network, `(N, *)`."""

        return (self.total - self.aleatoric).clamp_min(0.0)


@dataclass(frozen=True)
class Regression:
    r"""Predicted responses.

    .. math::
        V[y] = V_w\big[E[y|w]\big] + E_w\big[V[y|w]\big]

    References:
        Decomposition of Uncertainty in Bayesian Deep Learning for Efficient and Risk-sensitive
        Learning (Depeweg et al., 2018), https://arxiv.org/abs/1710.07283

    Args:
        mean: Mean response, `(N, *)`.
        epistemic: Variance of the networks' means, `(N, *)`.
        noise: Mean of the networks' noise variances, `(N, *)`.
        draws: Means of each network, `(num_samples, N, *)`, if asked for.
    """

    mean: Tensor
    epistemic: Tensor
    noise: Tensor
    draws: Tensor | None = None

    @property
    def variance(self) -> Tensor:
        r"""Total variance of a new response, `(N, *)`."""

        return self.epistemic + self.noise
