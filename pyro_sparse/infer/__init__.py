r"""Inference: the evidence lower bound, training, and predictions from a posterior."""

__all__ = [
    "Budget",
    "CheckpointWarning",
    "Classification",
    "CompileWarning",
    "DivergedError",
    "Parts",
    "Regression",
    "TraceSparse_ELBO",
    "Training",
    "TrainingStep",
    "UntraceableError",
    "fit",
    "global_draws",
    "lightning_module",
    "pareto",
    "predict",
    "schedules",
    "sweep",
]

from pyro_sparse.infer import schedules
from pyro_sparse.infer.budget import Budget
from pyro_sparse.infer.checkpoint import CheckpointWarning
from pyro_sparse.infer.compiled import CompileWarning
from pyro_sparse.infer.draws import global_draws
from pyro_sparse.infer.elbo import TraceSparse_ELBO
from pyro_sparse.infer.fit import fit
from pyro_sparse.infer.graph import UntraceableError
from pyro_sparse.infer.health import DivergedError
from pyro_sparse.infer.lightning import lightning_module
from pyro_sparse.infer.parts import Parts
from pyro_sparse.infer.predict import predict
from pyro_sparse.infer.prediction import Classification, Regression
from pyro_sparse.infer.step import TrainingStep
from pyro_sparse.infer.sweep import pareto, sweep
from pyro_sparse.infer.training import Training
