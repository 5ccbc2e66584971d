"""Looking at a posterior: ArviZ, pictures, calibration."""

__all__ = ["calibration_scores", "ood_detection", "plots", "reliability", "risk_coverage"]

from pyro_sparse.inspect import plots
from pyro_sparse.inspect.calibration import (
    calibration_scores,
    ood_detection,
    reliability,
    risk_coverage,
)
