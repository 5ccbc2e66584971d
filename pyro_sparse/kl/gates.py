"""Divergences between gates, and from a gate to a coin."""

__all__: list[str] = []

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, register_kl

from pyro_sparse.distributions import Gate, Rectified


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
        2018), https://arxiv.org/abs/1712.01312
    """
    log_open, log_closed = _bernoulli_logs(p)
    logits = q.active_logits
    return _surprise(logits, log_open) + _surprise(-logits, log_closed)


def _surprise(logits: Tensor, log_p: Tensor) -> Tensor:
    prob = torch.sigmoid(logits)
    ratio = F.logsigmoid(logits) - log_p
    # An outcome that q excludes costs nothing, even where p excludes it too.
    return prob * torch.where(prob > 0, ratio, torch.zeros_like(ratio))


def _bernoulli_logs(p: Bernoulli) -> tuple[Tensor, Tensor]:
    # Torch keeps the other parameter too, once somebody asked for it, and that one is rounded.
    if vars(p).get("probs") is p._param:
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
    q = q.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))
    nodes, weights = q.interior_nodes()
    log_q, log_p = q.log_prob(nodes), p.log_prob(nodes)
    inside = (weights * _share(log_q, log_p)).sum(0)
    zero = _share(q.log_prob_zero, p.log_prob_zero)
    return inside + zero + _share(q.log_prob_one, p.log_prob_one)


def _share(log_q: Tensor, log_p: Tensor) -> Tensor:
    """q (log q - log p), and 0 with no gradient where q itself is 0."""
    occurs = log_q.exp() > 0
    log_q, log_p = (torch.where(occurs, x, torch.zeros_like(x)) for x in (log_q, log_p))
    return torch.where(occurs, log_q.exp() * (log_q - log_p), torch.zeros_like(log_q))
