"""Pictures that several examples draw of what they trained."""

__all__ = ["draw_architectures", "draw_training"]

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt

from pyro_sparse.guides import AutoSparse
from pyro_sparse.inspect import plots
from pyro_sparse.prune import masks

plt.switch_backend("Agg")


def draw_training(
    guide: AutoSparse, history: Mapping[str, list[float]], pixels: tuple[int, int], path: Path
) -> None:
    """Gates or weights, the inputs that are left, and the way there, side by side.

    Args:
        guide: A trained guide, whose first site belongs to the inputs.
        history: What was seen in training: "epoch", "error" and "alive".
        pixels: Rows and columns of the inputs.
        path: Where the picture goes.
    """
    laws = {site: law.law for site, law in guide.laws().items()}
    gates = {site: law.prob_active for site, law in laws.items() if hasattr(law, "prob_active")}
    first = next(iter(laws))

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.2), layout="tight")
    if gates:
        plots.gate_probabilities(gates, ax=left)
        plots.input_pixels(gates[first], pixels, ax=middle)
    else:
        normal = ((site, law) for site, law in laws.items() if hasattr(law, "scale"))
        plots.log_alpha_histogram(
            {site: 2 * (law.scale.log() - law.loc.abs().log()) for site, law in normal}, ax=left
        )
        plots.input_pixels(masks(guide)[first].any(0), pixels, ax=middle)

    gone = [1 - alive for alive in history["alive"]]
    plots.training_curves(history["error"], gone, history["epoch"], ax=right)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_architectures(architectures: Mapping[str, str], out: Path) -> None:
    """The units of each network, written like 64-300-100, as bars.

    Args:
        architectures: One for each method.
        out: The folder the picture goes to.
    """
    widths = {name: [int(units) for units in a.split("-")] for name, a in architectures.items()}
    figure, axes = plt.subplots(figsize=(6.4, 4.8))
    plots.architecture_bars(widths, ax=axes)
    figure.savefig(out / "architectures.png", dpi=110, bbox_inches="tight")
    plt.close(figure)
