"""The common look of the pictures: colours, blank axes, arrays."""

__all__ = [
    "ACCENT",
    "COLOURS",
    "Data",
    "Sites",
    "at_epochs",
    "check_shares",
    "legend",
    "line",
    "log_ticks",
    "new_axes",
    "per_site",
    "size_beside",
    "to_array",
    "whole_epochs",
]

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch

from pyro_sparse.inspect.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy import ndarray

Data: TypeAlias = Any
"""What a picture takes as numbers: a tensor, an array or a (nested) sequence."""

Sites: TypeAlias = Mapping[str, Data]
"""Numbers per site or per method, in the order of the picture."""

# Okabe and Ito's colours, safe for the colour-blind, ordered so that neighbours
# differ in lightness too; lines differ by their dash besides.
COLOURS = ("#0072B2", "#E69F00", "#000000", "#56B4E9", "#D55E00", "#CC79A7", "#009E73")
ACCENT = COLOURS[4]
DASHES = ("-", "--", ":", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))


def new_axes(
    ax: "Axes | None", title: str, xlabel: str, ylabel: str, size: tuple[float, float]
) -> "Axes":
    """Dresses the given axes, or new ones in a figure of their own.

    The figure is made without pyplot, so nothing stays open and no global
    setting is read or written; `ax.figure.savefig(...)` saves it.
    """
    if ax is None:
        figure = require("matplotlib.figure").Figure(figsize=size, dpi=120, layout="constrained")
        ax = figure.subplots()

    ax.set_title(title, fontsize=11, loc="left")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    ax.grid(True, color="0.9", linewidth=0.8)

    return ax


def line(index: int, count: int = 2) -> dict[str, Any]:
    """Look of the line with this index; one of a single entry is a dot."""
    # In each round of colours the dashes go on by one, so that no pair comes twice.
    dash = (index + index // len(COLOURS)) % len(DASHES)
    return {
        "color": COLOURS[index % len(COLOURS)],
        "linestyle": DASHES[dash],
        "linewidth": 1.6,
        "marker": "o" if count == 1 else None,
    }


def size_beside(names: Iterable[str], lines: int = 1) -> tuple[float, float]:
    """Size of a picture that has room for these names beside it, of so many lines each."""
    lengths = [len(name) for name in names]
    return 4.4 + max(2.0, 0.09 * max(lengths)), max(3.6, 1.0 + 0.22 * lines * len(lengths))


def whole_epochs(ax: "Axes") -> None:
    """Ticks at whole epochs, also where there are few."""
    locator = require("matplotlib.ticker").MaxNLocator(integer=True, min_n_ticks=1)
    ax.xaxis.set_major_locator(locator)


def legend(ax: "Axes") -> None:
    """A legend beside the picture, where it hides nothing."""
    ax.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.01, 1.0))


def log_ticks(ax: "Axes", which: Literal["x", "y"]) -> None:
    """A logarithmic axis with ticks such as 200, 5 k and 1 M."""
    ticker = require("matplotlib.ticker")
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = axis.get_data_interval()
    steps = (1.0, 2.0, 5.0) if high < 300 * low else (1.0,)
    axis.set_major_locator(ticker.LogLocator(subs=steps))
    axis.set_major_formatter(ticker.EngFormatter())
    axis.set_minor_formatter(ticker.NullFormatter())


def to_array(values: Data, name: str) -> "ndarray":
    """A float array of finite numbers, at least one."""
    tensor = values if isinstance(values, torch.Tensor) else torch.tensor(values)
    tensor = tensor.detach().cpu().double()

    if tensor.numel() == 0:
        raise ValueError(f"{name} is empty: there is nothing to draw")

    bad = int((~tensor.isfinite()).sum())

    if bad:
        raise ValueError(f"{name} must be finite, but {bad} of {tensor.numel()} values are not")

    return tensor.numpy()


def check_shares(values: "ndarray", name: str, remedy: str) -> None:
    """Refuses numbers outside [0, 1], and says what to do."""
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{name} must lie in [0, 1], but it spans [{values.min():g}, {values.max():g}]; "
            f"{remedy}"
        )


def per_site(values: Sites, name: str) -> "dict[str, ndarray]":
    """One array per site; an empty mapping or something else is an error."""
    if not isinstance(values, Mapping):
        raise TypeError(
            f"{name} must map names to values, such as {{'fc1.gate': tensor}}, "
            f"but it is a {type(values).__name__}"
        )

    if not values:
        raise ValueError(f"{name} is empty: there is nothing to draw")

    return {site: to_array(value, f"{name}[{site!r}]") for site, value in values.items()}


def at_epochs(epochs: Sequence[float] | None, count: int) -> list[float]:
    """The epoch of each of `count` entries; 1, 2, ... unless given."""
    times = [float(time) for time in (range(1, count + 1) if epochs is None else epochs)]

    if len(times) != count:
        raise ValueError(f"epochs has {len(times)} entries, but the history has {count}")

    return times
