"""Divergences of positive scales and multiplicative noise from their priors."""

__all__: list[str] = []

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Gamma, HalfCauchy, InverseGamma, LogNormal, register_kl

from pyro_sparse.distributions import TruncatedLogNormal, TruncatedLogUniform
from pyro_sparse.special import gauss_legendre

LOG_ROOT_TWO_PI_E = math.log(2 * math.pi * math.e) / 2
NODES, REACH = 128, 8.0


@register_kl(TruncatedLogNormal, TruncatedLogUniform)
def _truncated(q: TruncatedLogNormal, p: TruncatedLogUniform) -> Tensor:
    r"""Truncated log-normal against truncated log-uniform, exact.

    .. math::
        \log(b - a) - \tfrac12 \log(2 \pi e) - \log\sigma - \log Z
        - \frac{\alpha\phi(\alpha) - \beta\phi(\beta)}{2 Z}

    where [a, b] are the bounds of log theta, alpha and beta the same in standard units,
    :math:`(a - \mu) / \sigma` and :math:`(b - \mu) / \sigma`, and Z is the mass of the normal
    between them. Infinite where the interval of q reaches beyond that of p.

    References:
        Structured Bayesian Pruning via Log-Normal Multiplicative Noise (Neklyudov, Molchanov,
        Ashukha, Vetrov, 2017), https://arxiv.org/abs/1705.07283
    """
    covered = p.low <= q.low and q.high <= p.high
    kl = (math.log(p.high - p.low) if covered else math.inf) - q.log_entropy
    return kl.expand(torch.broadcast_shapes(q.batch_shape, p.batch_shape))


@register_kl(LogNormal, Gamma)
def _log_normal_gamma(q: LogNormal, p: Gamma) -> Tensor:
    r"""Log-normal against gamma with concentration a and rate b, exact.

    .. math::
        \log\Gamma(a) - a \log b - a \mu + b\, e^{\mu + \sigma^2/2}
        - \log\sigma - \tfrac12 \log(2 \pi e)

    With a = 1/2 one half of a half-Cauchy scale, whose square is gamma times inverse gamma.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665
    """
    a, b = p.concentration, p.rate
    expected = b * torch.exp(q.loc + q.scale.square() / 2)
    return _log_partition(a, b) - a * q.loc + expected - q.scale.log() - LOG_ROOT_TWO_PI_E


@register_kl(LogNormal, InverseGamma)
def _log_normal_inverse_gamma(q: LogNormal, p: InverseGamma) -> Tensor:
    r"""Log-normal against inverse gamma with concentration a and rate b, exact.

    .. math::
        \log\Gamma(a) - a \log b + a \mu + b\, e^{\sigma^2/2 - \mu}
        - \log\sigma - \tfrac12 \log(2 \pi e)

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665
    """
    a, b = p.concentration, p.rate
    expected = b * torch.exp(q.scale.square() / 2 - q.loc)
    return _log_partition(a, b) + a * q.loc + expected - q.scale.log() - LOG_ROOT_TWO_PI_E


@register_kl(LogNormal, HalfCauchy)
def _log_normal_half_cauchy(q: LogNormal, p: HalfCauchy) -> Tensor:
    r"""Log-normal against half-Cauchy with scale tau, by 128 fixed nodes within 8 deviations.

    .. math::
        \log\frac{\pi\tau}{2} + E \log\left(1 + \frac{z^2}{\tau^2}\right)
        - \mu - \log\sigma - \tfrac12 \log(2 \pi e)

    where z has the log-normal law. Off by less than 1e-6 while sigma is below 3, and 1e-3 below
    10. Never above the sum of the divergences of the half-Cauchy's two factors, gamma and
    inverse gamma.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665
    """
    nodes, weights = gauss_legendre(NODES, q.loc.dtype, q.loc.device)
    noise = REACH * (2 * nodes - 1)
    density = 2 * REACH * weights * torch.exp(-noise.square() / 2) / math.sqrt(2 * math.pi)

    log_ratio = (q.loc - p.scale.log()).unsqueeze(-1) + q.scale.unsqueeze(-1) * noise
    expected = (density * F.softplus(2 * log_ratio)).sum(-1)
    log_tau = p.scale.log() + math.log(math.pi / 2)
    return log_tau + expected - q.loc - q.scale.log() - LOG_ROOT_TWO_PI_E


def _log_partition(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) - a * b.log()
