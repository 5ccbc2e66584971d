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
    check_shares,
    legend,
    line,
    log_ticks,
    new_axes,
    per_site,
    size_beside,
    to_array,
    whole_epochs,
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
    whole_epochs(ax)
    ax.plot(times, 100 * wrong, **line(0, len(times)))
    ax.set_ylim(bottom=0)
    ax.yaxis.label.set_color(COLOURS[0])

    twin = ax.twinx()
    twin.plot(times, 100 * gone, **line(0, len(times)) | {"color": ACCENT, "linestyle": "--"})
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
    size = size_beside(methods)
    ax = new_axes(ax, "Cost of a forward pass", "epoch", "expected MACs per example", size)
    whole_epochs(ax)

    for index, (name, values) in enumerate(methods.items()):
        if values.min() <= 0:
            raise ValueError(f"MACs must be positive, but history[{name!r}] has {values.min():g}")

        times = at_epochs(epochs, len(values))
        ax.plot(times, values, label=name, **line(index, len(times)))

    if dense is not None:
        ax.axhline(dense, color="0.5", linewidth=1.2, label="dense")

    log_ticks(ax, "y")
    legend(ax)

    return ax


def _share(values: Data, name: str) -> "ndarray":
    array = to_array(values, name)
    check_shares(array, name, "divide percents by 100")
    return array
