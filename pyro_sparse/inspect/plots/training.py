"""Pictures of a training run: error against sparsity, and the cost of a forward pass."""

__all__ = ["expected_macs", "training_curves"]

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyro_sparse.inspect.plots.style import (
    ACCENT,
    COLOURS,
    Data,
    Sites,
    at_epochs,
    legend,
    line,
    log_ticks,
    new_axes,
    per_site,
    to_array,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray


def training_curves(
    error: Data,
    sparsity: Data,
    epochs: Sequence[float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Test error (solid, left axis) and sparsity (dashed, right axis) against epochs.

    Args:
        error: Share of wrong answers in [0, 1], one an epoch.
        sparsity: Share of weights gone in [0, 1], one an epoch.
        epochs: The epoch of each entry; 1, 2, ... by default.
        ax: Axes of the error; new ones by default. The sparsity has a twin of them.
    """
    wrong, gone = _share(error, "error"), _share(sparsity, "sparsity")

    if len(wrong) != len(gone):
        raise ValueError(f"error has {len(wrong)} epochs, but sparsity has {len(gone)}")

    times = at_epochs(epochs, len(wrong))
    ax = new_axes(ax, "Training", "epoch", "error (%)", (6.4, 3.6))
    ax.plot(times, 100 * wrong, color=COLOURS[0], linewidth=1.6)
    ax.set_ylim(bottom=0)
    ax.yaxis.label.set_color(COLOURS[0])

    twin = ax.twinx()
    twin.plot(times, 100 * gone, color=ACCENT, linewidth=1.6, linestyle="--")
    twin.set_ylim(0, 100)
    twin.set_ylabel("weights gone (%), dashed", color=ACCENT)
    twin.spines["top"].set_visible(False)

    return ax


def expected_macs(
    history: Sites,
    dense: float | None = None,
    epochs: Sequence[float] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Expected multiply-accumulates of one example against epochs, one line a method.

    Args:
        history: Expected MACs per epoch for each method.
        dense: MACs of the dense network, a grey line.
        epochs: The epoch of each entry; 1, 2, ... by default.
        ax: Axes to draw on; new ones by default.
    """
    methods = per_site(history, "history")
    ax = new_axes(ax, "Cost of a forward pass", "epoch", "expected MACs per example", (6.4, 3.6))

    for index, (name, values) in enumerate(methods.items()):
        if values.min() <= 0:
            raise ValueError(f"MACs must be positive, but history[{name!r}] has {values.min():g}")

        ax.plot(at_epochs(epochs, len(values)), values, label=name, **line(index))

    if dense is not None:
        ax.axhline(dense, color="0.5", linewidth=1.2, label="dense")

    log_ticks(ax, "y")
    legend(ax)

    return ax


def _share(values: Data, name: str) -> "ndarray":
    array = to_array(values, name)

    if array.min() < 0 or array.max() > 1:
        raise ValueError(
            f"{name} must be a share in [0, 1], but it spans "
            f"[{array.min():g}, {array.max():g}]; divide percents by 100"
        )

    return array
