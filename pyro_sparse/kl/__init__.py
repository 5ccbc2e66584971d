"""Divergences for sparsity: every rule registered with torch, so that every ELBO sees them.

Importing this folder registers the rules. Each returns the batch shape, elementwise where the
law is, and reads no value in Python, so that it can be traced and compiled.
"""

__all__ = ["empirical_kl", "gates", "penalties", "scales", "weights"]

from pyro_sparse.kl import gates, penalties, scales, weights
from pyro_sparse.kl.weights import empirical_kl
