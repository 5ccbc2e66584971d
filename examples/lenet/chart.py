"""The picture of all systems: error against weights kept."""

__all__ = ["draw_chart"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from examples.lenet.published import DENSE, PUBLISHED

plt.switch_backend("Agg")

# where the number of a point stands, by turns, so that neighbours do not cover each other
PLACES = [(0, 7), (0, -14), (-9, 7), (6, -14)]

Point = tuple[float, float, bool, str]


def draw_chart(net: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Ours filled, published hollow; circles where units go, squares where single weights go.

    Args:
        net: The network.
        rows: Results, one a method.
        path: Where the picture goes.
    """
    ours = [(r["nonzeros"], r["error"], r["structured"], r["title"]) for r in rows]
    theirs = [(p.weights, p.error, p.structured, p.title) for p in PUBLISHED if p.net == net]
    figure, axes = plt.subplots(figsize=(10, 6.4), layout="constrained")
    handles = [_heading("here"), *_draw(axes, sorted(ours), DENSE[net], "black", 1)]
    start = len(ours) + 1
    handles += [_heading("published"), *_draw(axes, sorted(theirs), DENSE[net], "white", start)]

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 3, 5, 7, 8, 9)))
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set(
        xlabel="weights kept (%)",
        ylabel="test error (%)",
        title="Circles: whole units go. Squares: single weights go.",
    )
    axes.grid(True, which="major", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _draw(
    axes: plt.Axes, points: Sequence[Point], dense: int, face: str, start: int
) -> list[Line2D]:
    handles = []
    for number, (weights, error, structured, title) in enumerate(points, start):
        x, marker = 100 * weights / dense, "o" if structured else "s"
        axes.plot(x, error, marker, color="black", mfc=face, ms=6)
        place = PLACES[number % len(PLACES)]
        axes.annotate(f"{number}", (x, error), place, textcoords="offset points", fontsize=8)
        label = f"{number}  {title}"
        handles.append(Line2D([], [], marker=marker, ls="", color="black", mfc=face, label=label))
    return handles


def _heading(text: str) -> Line2D:
    return Line2D([], [], ls="", label=text)
