"""Pictures of benchmark results."""

__all__ = ["draw_step_time", "draw_time_to_error"]

import itertools
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

plt.switch_backend("Agg")

# Told apart by marker and dash too, for readers who see no colour.
STYLES = [
    ("#000000", "o", "-"),
    ("#0072B2", "s", "-"),
    ("#D55E00", "^", "-"),
    ("#009E73", "D", "-"),
    ("#CC79A7", "v", "--"),
    ("#E69F00", "P", "--"),
    ("#56B4E9", "X", "--"),
    ("#999999", "o", ":"),
    ("#666666", "s", ":"),
    ("#000000", "^", ":"),
    ("#D55E00", "D", ":"),
]


def draw_step_time(rows: list[dict[str, Any]], path: Path) -> None:
    """Time of a step over that of the compiled one by hand, against batch and width.

    Args:
        rows: With "batch", "width", "contender" and "ratio".
        path: Where the picture goes.
    """
    names = list(dict.fromkeys(row["contender"] for row in rows))
    styles = dict(zip(names, itertools.cycle(STYLES), strict=False))
    base = {"batch": rows[0]["batch"], "width": rows[0]["width"]}

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for ax, along, fixed in zip(axes, ("batch", "width"), ("width", "batch"), strict=True):
        shown = [row for row in rows if row[fixed] == base[fixed]]
        for name in names:
            line = [row for row in shown if row["contender"] == name]
            line.sort(key=lambda row: row[along])
            colour, marker, dash = styles[name]
            points = [row[along] for row in line], [row["ratio"] for row in line]
            ax.plot(*points, dash, color=colour, marker=marker, label=name)
        ax.axhline(1.0, color="0.7", linewidth=1)
        ax.set_xscale("log", base=2)
        ticks = sorted({row[along] for row in shown})
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.set_yscale("log", base=2)
        ax.set_yticks([0.5, 1, 2, 4], ["½", "1", "2", "4"])
        ax.set_xlabel({"batch": "examples of a batch", "width": "units of the first layer"}[along])
        ax.set_title(f"{fixed} {base[fixed]}", loc="left")
        ax.spines[["top", "right"]].set_visible(False)

    axes[0].set_ylabel("time of a step over hand, compiled")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.tight_layout(rect=(0, 0, 0.78, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_time_to_error(rows: list[dict[str, Any]], path: Path) -> None:
    """Error against seconds of training, one line a contender; a dot where the goal is met.

    Args:
        rows: With "contender", "seconds" (to the goal, None if never) and "curve", pairs of
            seconds and error in percent.
        path: Where the picture goes.
    """
    figure, ax = plt.subplots(figsize=(7, 4.2))
    for row, (colour, marker, dash) in zip(rows, itertools.cycle(STYLES), strict=False):
        seconds, errors = zip(*row["curve"], strict=True)
        goal = [i for i, time in enumerate(seconds) if time == row["seconds"]]
        (line,) = ax.plot(seconds, errors, dash, color=colour, label=row["contender"])
        line.set(marker=marker, markersize=9, markevery=goal)

    ax.set_yscale("log")
    ax.minorticks_off()
    ax.set_yticks([1.5, 2, 3, 5, 10], ["1.5", "2", "3", "5", "10"])
    ax.set_xlabel("seconds of training")
    ax.set_ylabel("test error in %")
    ax.legend(frameon=False, title="mark: goal reached")
    ax.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
