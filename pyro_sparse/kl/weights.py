"""Divergences of weights, and of scales of groups of weights, from their priors."""

__all__ = ["empirical_kl"]

import math

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Normal, register_kl

from pyro_sparse.distributions import EmpiricalNormal, GroupGaussianMixture, LogUniform
from pyro_sparse.special import log_uniform_kl, log_uniform_kl_fit


@register_kl(Normal, LogUniform)
def _normal_log_uniform(q: Normal, p: LogUniform) -> Tensor:
    r"""Normal against log-uniform, fitted or exact, and 0 at infinite dropout rate.

    .. math::
        \mathrm{fit:}\quad & k_1 - k_1 \sigma(k_2 + k_3 \log\alpha) + \tfrac12 \log(1 + 1/\alpha),
            \qquad k = (0.63576, 1.87320, 1.48695) \\
        \mathrm{exact:}\quad & 2 \int_0^{\sqrt u} D(t)\,dt, \qquad u = \frac{1}{2\alpha}
            = \frac{\mu^2}{2\sigma^2}

    where :math:`\alpha = \sigma^2 / \mu^2` and D is Dawson's function. The fit is off by at most
    0.0094, at log alpha = -3.5. Both are computed from u, so the gradient at :math:`\mu = 0` is
    0 and not undefined.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369
        Variational Gaussian Dropout is not Bayesian (Hron, Matthews, Ghahramani, 2017),
        https://arxiv.org/abs/1711.02989
    """
    ratio = q.loc / q.scale
    exact = p.kl == "exact"
    kl = log_uniform_kl(ratio.square() / 2) if exact else log_uniform_kl_fit(ratio)
    return kl.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))


@register_kl(Delta, LogUniform)
def _delta_log_uniform(q: Delta, p: LogUniform) -> Tensor:
    """Refused: log |w| is unbounded below, so no point mass is worse than the one at 0.

    References:
        Variational Gaussian Dropout is not Bayesian (Hron, Matthews, Ghahramani, 2017),
        https://arxiv.org/abs/1711.02989
    """
    raise TypeError(
        "A point mass has no useful divergence to LogUniform: log|w| is unbounded below at 0. "
        "Use a Normal in the guide, or an L2 penalty as the prior."
    )


@register_kl(Normal, EmpiricalNormal)
def _normal_empirical(q: Normal, p: EmpiricalNormal) -> Tensor:
    r"""Normal against the zero-mean normal that fits it best, exact.

    .. math::
        \tfrac12 \left[ \log\frac{v_g}{\sigma^2} + \frac{\mu^2 + \sigma^2}{v_g} - 1 \right]

    where :math:`v_g` is the mean of :math:`\mu^2 + \sigma^2` over the group. Elementwise, although
    the variance of a group depends on all its weights; a group's sum is half the sum of
    :math:`\log(v_g / \sigma_j^2)`, and a weight with a variance of its own contributes half of
    :math:`\log(1 + \mu^2 / \sigma^2)`.

    References:
        Variational Dropout via Empirical Bayes (Kharitonov, Molchanov, Vetrov, 2018),
        https://arxiv.org/abs/1811.00596
    """
    return empirical_kl(q, p)


@register_kl(Delta, EmpiricalNormal)
def _delta_empirical(q: Delta, p: EmpiricalNormal) -> Tensor:
    """Refused: the variance that fits points best falls with them, without end.

    References:
        Variational Dropout via Empirical Bayes (Kharitonov, Molchanov, Vetrov, 2018),
        https://arxiv.org/abs/1811.00596
    """
    raise TypeError(
        "A point mass has no useful divergence to EmpiricalNormal: its density grows without end "
        "as the points go to 0. Use a Normal in the guide, or an L2 penalty as the prior."
    )


def empirical_kl(q: Normal, p: EmpiricalNormal, weights: Tensor | None = None) -> Tensor:
    r"""Divergence of a normal from `EmpiricalNormal`, where weights may count in part.

    Weights behind a gate do. The variance of a group is then the weighted mean of the expected
    squares, which minimises the *weighted* sum of the result. The result itself is not weighted:
    an ELBO multiplies it by the probability of the gate, as it does with every other divergence.

    References:
        Variational Dropout via Empirical Bayes (Kharitonov, Molchanov, Vetrov, 2018),
        https://arxiv.org/abs/1811.00596

    Args:
        q: the posterior, elementwise, `(*batch)`.
        p: the prior.
        weights: mask times `prob_active` of the gating site, broadcastable to `(*batch)`.
    """
    q = q.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))
    ratio = (q.loc / q.scale).square()
    if not p.groups:
        return torch.log1p(ratio) / 2

    square = q.loc.square() + q.scale.square()
    variance = p.best_variance(square, weights)
    return (torch.log(variance) - 2 * q.scale.log() + square / variance - 1) / 2


@register_kl(Normal, GroupGaussianMixture)
def _normal_mixture(q: Normal, p: GroupGaussianMixture) -> Tensor:
    r"""Normal against a two-component normal mixture: an upper bound.

    .. math::
        -\tfrac12 \log(2 \pi e \sigma^2) - \log p(\tilde w), \qquad
        \tilde w = \sqrt{\mu^2 + \sigma^2}

    By Jensen's inequality :math:`E_q \log p(w) \ge \log p(\tilde w)`, because the log of the
    mixture is a convex function of :math:`w^2`. The rule thus lies above the divergence, and an
    ELBO with it still lies below the evidence. Exact where both components agree.

    References:
        Maximum Likelihood from Incomplete Data via the EM Algorithm (Dempster, Laird, Rubin,
        1977), https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
    """
    q = q.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))
    square = q.loc.square() + q.scale.square()
    entropy = q.scale.log() + math.log(2 * math.pi * math.e) / 2
    return -entropy - p.log_prob_of_square(square)
