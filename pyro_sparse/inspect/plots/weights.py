"""Pictures of weights and units: what a network was, and what is left of it."""

__all__ = ["architecture_bars", "input_pixels", "weights_before_after"]

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pyro_sparse.inspect.extras import require
from pyro_sparse.inspect.plots.style import (
    COLOURS,
    Data,
    check_shares,
    legend,
    log_ticks,
    new_axes,
    to_array,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST = 0.8  # where the axis of units begins


def input_pixels(
    active: Data, shape: tuple[int, int] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """The inputs of an image network as a picture: dark pixels are used, white ones are not.

    The title counts pixels whose P(active) is above 1/2. What `compact` keeps is up to the
    criterion of the gate's law, which for a hard-concrete gate is P(active) > 0.31: to count
    that, give the mask, `masks(guide)["fc1.gate"]`.

    Args:
        active: P(active) or a boolean mask per input, `(pixels,)` or `(rows, columns)`.
        shape: Rows and columns; a square by default.
        ax: Axes to draw on; new ones by default.
    """
    values = to_array(active, "active")

    check_shares(values, "active", "give probabilities or a mask")
    picture = values.reshape(_image_shape(values.shape, shape))
    rows, columns = picture.shape
    used = int((picture > 0.5).sum())
    is_mask = bool(((picture == 0) | (picture == 1)).all())
    counted = "pixels used" if is_mask else "pixels at P > 0.5"
    title = f"Inputs: {used} of {picture.size} {counted}"
    ax = new_axes(ax, title, "column (pixel)", "row (pixel)", (4.4, 3.6))

    ax.grid(False)
    ax.spines[["top", "right"]].set_visible(True)
    image = ax.imshow(picture, cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    ax.set_xticks(_ends(columns))
    ax.set_yticks(_ends(rows))
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("P(pixel active)")

    return ax


def weights_before_after(before: Data, after: Data, ax: "Axes | None" = None) -> "Axes":
    """Absolute weights of one layer before (left) and after (right) sparsification.

    Both halves share one logarithmic grey scale; exact zeros are white.

    Args:
        before: The dense weight, `(out, in, ...)`; a convolution is flattened to two dimensions.
        after: The sparse weight of the same shape.
        ax: Axes to draw on; new ones by default.
    """

    import numpy as np

    left, right = to_array(before, "before"), to_array(after, "after")

    if left.shape != right.shape or left.ndim < 2:
        raise ValueError(
            "before and after must be weights of one shape with at least two dimensions, "
            f"but they are {left.shape} and {right.shape}"
        )

    left, right = (abs(w).reshape(len(w), -1) for w in (left, right))
    kept = 100 * (right > 0).mean()
    ax = new_axes(ax, f"Weights: {kept:.1f} % kept", "input", "output", (7.2, 3.6))

    top = max(left.max(), right.max()) or 1.0  # of a layer of zeros all is white
    norm = require("matplotlib.colors").LogNorm(vmin=top / 1000, vmax=top, clip=True)
    rows, columns = left.shape
    halves = np.concatenate([left, np.zeros((rows, max(1, columns // 16))), right], axis=1)
    start = halves.shape[1] - columns

    ax.grid(False)
    image = ax.imshow(
        np.ma.masked_equal(halves, 0),
        cmap="Greys",
        norm=norm,
        aspect="auto",
        interpolation="nearest",
        extent=(0, halves.shape[1], rows, 0),
    )
    middles = [columns / 2, start + columns / 2]
    ax.set_xticks(middles, [f"1 ... {columns}, before", f"1 ... {columns}, after"], fontsize=9)
    ax.tick_params(axis="x", length=0)
    ax.set_yticks([0.5, rows - 0.5], ["1", f"{rows}"])
    ax.axvspan(columns, start, color="white")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("|weight|")

    return ax


def architecture_bars(
    widths: Mapping[str, Sequence[int]],
    layers: Sequence[str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Units left per layer as bars, one colour a network, the number at the bar's end.

    The axis is logarithmic, since layers of one network differ tenfold and more.

    Args:
        widths: Units per layer for each network, for example
            `{"dense": [784, 300, 100], "L0": [219, 76, 40]}`.
        layers: Names of the layers.
        ax: Axes to draw on; new ones by default.
    """
    lengths = {name: len(values) for name, values in widths.items()}

    if not widths or min(lengths.values()) == 0:
        raise ValueError(f"widths needs a network with a layer, but it is {dict(widths)}")

    if len(set(lengths.values())) > 1:
        raise ValueError(f"the networks must have equally many layers, but they have {lengths}")

    number = next(iter(lengths.values()))
    names = [f"layer {i + 1}" for i in range(number)] if layers is None else list(layers)

    if len(names) != number:
        raise ValueError(f"layers names {len(names)} layers, but the networks have {number}")

    ax = new_axes(ax, "Architecture", "units", "", (6.4, 1.2 + 0.28 * number * (len(widths) + 1)))
    height = 0.8 / len(widths)

    for index, (network, values) in enumerate(widths.items()):
        middles = [i - 0.4 + height * (index + 0.5) for i in range(number)]
        colour = COLOURS[index % len(COLOURS)]
        ax.barh(middles, values, height=0.9 * height, color=colour, label=network)
        for middle, value in zip(middles, values, strict=True):
            # A bar of 0 units has no end on a logarithmic axis: its number is at the beginning.
            end = (max(value, LEAST), middle)
            ax.annotate(str(value), end, (3, 0), textcoords="offset points", va="center", size=9)

    ax.set_yticks(range(number), names)
    ax.invert_yaxis()
    log_ticks(ax, "x")
    ax.set_xlim(LEAST, 2 * max(1, *(max(values) for values in widths.values())))
    ax.grid(False, axis="y")
    legend(ax)

    return ax


def _image_shape(given: tuple[int, ...], shape: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of the picture, checked against the number of pixels."""
    pixels = 1

    for size in given:
        pixels *= size

    if shape is None and len(given) == 2:
        return given[0], given[1]

    side = round(pixels**0.5)
    rows, columns = (side, side) if shape is None else shape

    if rows * columns != pixels:
        raise ValueError(
            f"{pixels} inputs do not make a picture of {rows} x {columns} pixels; "
            "give shape=(rows, columns)"
        )

    return rows, columns


def _ends(size: int) -> list[int]:
    """Tick positions: first, middle and last pixel."""
    return sorted({0, size // 2, size - 1})
