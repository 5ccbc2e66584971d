"""Numbers: special functions with gradients, stable in single precision."""

__all__ = ["dawson", "dawson_ratio", "gauss_legendre", "log_uniform_kl"]

from pyro_sparse.special.log_uniform import dawson, dawson_ratio, log_uniform_kl
from pyro_sparse.special.quadrature import gauss_legendre
