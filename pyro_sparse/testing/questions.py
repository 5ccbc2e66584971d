"""What a law can be asked."""

__all__ = ["Question", "questions", "samplers"]

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.gate import Gate
from pyro_sparse.testing.cases import LawCase

Question = Callable[[Any, Tensor], Tensor]


def questions(case: LawCase) -> dict[str, Question]:
    """Functions of a law and a value `(*batch)`, by name, that give numbers `(*batch)`.

    Those that the case skips are left out: the mean and variance with `moments_match_density`,
    the cdf with `cdf_matches_density`, the icdf with `icdf_inverts_cdf`.
    """
    asked: dict[str, Question] = {"log_prob": lambda law, value: law.log_prob(value)}
    if "cdf_matches_density" not in case.skip:
        asked["cdf"] = lambda law, value: law.cdf(value)
    if "icdf_inverts_cdf" not in case.skip:
        asked["icdf"] = lambda law, value: law.icdf(torch.full_like(value, 0.3))
    if "moments_match_density" not in case.skip:
        asked |= {"mean": lambda law, _: law.mean, "variance": lambda law, _: law.variance}
    if isinstance(case.law(), Gate):
        asked |= {
            "prob_active": lambda law, _: law.prob_active,
            "active_logits": lambda law, _: law.active_logits,
            "deterministic": lambda law, _: law.deterministic,
        }

    return asked


def samplers(law: Distribution) -> dict[str, Callable[..., Tensor]]:
    """The methods that draw from a law, by name: `sample`, and `rsample` if it has one."""
    return {name: getattr(law, name) for name in ("sample", "rsample")[: 1 + law.has_rsample]}
