r"""Which weights and groups a posterior allows to be dropped.

A criterion is a function `criterion(law, role, prior)` that returns a Boolean tensor of the
batch shape of `law`, true where the entry is kept. `law` is the posterior of one site without
wrappers, `role` is "weight" or "gate", `prior` is the prior of that site. Any function with this
signature will do; the ones here are those of the papers. Two criteria that disagree have two
names: a hard-concrete gate closes deterministically once P(active) <= 0.310, long after
P(active) < 0.5.
"""

__all__ = [
    "Criterion",
    "auto",
    "by_role",
    "deterministic_gate",
    "dropout_rate",
    "log_alpha",
    "log_mode",
    "nonzero",
    "prob_active",
    "register_criterion",
    "resolve",
    "snr",
    "whole_groups",
]

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import torch
from pyro.distributions import Delta
from torch import Tensor
from torch.distributions import Distribution, LogNormal, Normal

from pyro_sparse.distributions import (
    EmpiricalNormal,
    Gate,
    GroupGaussianMixture,
    LogUniform,
    TruncatedLogNormal,
)

Criterion: TypeAlias = Callable[[Distribution, str, Distribution], Tensor]
r"""What is kept, as a mask `(*batch)`: a function of a site's posterior law, role and prior."""


def deterministic_gate() -> Criterion:
    """Keeps a gate whose test-time value is not 0; says nothing about weights and keeps them.

    The rule of the L0 papers, whose network at test time uses exactly these gates, so nothing
    changes when closed ones are removed. Not for multiplicative scales with a normal posterior
    (use `log_alpha(0)`).

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
    """
    return _deterministic_gate


def prob_active(threshold: float = 0.5) -> Criterion:
    """Keeps a gate that is open with at least this probability; keeps all weights.

    Not the same as `deterministic_gate`: it may close a gate whose test-time value is positive.

    References:
        L0-ARM: Network Sparsification via Stochastic Binary Optimization (Li, Ji, 2019),
        https://arxiv.org/abs/1904.04432

    Args:
        threshold: probability in [0, 1].
    """
    _require_between("prob_active", threshold, 0, 1)
    return partial(_prob_active, threshold)


def log_alpha(threshold: float = 3.0) -> Criterion:
    r"""Keeps a weight whose noise is small: :math:`\log(\sigma^2 / \mu^2)` below the threshold.

    For normal posteriors: 3 on weights is the sparse variational dropout of Molchanov et al., 0
    on multiplicative scales is the information bottleneck of Dai et al. It refuses gates: their
    `logits` are also called log alpha in the papers, but there *high* means open.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369

        Compressing Neural Networks using the Variational Information Bottleneck (Dai, Zhu, Guo,
        Wipf, 2018), https://arxiv.org/abs/1802.10399

    Args:
        threshold: the largest log ratio that is kept, exclusive.
    """
    return partial(_log_alpha, threshold)


def dropout_rate(threshold: float = 0.99) -> Criterion:
    r"""Keeps a weight whose dropout rate :math:`\alpha / (1 + \alpha)` is below the threshold.

    The same order as `log_alpha` on another scale: 0.99 is a log alpha of 4.595, and a log alpha
    of 3 is a rate of 0.953.

    References:
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369

    Args:
        threshold: rate in (0, 1).
    """
    _require_between("dropout_rate", threshold, 0, 1)
    return partial(_log_alpha, torch.logit(torch.tensor(threshold, dtype=torch.double)).item())


def snr(threshold: float = 1.0) -> Criterion:
    r"""Keeps an entry whose signal-to-noise ratio :math:`|E x| / \mathrm{sd}(x)` is above.

    For any law with a mean and a variance, and the rule of structured Bayesian pruning for
    truncated log-normal scales. Not for gates with atoms, whose sd is large while they are open.

    References:
        Structured Bayesian Pruning via Log-Normal Multiplicative Noise (Neklyudov, Molchanov,
        Ashukha, Vetrov, 2017), https://arxiv.org/abs/1705.07283

    Args:
        threshold: ratio; what does not exceed it is dropped.
    """
    return partial(_snr, threshold)


def log_mode(threshold: float) -> Criterion:
    r"""Keeps a log-normal scale whose log mode :math:`\mu - \sigma^2` is above the threshold.

    The rule of the group horseshoe. Its authors set the threshold by looking at a histogram that
    falls into two heaps, so there is no default.

    References:
        Bayesian Compression for Deep Learning (Louizos, Ullrich, Welling, 2017),
        https://arxiv.org/abs/1705.08665

    Args:
        threshold: the largest log mode that is dropped.
    """
    return partial(_log_mode, threshold)


def nonzero() -> Criterion:
    """Keeps an entry whose posterior mean is not exactly 0: for point estimates, `Delta`."""
    return _nonzero


def by_role(weight: "Criterion | str" = "auto", gate: "Criterion | str" = "auto") -> Criterion:
    """One criterion for weights, another for gates.

    Args:
        weight: criterion, or the name of one, for sites whose role is "weight".
        gate: the same for sites whose role is "gate".
    """
    return partial(_by_role, {"weight": resolve(weight), "gate": resolve(gate)})


def whole_groups(
    criterion: "Criterion | str" = "auto", groups: int | tuple[int, ...] = -1
) -> Criterion:
    """Keeps all weights of a group or none: a neuron is irrelevant when all its weights are.

    Where a criterion drops single weights, this one drops a group only if every one of its
    weights would go. Gates, and parameters of one dimension such as biases, keep the criterion
    as it is.

    References:
        Pruning Filters for Efficient ConvNets (Li, Kadav, Durdanovic, Samet, Graf, 2017),
        https://arxiv.org/abs/1608.08710

    Args:
        criterion: criterion of single weights, or the name of one.
        groups: dimensions that a group spans, negative, counted from the right of the weight, as
            in `EmpiricalNormal`: for a linear weight (out, in), `-1` groups the weights into a
            unit and `-2` those out of one.
    """
    return partial(_whole_groups, resolve(criterion), groups)


def auto() -> Criterion:
    """Each kind of site by the rule of the paper it comes from.

    | posterior | role | prior | rule |
    |---|---|---|---|
    | any gate law | any | any | `deterministic_gate()` |
    | normal | gate | any | `log_alpha(0)` |
    | normal | weight | log-uniform, `EmpiricalNormal` | `log_alpha(3)` |
    | normal | weight | `GroupGaussianMixture` | `dropout_rate(0.99)` |
    | `TruncatedLogNormal` | any | any | `snr(1)` |
    | log-normal | any | any | `snr(1)` |
    | delta | any | any | `nonzero()` |
    | any other | | | `nonzero()`: a prior that does not sparsify drops nothing |

    `snr(1)` for log-normal scales is a choice of ours: the paper thresholds by eye (`log_mode`).
    A scale the data says nothing about returns to a log variance of 2 under the half-Cauchy's two
    factors, and there its ratio is 0.4. `register_criterion` adds or replaces a row.
    """
    return _auto


def register_criterion(
    law: type[Distribution],
    criterion: Criterion,
    role: str | None = None,
    prior: type[Distribution] | None = None,
) -> None:
    """Adds a row to the table of `auto`; the row added last is asked first.

    Args:
        law: class of the posterior, with its subclasses.
        criterion: what to do with such a site.
        role: "weight", "gate" or, for both, None.
        prior: class of the prior, or None for any.
    """
    _TABLE.insert(0, (law, role, prior or Distribution, criterion))


def resolve(criterion: Criterion | str) -> Criterion:
    """The criterion of that name with its paper's threshold; a criterion itself passes through.

    Args:
        criterion: a criterion, or a name such as "auto" or "log_alpha".
    """
    if callable(criterion):
        return criterion

    if criterion not in _NAMES:
        raise ValueError(
            f"a criterion is one of {', '.join(sorted(_NAMES))}, or a function of (law, role, "
            f"prior), but got {criterion!r}"
        )

    return _NAMES[criterion]()


def _deterministic_gate(law: Distribution, role: str, prior: Distribution) -> Tensor:
    if not isinstance(law, Gate):
        return _all_weights("deterministic_gate", law, role)

    return law.deterministic != 0


def _prob_active(threshold: float, law: Distribution, role: str, prior: Distribution) -> Tensor:
    if not isinstance(law, Gate):
        return _all_weights("prob_active", law, role)

    return law.prob_active >= threshold


def _all_weights(name: str, law: Distribution, role: str) -> Tensor:
    if role == "gate":
        raise TypeError(
            f"{name} reads gate laws such as HardConcrete, but this gate's posterior is "
            f"{type(law).__name__}. Use criterion='auto', or log_alpha(0) for normal scales."
        )

    return torch.ones(law.batch_shape, dtype=torch.bool, device=law.mean.device)


def _log_alpha(threshold: float, law: Distribution, role: str, prior: Distribution) -> Tensor:
    if isinstance(law, Gate):
        raise TypeError(
            "log_alpha (and dropout_rate) compares the noise of a normal posterior with its mean, "
            f"but this site's posterior is the gate law {type(law).__name__}, whose logits mean "
            "the opposite: high is open. Use deterministic_gate() or prob_active(), or "
            "by_role(weight=log_alpha(), gate=deterministic_gate()) for a guide with both."
        )

    if not isinstance(law, Normal):
        raise TypeError(
            f"log_alpha (and dropout_rate) needs a normal posterior, but got "
            f"{type(law).__name__}. Use snr(), or criterion='auto'."
        )

    return 2 * (law.scale.log() - law.loc.abs().log()) < threshold


def _snr(threshold: float, law: Distribution, role: str, prior: Distribution) -> Tensor:
    own = getattr(law, "snr", None)
    ratio = own if isinstance(own, Tensor) else law.mean.abs() / law.variance.sqrt()
    return ratio > threshold


def _log_mode(threshold: float, law: Distribution, role: str, prior: Distribution) -> Tensor:
    if not isinstance(law, LogNormal):
        raise TypeError(
            f"log_mode needs a log-normal posterior, but got {type(law).__name__}. "
            "Use snr(), or criterion='auto'."
        )

    return law.loc - law.scale.square() > threshold


def _nonzero(law: Distribution, role: str, prior: Distribution) -> Tensor:
    return law.mean != 0


def _by_role(
    criteria: dict[str, Criterion], law: Distribution, role: str, prior: Distribution
) -> Tensor:
    return criteria[role](law, role, prior)


def _whole_groups(
    criterion: Criterion,
    groups: int | tuple[int, ...],
    law: Distribution,
    role: str,
    prior: Distribution,
) -> Tensor:
    kept = criterion(law, role, prior)
    if role == "gate" or kept.ndim < 2:
        return kept

    return kept.any(groups, keepdim=True).expand_as(kept)


def _auto(law: Distribution, role: str, prior: Distribution) -> Tensor:
    for law_type, of_role, prior_type, criterion in _TABLE:
        if isinstance(law, law_type) and isinstance(prior, prior_type) and of_role in (None, role):
            return criterion(law, role, prior)

    return _nonzero(law, role, prior)


def _require_between(name: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high) or math.isnan(value):
        raise ValueError(f"{name} needs a threshold in [{low}, {high}], but got {value}")


_TABLE: list[tuple[type[Distribution], str | None, type[Distribution], Criterion]] = [
    (Gate, None, Distribution, deterministic_gate()),
    (Normal, "gate", Distribution, log_alpha(0.0)),
    (Normal, "weight", LogUniform, log_alpha(3.0)),
    (Normal, "weight", EmpiricalNormal, log_alpha(3.0)),
    (Normal, "weight", GroupGaussianMixture, dropout_rate(0.99)),
    (TruncatedLogNormal, None, Distribution, snr(1.0)),
    (LogNormal, None, Distribution, snr(1.0)),
    (Delta, None, Distribution, nonzero()),
]

_NAMES: dict[str, Callable[[], Criterion]] = {
    "auto": auto,
    "deterministic_gate": deterministic_gate,
    "dropout_rate": dropout_rate,
    "log_alpha": log_alpha,
    "nonzero": nonzero,
    "prob_active": prob_active,
    "snr": snr,
}
