"""Where do the trained LeNets stand beside the published ones?

Reads the results that `examples.mnist` wrote, and writes a page with one table for each network,
ours beside the published rows, the commands that made them, and a picture of error against
weights kept.

    python -m examples.mnist_table [--results DIR] [--out DIR]
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from statistics import median, median_low
from typing import Any

from examples.lenet.chart import draw_chart
from examples.lenet.methods import METHODS
from examples.lenet.published import DENSE, MARKS, PUBLISHED, Mark, Published
from examples.lenet.words import HEAD, KINDS
from examples.support.commit import short
from examples.support.table import as_markdown

RESULTS = Path(__file__).parent / "results" / "mnist"

Row = dict[str, Any]


def collect(folder: Path) -> dict[tuple[str, str], dict[str, list[Row]]]:
    """Results by network and data set, then by method, seeds in order."""
    found: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(folder.glob("*.json")):
        row = json.loads(file.read_text())
        if row["method"] in METHODS:
            row["title"] = METHODS[row["method"]].title
        found[row["net"], row["data"]][row["method"]].append(row)
    return found


def merge(rows: list[Row]) -> Row:
    """One row of several seeds: medians, and the architecture of the median error."""
    middle = median_low(row["error"] for row in rows)
    chosen = next(row for row in rows if row["error"] == middle)
    numbers = ("error", "best_error", "train_error", "nonzeros", "compression", "macs", "seconds")
    return (
        chosen
        | {name: median(row[name] for row in rows) for name in numbers}
        | {"seeds": len(rows)}
    )


def our_line(row: Row) -> list[str]:
    return [
        row["title"],
        str(row["seeds"]),
        f"{row['error']:.2f}",
        f"{row['best_error']:.2f}",
        f"{row['train_error']:.2f}",
        row["architecture"],
        f"{row['nonzeros']:,.0f}",
        f"{row['compression']:.1f}",
        f"{row['macs']:,.0f}",
        str(row["epochs"]),
        published_text(row["net"], row["method"]) if row["data"] == "mnist" else "",
    ]


def published_text(net: str, method: str) -> str:
    """The published rows of a method in one cell."""
    own = [p for p in PUBLISHED if p.net == net and p.method == method]
    kinds = [p.architecture or ("units" if p.structured else "weights") for p in own]
    return "; ".join(
        f"{p.error:g} %, {kind}, x {DENSE[net] / p.weights:.1f}"
        for p, kind in zip(own, kinds, strict=True)
    )


def published_line(row: Published) -> list[str]:
    factor = DENSE[row.net] / row.weights
    return [row.title, f"{row.error:g}", row.architecture, f"{row.weights:,.0f}", f"{factor:.1f}"]


def mark_line(mark: Mark, rows: list[Row]) -> str:
    """How close the results come to the best published point."""
    kind = "whole units" if mark.structured else "single weights"
    own = [row for row in rows if row["structured"] == mark.structured]
    text = f"- {kind}: {mark.weights:,.0f} weights at {mark.error:g} % ({mark.source}). "
    if not own:
        return text + "No row of this kind."

    good = [row for row in own if round(row["error"], 2) <= mark.error]
    small = [row for row in own if row["nonzeros"] <= mark.weights]
    if good:
        best = min(good, key=lambda row: row["nonzeros"])
        text += f"Fewest weights at no more error: {best['nonzeros']:,.0f}, {best['title']}"
        text += f" ({best['error']:.2f} %, {best['architecture']}). "
    if small:
        best = min(small, key=lambda row: row["error"])
        text += f"Least error at no more weights: {best['error']:.2f} %, {best['title']}"
        text += f" ({best['nonzeros']:,.0f} weights, {best['architecture']}). "
    return text + ("" if good or small else "Not reached.")


def section(net: str, data: str, methods: dict[str, list[Row]]) -> str:
    rows = [merge(methods[name]) for name in METHODS if name in methods]
    head = ["method", "seeds", "error", "best", "train", "architecture", "weights", "x", "MACs"]
    head += ["epochs", "published"]
    parts = [f"## {net} on {data}"]
    parts += [text.format(float(data.split(k)[-1])) for k, text in KINDS.items() if k in data]
    parts += [as_markdown(head, [our_line(row) for row in rows])]
    if data == "mnist":
        others = [p for p in PUBLISHED if p.net == net and p.method not in methods]
        lines = [published_line(row) for row in others]
        parts += ["Published, without a row of ours above:"]
        parts += [as_markdown(["method", "error", "architecture", "weights", "x"], lines)]
        missing = ", ".join(METHODS[name].title for name in METHODS if name not in methods)
        parts += [f"Not run on this network: {missing}."] if missing else []
    if "-random-" not in data:
        parts += ["The best published points, and how close the rows above come:"]
        parts += ["\n".join(mark_line(m, rows) for m in MARKS if m.net == net)]
    return "\n\n".join(parts)


def asked(data: str) -> str:
    """A name of data as the command line has it."""
    return data.replace("-random-", " --random-labels ").replace("-shift-", " --shift ")


def commands(found: dict[tuple[str, str], dict[str, list[Row]]]) -> str:
    lines = [
        f"python -m examples.mnist --net {net} --data {asked(data)} --method {name} --seed "
        f"{' '.join(str(row['seed']) for row in rows)} --epochs {rows[0]['epochs']}"
        f"  # at {', '.join(sorted({short(row['commit']) for row in rows}))}"
        for (net, data), methods in found.items()
        for name, rows in methods.items()
    ]
    about = (
        "Add `--data-root` where the images are not in `data/`. Settings are those of the commit "
        "behind a command (with a + the checkout had further changes); each JSON file repeats "
        "them. Shared core, one thread: seconds are no benchmark."
    )
    return "\n".join(["## Commands", "", about, "", "```bash", *lines, "```"])


def sources() -> str:
    lines = sorted({f"- {p.title}: {p.source}" for p in PUBLISHED})
    return "\n".join(["## Sources of the published rows", "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, help="the folder of the results, if not given")
    parser.add_argument("--smoke", action="store_true", help="the same; it takes a second")
    args = parser.parse_args()

    found = collect(args.results)
    if not found:
        parser.error(f"there are no results in {args.results}; examples.mnist writes some")
    out = args.out or args.results
    out.mkdir(parents=True, exist_ok=True)
    untried = [net for net in DENSE if (net, "mnist") not in found]
    tables = [section(*key, methods) for key, methods in found.items()]
    pictures = []
    for (net, data), methods in found.items():
        if data == "mnist":
            draw_chart(net, [merge(rows) for rows in methods.values()], out / f"{net}.png")
            pictures.append(f"![Error against weights kept, {net}]({net}.png)")

    pictures += [f"![{file.stem}]({file.name})" for file in sorted(out.glob("*-*.png"))]
    tables += [
        f"## {net} on mnist\n\nNot run yet; the command takes `--net {net}`." for net in untried
    ]
    page = "\n\n".join([HEAD.rstrip(), *pictures, *tables, commands(found), sources()]) + "\n"
    (out / "README.md").write_text(page)
    print(page)
    print(f"Wrote {out / 'README.md'}")


if __name__ == "__main__":
    main()
