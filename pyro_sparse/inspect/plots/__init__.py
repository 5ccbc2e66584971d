"""Pictures: one function each, which takes and returns matplotlib axes."""

__all__ = [
    "architecture_bars",
    "expected_macs",
    "gate_histories",
    "gate_probabilities",
    "input_pixels",
    "log_alpha_histogram",
    "reliability_diagram",
    "training_curves",
    "weights_before_after",
]

from pyro_sparse.inspect.plots.calibration import reliability_diagram
from pyro_sparse.inspect.plots.gates import (
    gate_histories,
    gate_probabilities,
    log_alpha_histogram,
)
from pyro_sparse.inspect.plots.training import expected_macs, training_curves
from pyro_sparse.inspect.plots.weights import (
    architecture_bars,
    input_pixels,
    weights_before_after,
)
