"""Divergences for sparsity: every rule registered with torch, so that every ELBO sees them.

Importing this module registers the rules. Each returns the batch shape, elementwise where the
law is, and reads no value in Python, so that it can be traced and compiled.
"""

__all__: list[str] = []

import torch
import torch.nn.functional as F
from pyro.distributions import Delta, MaskedDistribution
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal, register_kl

from pyro_sparse.distributions import L0, L2, Gate, LogUniform, Rectified
from pyro_sparse.special import log_uniform_kl

FIT = 0.63576, 1.87320, 1.48695


@register_kl(Normal, LogUniform)
def _normal_log_uniform(q: Normal, p: LogUniform) -> Tensor:
    r"""Normal against log-uniform, fitted or exact, and 0 at infinite dropout rate.

    .. math::
        \mathrm{fit:}\quad & k_1 - k_1 \sigma(k_2 + k_3 \log\alpha) + \tfrac12 \log(1 + 1/\alpha),
            \qquad k = (0.63576, 1.87320, 1.48695) \\
        \mathrm{exact:}\quad & 2 \int_0^{\sqrt u} D(t)\,dt, \qquad u = \frac{1}{2\alpha}
            = \frac{\mu^2}{2\sigma^2}

    The fit is off by at most 0.0094, at log alpha = -3.5. Both are computed from u, so the
    gradient at :math:`\mu = 0` is 0 and not undefined.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        eq. 14, https://arxiv.org/abs/1701.05369
        Variational Gaussian Dropout is not Bayesian (Hron, Matthews, Ghahramani, 2017),
        https://arxiv.org/abs/1711.02989
    """
    u = (q.loc / q.scale).square() / 2
    kl = log_uniform_kl(u) if p.kl == "exact" else _log_uniform_fit(u)
    return kl.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))


def _log_uniform_fit(u: Tensor) -> Tensor:
    k1, k2, k3 = FIT
    log_alpha = -(2 * u).clamp(min=torch.finfo(u.dtype).tiny).log()
    return k1 * torch.sigmoid(-k2 - k3 * log_alpha) + 0.5 * torch.log1p(2 * u)


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


@register_kl(Gate, L0)
def _gate_l0(q: Gate, p: L0) -> Tensor:
    r"""Any gate against the L0 penalty: the expected cost :math:`\lambda P(z \ne 0)`, exact.

    For a mixture gate P is the probability of its active component, which makes this a relaxed
    penalty.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), eq. 9, https://arxiv.org/abs/1712.01312
    """
    return p.penalty * q.prob_active


@register_kl(Delta, L0)
def _delta_l0(q: Delta, p: L0) -> Tensor:
    """A point against the L0 penalty: its cost, exact, without gradient.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    return p.energy(q.v)


@register_kl(Distribution, L2)
@register_kl(Delta, L2)
def _second_moment_l2(q: Distribution, p: L2) -> Tensor:
    r"""Any law with a second moment against the L2 penalty: :math:`\lambda E[w^2] / 2`, exact.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), section 2.2, https://arxiv.org/abs/1712.01312
    """
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"A divergence needs equal event shapes, got {tuple(q.event_shape)} and "
            f"{tuple(p.event_shape)}. Call `.to_event(n)` on both laws."
        )

    return p.penalty * (q.mean.square() + q.variance) / 2


@register_kl(MaskedDistribution, L2)
def _masked_l2(q: MaskedDistribution, p: L2) -> Tensor:
    """A masked law against the L2 penalty: nothing where the mask is off.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    kl = _second_moment_l2(q.base_dist, p)
    return torch.where(torch.as_tensor(q._mask, device=kl.device), kl, torch.zeros_like(kl))


@register_kl(Gate, Bernoulli)
def _gate_bernoulli(q: Gate, p: Bernoulli) -> Tensor:
    r"""Any gate against a coin: the divergence of the coin "the gate is open".

    .. math::
        \pi \log\frac{\pi}{p} + (1 - \pi) \log\frac{1 - \pi}{1 - p}, \qquad \pi = P(z \ne 0)

    For a gate with an atom at 0 this is exact against the prior (1 - p) delta(0) + p slab whose
    slab is the gate's own law given that it is open, learnt freely. For a mixture gate it bounds
    the divergence to (1 - p) off + p on from above. Computed from log odds.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), appendix A, https://arxiv.org/abs/1712.01312
    """
    log_open, log_closed = _bernoulli_logs(p)
    logits = q.active_logits

    cross_open = torch.sigmoid(logits) * (F.logsigmoid(logits) - log_open)
    cross_closed = torch.sigmoid(-logits) * (F.logsigmoid(-logits) - log_closed)
    return cross_open + cross_closed


def _bernoulli_logs(p: Bernoulli) -> tuple[Tensor, Tensor]:
    if "probs" in p.__dict__:
        return p.probs.log(), torch.log1p(-p.probs)

    return F.logsigmoid(p.logits), F.logsigmoid(-p.logits)


@register_kl(Rectified, Rectified)
def _rectified_rectified(q: Rectified, p: Rectified) -> Tensor:
    r"""Two clipped laws: the atoms in closed form, the inside by 64 fixed nodes.

    .. math::
        \sum_{a \in \{0, 1\}} q(a) \log\frac{q(a)}{p(a)} + \int_0^1 q(z) \log\frac{q(z)}{p(z)} dz

    The nodes are those of q (`interior_nodes`), set where its density is smooth.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    nodes, weights = q.interior_nodes()
    log_q, log_p = q.log_prob(nodes), p.log_prob(nodes)
    inside = (weights * log_q.exp() * (log_q - log_p)).sum(0)

    zero = q.log_prob_zero.exp() * (q.log_prob_zero - p.log_prob_zero)
    one = q.log_prob_one.exp() * (q.log_prob_one - p.log_prob_one)
    return inside + zero + one
