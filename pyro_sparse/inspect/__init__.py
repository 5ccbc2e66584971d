"""Looking at a posterior: ArviZ, tables, pictures, calibration."""

__all__ = [
    "calibration_scores",
    "gate_table",
    "load_arviz",
    "ood_detection",
    "plots",
    "reliability",
    "report",
    "risk_coverage",
    "save_arviz",
    "to_arviz",
]

from pyro_sparse.inspect import plots
from pyro_sparse.inspect.arviz import to_arviz
from pyro_sparse.inspect.calibration import (
    calibration_scores,
    ood_detection,
    reliability,
    risk_coverage,
)
from pyro_sparse.inspect.container import load_arviz, save_arviz
from pyro_sparse.inspect.gates import gate_table
from pyro_sparse.inspect.report import report
