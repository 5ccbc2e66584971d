"""From a posterior to a network that is physically smaller."""

__all__ = [
    "Count",
    "Criterion",
    "auto",
    "by_role",
    "compact",
    "compression",
    "count",
    "deterministic_gate",
    "dropout_rate",
    "expected_macs",
    "freeze",
    "load",
    "log_alpha",
    "log_mode",
    "masks",
    "nonzero",
    "prob_active",
    "register_criterion",
    "resolve",
    "save",
    "snr",
    "to_sparse",
    "variances",
    "whole_groups",
]

from pyro_sparse.prune.compact import compact
from pyro_sparse.prune.count import Count, count
from pyro_sparse.prune.criterion import (
    Criterion,
    auto,
    by_role,
    deterministic_gate,
    dropout_rate,
    log_alpha,
    log_mode,
    nonzero,
    prob_active,
    register_criterion,
    resolve,
    snr,
    whole_groups,
)
from pyro_sparse.prune.expected import expected_macs
from pyro_sparse.prune.freeze import freeze
from pyro_sparse.prune.layout import to_sparse
from pyro_sparse.prune.mask import masks
from pyro_sparse.prune.precision import compression
from pyro_sparse.prune.storage import load, save
from pyro_sparse.prune.variances import variances
