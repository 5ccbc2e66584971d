"""Expected energies under the penalties; no entropy term, as `Penalty` explains."""

__all__: list[str] = []

import torch
from pyro.distributions import Delta, MaskedDistribution
from torch import Tensor
from torch.distributions import Distribution, kl_divergence, register_kl

from pyro_sparse.distributions import L0, L2, Gate


@register_kl(Gate, L0)
def _gate_l0(q: Gate, p: L0) -> Tensor:
    r"""Any gate against the L0 penalty: the expected cost :math:`\lambda P(z \ne 0)`, exact.

    For a mixture gate P is the probability of its active component, which makes this a relaxed
    penalty.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    return p.penalty * q.prob_active


@register_kl(Delta, L0)
@register_kl(Delta, L2)
def _delta_penalty(q: Delta, p: L0 | L2) -> Tensor:
    """A point against a penalty: its energy, exact; that of L0 has no gradient.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    return p.energy(q.v)


@register_kl(Distribution, L2)
def _second_moment_l2(q: Distribution, p: L2) -> Tensor:
    r"""Any law with a second moment against the L2 penalty: :math:`\lambda E[w^2] / 2`, exact.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    if q.event_shape != p.event_shape:
        raise ValueError(
            f"A divergence needs equal event shapes, got {tuple(q.event_shape)} and "
            f"{tuple(p.event_shape)}. Call `.to_event(n)` on both laws."
        )

    return p.penalty * (_moment(q, "mean").square() + _moment(q, "variance")) / 2


def _moment(q: Distribution, name: str) -> Tensor:
    try:
        return getattr(q, name)
    except NotImplementedError:
        # Pyro would take this error for a missing rule, and estimate.
        raise TypeError(
            f"The divergence from an L2 penalty is an expected square, and {type(q).__name__} has "
            f"no {name}. Give its class the property, or another prior to its site."
        ) from None


@register_kl(MaskedDistribution, L2)
def _masked_l2(q: MaskedDistribution, p: L2) -> Tensor:
    """A masked law against the L2 penalty: nothing where the mask is off.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    kl = kl_divergence(q.base_dist, p)
    return torch.where(torch.as_tensor(q._mask, device=kl.device), kl, torch.zeros_like(kl))
