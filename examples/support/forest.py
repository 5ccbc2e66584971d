"""Pictures of the features that a gated network uses."""

__all__ = ["draw_features", "draw_forest"]

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

plt.switch_backend("Agg")


def draw_forest(draws: Any, title: str, path: Path) -> None:
    """ArviZ's forest plot of the gates: medians and intervals of the draws.

    Args:
        draws: What `to_arviz` gave.
        title: What stands above.
        path: Where the picture goes.
    """
    # Of one chain there is no r-hat, and none is missed where draws are independent.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz

        arviz.plot_forest(draws, var_names=["0.gate"], combined=True)

    figure = plt.gcf()
    figure.suptitle(f"{title}: gate of each feature")
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close("all")


def draw_features(active: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """The probability of each feature, the largest first, one panel a problem.

    Args:
        active: P(active) by feature, for each problem.
        path: Where the picture goes.
    """
    rows = max(len(features) for features in active.values())
    figure, axes = plt.subplots(
        1, len(active), figsize=(4.4 * len(active), 1 + 0.2 * rows), squeeze=False
    )
    for ax, (problem, features) in zip(axes[0], active.items(), strict=True):
        ordered = sorted(features.items(), key=lambda item: item[1])
        names, values = zip(*ordered, strict=True)
        colours = ["#0072B2" if value > 0.5 else "#BBBBBB" for value in values]
        ax.barh(range(rows - len(names), rows), values, color=colours)
        ax.set_yticks(range(rows - len(names), rows), names, fontsize=8)
        ax.axvline(0.5, color="0.4", linestyle="--", linewidth=1)
        ax.set_xlim(0, 1)
        ax.set_ylim(-0.6, rows - 0.4)
        ax.set_title(problem, loc="left")
        ax.set_xlabel("P(feature is used)")
        ax.spines[["top", "right"]].set_visible(False)

    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
