"""What did convolutional networks on CIFAR lose, and what did it cost?

Reads the results that `examples.cifar` wrote, and writes a page with their table, the commands
that made them, those of complete trainings, and a picture of error against size.

    python -m examples.cifar_table [--results DIR] [--out DIR]
"""

import argparse
import json
from pathlib import Path
from shlex import quote
from typing import Any

from examples.convnets.methods import METHODS
from examples.convnets.nets import NETS
from examples.convnets.pictures import draw_sizes
from examples.support.commit import short
from examples.support.table import as_markdown

RESULTS = Path(__file__).parent / "results" / "cifar"

HEAD = """# The papers' systems on CIFAR

Written by `python -m examples.cifar_table` from the JSON files beside it; no number here is typed
by hand but the published ones.

Error: of the compact network after the last epoch, in percent of the test images. Best: the
smallest of the epochs that were looked at, which is chosen on the test images themselves. Weights:
those that are not 0, without biases and norms, as a share of the dense network's. MACs:
multiply-adds of the compact network, likewise, and those that the posterior expected. Faster: the
dense network's time for a batch of 128 images over the compact one's, taking turns. Difference:
largest one between outputs of the compact network and of the network with zeros on 2,000 test
images, as a share of the largest output.

**No row here is a complete training.** Each was made on one CPU core that others used too, in at
most {hours:.1f} hours: `images` says how many images it learnt from, `epochs` how often it saw
them (after the plus sign as a dense network before, in time of its own). "Re-encoded" data are
the images of CIFAR-10 as JPEG files of quality 75, so that errors are compared with those of the
dense network on the same files only.
"""

FULL = """## Complete trainings

On a GPU these train as the papers do, 200 epochs each; none has been run yet. The program then
compiles the bound, multiplies matrices in bfloat16 and writes checkpoints: a command that was
interrupted goes on where it was.

```bash
{commands}
```

What others published, to compare with: ResNet-32 93.1 to 93.6 % correct at 52 to 56 % of the
parameters and 66 % of the FLOPs (Jantre, Bhattacharya, Maiti, 2023,
https://arxiv.org/abs/2308.09104, by the authors' result files); WRN-28-10 with L0 3.83 % error,
hardly smaller (Louizos, Welling, Kingma, 2018, https://arxiv.org/abs/1712.01312); with a
constraint 4.10 % at 70 % of the parameters (Gallego-Posada et al., 2022,
https://arxiv.org/abs/2208.04425).
"""

COMPLETE = (
    ("resnet20", "dense budget budget_mdr l0"),
    ("resnet32", "dense budget budget_mdr l0"),
    ("wrn_28_10", "dense dropout l0 mdr_power budget"),
    ("vgg", "dense vd mixture_em budget"),
    ("alexnet", "dense dropout vd"),
)

Row = dict[str, Any]


def collect(folder: Path) -> list[Row]:
    """Results in the order of networks and methods."""
    rows = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    nets, methods = list(NETS), list(METHODS)
    return sorted(
        rows, key=lambda r: (r["data"], nets.index(r["net"]), methods.index(r["method"]))
    )


def line(number: int, row: Row) -> list[str]:
    before = row["settings"]["pretrain"]
    macs = f"{100 * row['macs'] / row['dense_macs']:.1f} %"
    if "expected_macs" in row:
        macs += f" ({100 * row['expected_macs'] / row['dense_macs']:.1f} %)"
    return [
        str(number),
        row["net"],
        row["title"],
        row["data_title"],
        f"{row['images']:,}",
        str(row["epochs"]) + (f" + {before}" if before else ""),
        f"{row['error']:.2f} %",
        f"{row['best_error']:.2f} %",
        f"{100 * row['nonzeros'] / row['dense_weights']:.2f} %",
        macs,
        f"{row['faster']:.2f}" if row["macs"] < row["dense_macs"] else "",
        f"{row['difference']:.0e}",
    ]


def command(row: Row) -> str:
    words = ["python -m examples.cifar", "--net", row["net"], "--method", row["method"]]
    words += ["--data", row["data"], "--seed", str(row["seed"]), "--epochs", str(row["epochs"])]
    words += ["--images", str(row["images"])]
    changed = [quote(f"{name}={json.dumps(value)}") for name, value in row["changes"].items()]
    words += ["--set", *changed] if changed else []
    words += [f"--{name.replace('_', '-')}" for name, on in row["way"].items() if on]
    return " ".join(words) + f"  # at {short(row['commit'])}"


def page(rows: list[Row], pictures: list[str]) -> str:
    columns = ["", "network", "method", "data", "images", "epochs", "error", "best", "weights"]
    table = as_markdown(
        [*columns, "MACs (expected)", "faster", "difference"],
        [line(n, r) for n, r in enumerate(rows, 1)],
    )
    made = "\n".join(["## Commands of the rows", "", "```bash", *map(command, rows), "```"])
    complete = "\n".join(
        f"python -m examples.cifar --net {net} --method {methods} --data cifar10"
        for net, methods in COMPLETE
    )
    head = HEAD.format(hours=max(row["seconds"] for row in rows) / 3600)
    parts = [head.rstrip(), table, *pictures, made, FULL.format(commands=complete).rstrip()]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, help="the folder of the results, if not given")
    parser.add_argument("--smoke", action="store_true", help="the same; it takes a second")
    args = parser.parse_args()

    rows = collect(args.results)
    if not rows:
        parser.error(f"there are no results in {args.results}; examples.cifar writes some")
    out = args.out or args.results
    out.mkdir(parents=True, exist_ok=True)

    pictures = []
    for data in dict.fromkeys(row["data"] for row in rows):
        own = [row for row in rows if row["data"] == data]
        draw_sizes(own, out / f"{data}.png")
        pictures.append(f"![Error against size, {own[0]['data_title']}]({data}.png)")
    for row in rows:
        picture = f"{row['net']}-{row['data']}-{row['method']}-{row['seed']}.png"
        if (args.results / picture).is_file():
            pictures.append(f"![{row['net']}, {row['title']}, by epoch]({picture})")
    text = page(rows, pictures)
    (out / "README.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
