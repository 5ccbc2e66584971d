"""Pages and a picture of networks that were asked for a size."""

__all__ = ["Row", "write_pages"]

import json
from pathlib import Path
from statistics import median, median_low
from typing import Any

import matplotlib.pyplot as plt

from examples.support.table import as_markdown

Row = dict[str, Any]

PAGE = """# Budgets: the size asked for, the size reached, and what it costs

Written by `python -m examples.sweep`, from `sweep.json`: {settings}.

Sizes are those of the compact network, a plain torch module, and its error is the one after the
last epoch on the test images; medians of the seeds. In a network of linear layers multiply-adds
are weights, so that both kinds of budget ask for the same. A penalty is tuned with the first seed
by four trainings at most, until the size is right to 6 %, and the nearest one is taken.

{medians}

![Error against size](sweep.png)

## Every training

{runs}
"""
KINDS = {
    "weights": ("o", "Budget(weights=...)"),
    "macs": ("+", "Budget(macs=...)"),
    "penalty": ("x", "L0(... a weight), tuned"),
}
AXES = ("weights %", "error %")
COLUMNS = ("kind", "target %", "seed", "penalty", "weights %", "MACs %", "error %", "architecture")
BEGIN, END = "<!-- sizes, written by examples.sweep -->", "<!-- end of sizes -->"


def write_pages(folder: Path, readme: Path | None) -> None:
    """The page of a sweep and its picture, from its JSON file.

    Args:
        folder: Where `sweep.json` is.
        readme: A page with a part of its own for the medians, or None.
    """
    found = json.loads((folder / "sweep.json").read_text())
    rows, settings = found["rows"], found["settings"]
    medians = _table(_medians(rows))
    runs = _table([{name: row[name] for name in COLUMNS} for row in rows])
    about = ", ".join(f"{name} {value}" for name, value in settings.items())
    (folder / "README.md").write_text(PAGE.format(settings=about, medians=medians, runs=runs))
    _draw(rows, folder / "sweep.png")

    if readme is not None:
        before, rest = readme.read_text().split(BEGIN)
        readme.write_text(f"{before}{BEGIN}\n\n{medians}\n\n{END}{rest.split(END)[1]}")


def _medians(rows: list[Row]) -> list[Row]:
    """One row a target and kind."""
    groups: dict[tuple[float, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: -row["target %"]):
        groups.setdefault((row["target %"], row["kind"]), []).append(row)
    return [_merged(target, kind, group) for (target, kind), group in groups.items()]


def _merged(target: float, kind: str, rows: list[Row]) -> Row:
    size = "MACs %" if kind == "macs" else "weights %"
    errors = sorted(row["error %"] for row in rows)
    sizes = sorted(row[size] for row in rows)
    furthest = max(sizes, key=lambda found: abs(found - target))
    middle = next(row for row in rows if row["error %"] == median_low(errors))
    penalty = {row["penalty"] for row in rows}
    trainings = (row["trainings"] for row in rows if "trainings" in row)
    return {
        "asked for %": target,
        "by": KINDS[kind][1].replace("...", f"{penalty.pop() or target / 100:g}"),
        "trainings to find it": next(trainings, 1),
        "size %": median(sizes),
        "furthest off %": 100 * (furthest / target - 1),
        "error %": median(errors),
        "of seeds": f"{errors[0]:.2f} to {errors[-1]:.2f}",
        "architecture": middle["architecture"],
    }


def _draw(rows: list[Row], path: Path) -> None:
    """Error against size: every training, and a line through the medians."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for index, (kind, (marker, label)) in enumerate(KINDS.items()):
        groups: dict[float, list[Row]] = {}
        for row in rows:
            if row["kind"] == kind:
                groups.setdefault(row["target %"], []).append(row)
        if not groups:
            continue  # not run yet
        xs, ys = ([r[name] for g in groups.values() for r in g] for name in AXES)
        axes.plot(xs, ys, marker, color=f"C{index}", alpha=0.6, ms=8, label=label)
        axes.plot(*_middles(groups), color=f"C{index}", lw=1)

    targets = sorted({row["target %"] for row in rows})
    axes.set(xscale="log", xlabel="weights left [%]", ylabel="error on test images [%]")
    axes.set_xticks(targets, [f"{target:g}" for target in targets])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _middles(groups: dict[float, list[Row]]) -> tuple[list[float], list[float]]:
    xs, ys = ([median(r[name] for r in group) for group in groups.values()] for name in AXES)
    return xs, ys


def _table(rows: list[Row]) -> str:
    return as_markdown(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else f"{value}"
