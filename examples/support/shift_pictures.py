"""Pictures of what networks think of images that they did not learn from."""

__all__ = ["draw_shifts", "entropy"]

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from examples.support.shifts import photographs, rotated
from pyro_sparse.inspect import calibration_scores, risk_coverage

plt.switch_backend("Agg")

ANGLES = (0, 15, 30, 45, 60)


def entropy(probs: Tensor) -> Tensor:
    """Entropies of predictions in nats, `(N,)`.

    Args:
        probs: Class probabilities, `(N, classes)`.
    """
    return torch.special.entr(probs).sum(-1)


def draw_shifts(
    networks: Mapping[str, Callable[[Tensor], Tensor]],
    looks: Mapping[str, tuple[str, str]],
    images: Tensor,
    labels: Tensor,
    path: Path,
) -> None:
    """Rotation, strange data, and errors that could have been declined, side by side.

    Args:
        networks: What gives class probabilities of images, by name.
        looks: Colour and dash of the line of each.
        images: Images to test on, `(N, 8, 8)`.
        labels: Their labels, `(N,)`.
        path: Where the picture goes.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="tight")
    for name, network in networks.items():
        colour, dash = looks[name]
        look: dict[str, Any] = {"color": colour, "linestyle": dash, "label": name}
        turned = [network(rotated(images, angle)) for angle in ANGLES]
        nll = [calibration_scores(probs, labels)["nll"] for probs in turned]
        left.plot(ANGLES, nll, marker="o", markersize=3, **look)

        for probs, width in ((turned[0], 1.0), (network(photographs(8)), 2.2)):
            values = entropy(probs).sort().values
            middle.plot(values, torch.linspace(0, 100, len(values)), **look | {"linewidth": width})

        coverage, risk = risk_coverage(turned[ANGLES.index(30)], labels)
        right.plot(100 * coverage, 100 * risk, **look)

    left.set(title="Rotated digits", xlabel="rotation (degrees)", ylabel="NLL (nats)")
    middle.set(title="Digits (thin) and photographs (thick)", ylabel="share below (%)")
    middle.set(xlabel="entropy of the prediction (nats)")
    right.set(title="Rotated by 30 degrees", xlabel="answered (%)", ylabel="error (%)")
    left.legend(frameon=False)
    for axes in (left, middle, right):
        axes.grid(color="0.92")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)
