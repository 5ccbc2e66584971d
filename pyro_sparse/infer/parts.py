r"""What an evaluation of the bound is made of."""

__all__ = ["Parts"]

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Parts:
    r"""What the last evaluation of the bound was made of, averaged over particles.

    Args:
        log_likelihood: Expected log-likelihood, a scalar in nats, detached.
        kl: Divergence per site, scalars in nats, before `kl_weight`, detached.
        analytic: Per site, whether a rule gave the divergence; otherwise one draw estimated it.
        noise: Per local site, how it was drawn: "local", "per example (n)" or "global".
    """

    log_likelihood: Tensor
    kl: dict[str, Tensor] = field(default_factory=dict)
    analytic: dict[str, bool] = field(default_factory=dict)
    noise: dict[str, str | None] = field(default_factory=dict)

    @staticmethod
    def mean(parts: "Sequence[Parts]") -> "Parts":
        r"""The mean over particles."""

        first = parts[0]
        if len(parts) == 1:
            return first

        log_likelihood = torch.stack([part.log_likelihood for part in parts]).mean()
        kl = {site: torch.stack([part.kl[site] for part in parts]).mean() for site in first.kl}
        return Parts(log_likelihood, kl, first.analytic, first.noise)
