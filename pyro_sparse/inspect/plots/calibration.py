"""The picture of calibration: is the network right as often as it claims?"""

__all__ = ["reliability_diagram"]

from typing import TYPE_CHECKING

from torch import Tensor

from pyro_sparse.inspect.calibration import calibration_scores, reliability
from pyro_sparse.inspect.plots.style import ACCENT, COLOURS, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def reliability_diagram(
    probs: Tensor, labels: Tensor, bins: int = 15, ax: "Axes | None" = None
) -> "Axes":
    """Accuracy against confidence; the diagonal is a network that keeps its word.

    The area of a dot is the share of the examples in its bin; a bar to the
    diagonal shows the gap.

    Args:
        probs: Predicted class probabilities, `(examples, classes)`.
        labels: True classes, `(examples,)`.
        bins: Equal bins of the confidence.
        ax: Axes to draw on; new ones by default.
    """
    confidence, accuracy, share = reliability(probs, labels, bins)
    error = calibration_scores(probs, labels, bins)["ece"]
    title = f"Reliability (ECE {100 * error:.1f} %)"
    ax = new_axes(ax, title, "confidence (%)", "accuracy (%)", (4.4, 4.2))

    x, y = 100 * confidence, 100 * accuracy
    ax.plot([0, 100], [0, 100], color="0.5", linestyle="--", linewidth=1)
    ax.vlines(x, x, y, color=ACCENT, linewidth=1.6)
    ax.scatter(x, y, s=20 + 300 * share, color=COLOURS[0], linewidths=0, zorder=3, clip_on=False)
    ax.set_xlim(0, 100)
    ax.set_ylim(0, 100)
    ax.set_aspect("equal")

    return ax
