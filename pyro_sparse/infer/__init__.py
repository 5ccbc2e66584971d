r"""Inference: the evidence lower bound, and predictions from a posterior."""

__all__ = [
    "Classification",
    "CompileWarning",
    "Parts",
    "Regression",
    "TraceSparse_ELBO",
    "UntraceableError",
    "global_draws",
    "predict",
]

from pyro_sparse.infer.compiled import CompileWarning
from pyro_sparse.infer.draws import global_draws
from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.graph import UntraceableError
from pyro_sparse.infer.parts import Parts
from pyro_sparse.infer.predict import predict
from pyro_sparse.infer.prediction import Classification, Regression
