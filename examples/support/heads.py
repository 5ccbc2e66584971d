"""A picture of what is left of a transformer: its heads and hidden units, layer by layer."""

__all__ = ["draw_heads"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch

from pyro_sparse.guides import AutoSparse
from pyro_sparse.inspect.plots import gate_probabilities

plt.switch_backend("Agg")


def draw_heads(guides: Mapping[str, AutoSparse], path: Path) -> None:
    """P(active) of heads, layer by layer, and below it of all gates.

    Args:
        guides: Guides of transformers, by title.
        path: Where the picture goes.
    """
    size, heights = (5.2 * len(guides), 5.0), {"height_ratios": [1, 2]}
    figure, axes = plt.subplots(
        2, len(guides), figsize=size, layout="constrained", squeeze=False, gridspec_kw=heights
    )
    for column, (title, guide) in enumerate(guides.items()):
        gates = {
            site.removesuffix(".gate"): law.law.prob_active.detach()
            for site, law in guide.laws().items()
        }
        heads = {site: p for site, p in gates.items() if site.endswith("attention.out")}
        axes[0, column].set_title(f"{title}: P(active) of heads", fontsize=11, loc="left")
        _draw_layers(axes[0, column], torch.stack(list(heads.values())).numpy())
        gate_probabilities(gates, ax=axes[1, column])

    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_layers(ax: Any, chances: Any) -> None:
    """One square a head, with its number in it."""
    ax.imshow(chances, cmap="Blues", vmin=0, vmax=1)
    for (layer, head), chance in np.ndenumerate(chances):
        colour = "white" if chance > 0.5 else "black"
        ax.text(head, layer, f"{chance:.2f}", ha="center", va="center", color=colour)

    ax.set_xticks(range(chances.shape[1]), [str(head + 1) for head in range(chances.shape[1])])
    ax.set_yticks(range(chances.shape[0]), [f"layer {i + 1}" for i in range(chances.shape[0])])
    ax.set_xlabel("head")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
