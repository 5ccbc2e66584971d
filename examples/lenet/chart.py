"""The picture of all systems: error against weights kept."""

__all__ = ["draw_chart"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D

from examples.lenet.published import DENSE, PUBLISHED

plt.switch_backend("Agg")


def draw_chart(net: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Ours filled, published hollow; circles where units go, squares where single weights go.

    Args:
        net: The network.
        rows: Results, one a method.
        path: Where the picture goes.
    """
    figure, axes = plt.subplots(figsize=(9, 6), layout="constrained")
    for p in PUBLISHED:
        if p.net == net:
            share = 100 * p.weights / DENSE[net]
            marker = "o" if p.architecture else "s"
            axes.plot(share, p.error, marker, color="0.45", mfc="white", ms=7)
            _name(axes, p.title, share, p.error, "0.45", -10)

    for row in rows:
        share = 100 * row["nonzeros"] / DENSE[net]
        marker = "o" if row["structured"] else "s"
        axes.plot(share, row["error"], marker, color="black", ms=7)
        _name(axes, row["method"], share, row["error"], "black", 5)

    axes.set_xscale("log")
    axes.set(xlabel="weights kept (%)", ylabel="test error (%)", title=f"{net} on MNIST")
    axes.grid(True, which="both", color="0.92")
    axes.set_axisbelow(True)
    kinds = [("o", "black", "ours, units"), ("s", "black", "ours, single weights")]
    kinds += [("o", "white", "published, units"), ("s", "white", "published, single weights")]
    axes.legend(
        handles=[
            Line2D([], [], marker=marker, ls="", color="black", mfc=face, label=label)
            for marker, face, label in kinds
        ],
        loc="upper right",
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _name(axes: plt.Axes, text: str, x: float, y: float, colour: str, below: int) -> None:
    axes.annotate(text, (x, y), (5, below), textcoords="offset points", color=colour, fontsize=8)
