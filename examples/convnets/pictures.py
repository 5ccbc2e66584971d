"""Pictures of results: one training, and error against size."""

__all__ = ["draw_sizes", "draw_training"]

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from pyro_sparse.inspect.plots.style import log_ticks

plt.switch_backend("Agg")

Row = Mapping[str, Any]


def draw_training(row: Row, path: Path) -> None:
    """Accuracy, weights gone by layer, and what is left of weights and multiply-adds.

    Args:
        row: A result, with its history.
        path: Where the picture goes.
    """
    seen = [facts for facts in row["history"] if "error" in facts]
    epochs = [facts["epoch"] for facts in seen]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(17, 4.6), layout="constrained")
    mark: dict[str, Any] = {"marker": "o", "markersize": 3}

    left.plot(epochs, [100 - facts["error"] for facts in seen], color="black", **mark)
    left.set(title="Accuracy of the compact network", ylabel="of the test images (%)")
    _draw_layers(middle, epochs, seen, row["layers"])
    shares = {
        "weights": [f["nonzeros"] / row["dense_weights"] for f in seen],
        "multiply-adds": [f["macs"] / row["dense_macs"] for f in seen],
    }
    if "expected_macs" in seen[0]:
        shares["multiply-adds expected"] = [f["expected_macs"] / row["dense_macs"] for f in seen]
    for (name, values), dash in zip(shares.items(), ("-", "--", ":"), strict=False):
        right.plot(epochs, [100 * value for value in values], dash, label=name, **mark)
    if isinstance(budget := row["settings"]["budget"], float):
        right.axhline(100 * budget, color="0.6", linewidth=1, label="budget")
    right.set(title="What is left of the network", ylabel="share (%)", ylim=(0, 105))
    right.legend(frameon=False)

    for axes in (left, middle, right):
        axes.set_xlabel("epoch")
        axes.set_xlim(0, epochs[-1] * 1.05)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    images = f"{row['data_title']}, {row['images']:,} images to train on"
    figure.suptitle(f"{row['net']}, {row['title']}: {images}")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def draw_sizes(rows: Sequence[Row], path: Path) -> None:
    """Error against weights and multiply-adds, hollow for dense networks; one colour a network.

    Args:
        rows: Results on one data set.
        path: Where the picture goes.
    """
    figure, panels = plt.subplots(1, 2, figsize=(13, 4.8), layout="constrained", sharey=True)
    nets = list(dict.fromkeys(row["net"] for row in rows))
    for axes, (name, title) in zip(
        panels, {"nonzeros": "weights other than 0", "macs": "multiply-adds"}.items(), strict=True
    ):
        for number, row in enumerate(rows, 1):
            colour = f"C{nets.index(row['net'])}"
            face = "white" if row["method"] in ("dense", "dropout") else colour
            label = f"{number}  {row['net']}, {row['title']}"
            size, wrong = row[name], row["error"]
            axes.plot(size, wrong, "o", color=colour, mfc=face, label=label)
            place = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{number}", (size, wrong), fontsize=8, **place)
        log_ticks(axes, "x")
        axes.set_xlabel(f"{title} of the compact network")
        axes.margins(0.12)
        axes.grid(which="both", color="0.93")
        axes.set_axisbelow(True)
    panels[0].set_ylabel("test error (%)")
    panels[1].legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def _draw_layers(
    axes: plt.Axes, epochs: list[int], seen: Sequence[Row], layers: Mapping[str, int]
) -> None:
    """From the first layer, light, to the last one, dark."""
    shades = plt.get_cmap("viridis_r")
    for place, (layer, whole) in enumerate(layers.items()):
        gone = [100 * (1 - facts.get(f"nonzeros {layer}", 0) / whole) for facts in seen]
        colour = shades(0.1 + 0.9 * place / max(len(layers) - 1, 1))
        axes.plot(epochs, gone, "o-", color=colour, linewidth=1.4, markersize=3, label=layer)
    axes.set(title="Weights that are gone, by layer", ylabel="share (%)", ylim=(-3, 103))
    beside: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.03)}
    axes.legend(frameon=False, fontsize=7, **beside)
