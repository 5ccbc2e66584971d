"""How much memory does that step take, parameters included?

The same networks, each in a fresh process: its parameters, and what a later step adds to them at
its highest. Once more with the variances of the local noise in bfloat16.

    python -m examples.benchmarks.architecture_memory [--network resnet18] [--batch 32]
        [--pixels 160 ...] [--only NAME ...] [--out FOLDER]
"""

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import torch

from examples.benchmarks.architecture_step import CONTENDERS, KINDS, base_of, contender, with_bases
from examples.benchmarks.memory import in_fresh_processes, of_a_step
from examples.benchmarks.timing import machine
from examples.support.table import as_table


def measure(pixels: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Memories, and their ratios to the deterministic network run the same way."""
    names = with_bases(args.only)
    calls = [(name, args.network, args.batch, pixels, args.device) for name in names]
    found = in_fresh_processes(functools.partial(of_a_step, contender), calls)
    mib = dict(zip(names, found, strict=True))
    return [
        {"pixels": pixels, "contender": n, "MiB": mib[n], "ratio": mib[n] / mib[base_of(n)]}
        for n in names
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="resnet18", help="a classifier of torchvision")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pixels", type=int, nargs="+", default=[160])
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=CONTENDERS)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/architecture_memory"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.pixels, args.only = 2, [32], KINDS[:1]

    rows = []
    for pixels in args.pixels:
        found = measure(pixels, args)
        print(as_table(found), flush=True)
        rows += found

    settings = {"network": args.network, "batch": args.batch, "pixels": args.pixels, **machine()}
    settings |= {"only": args.only} if args.only != CONTENDERS else {}
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "architecture_memory.json"
    file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
