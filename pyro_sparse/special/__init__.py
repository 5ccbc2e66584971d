"""Numbers: special functions with gradients, stable in single precision."""

__all__ = [
    "dawson",
    "dawson_ratio",
    "gauss_legendre",
    "log1mexp",
    "log_ndtr_difference",
    "log_ndtr_tail",
    "log_uniform_kl",
    "log_uniform_kl_fit",
    "ndtr",
    "ndtri_between",
]

from pyro_sparse.special.log_uniform import (
    dawson,
    dawson_ratio,
    log_uniform_kl,
    log_uniform_kl_fit,
)
from pyro_sparse.special.normal import (
    log1mexp,
    log_ndtr_difference,
    log_ndtr_tail,
    ndtr,
    ndtri_between,
)
from pyro_sparse.special.quadrature import gauss_legendre
