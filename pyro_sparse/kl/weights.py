"""Divergences of weights, and of scales of groups of weights, from their priors."""

__all__: list[str] = []

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Normal, register_kl

from pyro_sparse.distributions import LogUniform
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
