"""Pictures of gates: how sure they are, what they gate away, how they got there."""

__all__ = ["gate_histories", "gate_probabilities", "log_alpha_histogram"]

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from pyro_sparse.inspect.extras import require
from pyro_sparse.inspect.plots.style import (
    COLOURS,
    Data,
    Sites,
    at_epochs,
    check_shares,
    legend,
    line,
    new_axes,
    per_site,
    size_beside,
    to_array,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray


def gate_probabilities(
    probabilities: Sites, threshold: float = 0.5, ax: "Axes | None" = None
) -> "Axes":
    """Every gate of every layer as a dot at its probability of being active.

    A row is a layer; the number at its right says how many gates lie above the
    threshold. The vertical spread inside a row only keeps dots apart.

    Args:
        probabilities: P(active) per gate site, each of any shape.
        threshold: Where the dashed line is drawn.
        ax: Axes to draw on; new ones by default.
    """
    sites = per_site(probabilities, "probabilities")
    width, _ = size_beside(sites)
    ax = new_axes(ax, "Gates", "P(gate active)", "", (width, 1.1 + 0.5 * len(sites)))

    for row, (site, values) in enumerate(sites.items()):
        check_shares(values, f"probabilities[{site!r}]", "take prob_active of the gate's law")
        values = values.ravel()
        spread = _spread(len(values))
        dark = values > threshold

        for chosen, colour in ((dark, COLOURS[0]), (~dark, COLOURS[1])):
            ax.scatter(
                values[chosen],
                row + spread[chosen],
                s=10,
                color=colour,
                alpha=max(0.25, min(0.8, 40 / len(values))),
                linewidths=0,
                clip_on=False,
            )

        label = f"{int(dark.sum())} of {len(values)}"
        ax.text(1.04, row, label, va="center", ha="left", clip_on=False)

    ax.axvline(threshold, color="0.4", linestyle="--", linewidth=1)
    ax.annotate(
        f"above {threshold:g}:",
        (1.04, 1.0),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        color="0.35",
    )
    ax.set_xlim(0, 1)
    ax.set_ylim(len(sites) - 0.5, -0.5)
    ax.set_yticks(range(len(sites)), list(sites))
    ax.grid(False, axis="y")

    return ax


def log_alpha_histogram(
    log_alpha: Sites, threshold: float = 3.0, ax: "Axes | None" = None
) -> "Axes":
    r"""Histogram of :math:`\log \alpha = \log \sigma^2 / \mu^2` per layer with the threshold.

    Weights to the right of the dashed line are noise and are dropped.

    Args:
        log_alpha: log alpha per weight site, each of any shape.
        threshold: Values above it are dropped.
        ax: Axes to draw on; new ones by default.
    """

    import numpy as np

    sites = per_site(log_alpha, "log_alpha")
    ax = new_axes(
        ax,
        "Weights",
        "log alpha = log(variance / mean\N{SUPERSCRIPT TWO})",
        "share (%)",
        size_beside(sites, lines=2),
    )

    # Of each site by itself: a small one is not cut off where a large one ends.
    ends = [np.quantile(values, [0.001, 0.999]) for values in sites.values()]
    low, high = np.min(ends), np.max(ends)
    edges = np.linspace(min(low, threshold) - 1, max(high, threshold) + 1, 61)

    for index, (site, values) in enumerate(sites.items()):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)
        dropped = 100 * float((values > threshold).mean())
        ax.plot(
            (edges[1:] + edges[:-1]) / 2,
            100 * counts / values.size,
            drawstyle="steps-mid",
            label=f"{site}\n{dropped:.1f} % dropped",
            **line(index),
        )

    ax.axvline(threshold, color="0.4", linestyle="--", linewidth=1)
    ax.axvspan(threshold, edges[-1], color="0.94", zorder=0)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(bottom=0)
    legend(ax)

    return ax


def gate_histories(
    history: Sequence[Data] | Data,
    epochs: Sequence[float] | None = None,
    bins: int = 40,
    ax: "Axes | None" = None,
) -> "Axes":
    """Histogram of gate samples over training: a column is an epoch, dark is frequent.

    Args:
        history: Gate samples of one site, one entry an epoch, each of any shape.
        epochs: The epoch of each entry; 1, 2, ... by default.
        bins: Bins of the gate's value.
        ax: Axes to draw on; new ones by default.
    """

    import numpy as np

    samples = [to_array(values, f"history[{i}]").ravel() for i, values in enumerate(history)]

    if not samples:
        raise ValueError("history is empty: there is nothing to draw")

    for index, values in enumerate(samples):
        check_shares(values, f"history[{index}]", "a gate is between closed and open")

    times = at_epochs(epochs, len(samples))
    edges = np.linspace(0, 1, bins + 1)
    shares = np.stack([np.histogram(s, bins=edges)[0] / len(s) for s in samples], axis=1)

    ax = new_axes(ax, "Gate samples", "epoch", "gate value", (6.4, 3.6))
    ax.grid(False)
    norm = require("matplotlib.colors").SymLogNorm(linthresh=0.1, vmin=0, vmax=100)
    mesh = ax.pcolormesh(_borders(times), edges, 100 * shares, cmap="Greys", norm=norm)
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02)
    bar.ax.set_yticks([0, 0.1, 1, 10, 100], ["0", "0.1", "1", "10", "100"])
    bar.set_label("share of the samples (%)")

    return ax


def _spread(count: int) -> "ndarray":
    """Offsets in (-0.3, 0.3) that look random and are the same each time."""
    golden = 0.6180339887498949
    return (0.6 * (torch.arange(count, dtype=torch.float64) * golden % 1 - 0.5)).numpy()


def _borders(times: list[float]) -> list[float]:
    """Cell borders halfway between the epochs."""
    if len(times) == 1:
        return [times[0] - 0.5, times[0] + 0.5]

    middle = [(a + b) / 2 for a, b in pairwise(times)]
    return [2 * times[0] - middle[0], *middle, 2 * times[-1] - middle[-1]]
