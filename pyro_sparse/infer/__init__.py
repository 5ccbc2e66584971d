r"""Inference: the evidence lower bound, and predictions from a posterior."""

__all__ = ["Parts", "TraceSparse_ELBO"]

from pyro_sparse.infer.elbo import Parts, TraceSparse_ELBO
