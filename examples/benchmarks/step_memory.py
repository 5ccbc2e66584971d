"""How much memory does a training step add, beside the same step written by hand?

The contenders of the question about time, each in a fresh process: what a later step has in use
at its highest beyond what was held before it, so without parameters and the optimiser's state.
JAX keeps what it has once taken, so that its number is no comparison.

    python -m examples.benchmarks.step_memory [--batch 128 ...] [--width 300 ...] [--others]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from examples.benchmarks.contenders import contenders
from examples.benchmarks.memory import added, in_fresh_processes
from examples.benchmarks.step_time import REFERENCE, cross
from examples.benchmarks.timing import machine
from examples.support.table import as_table

WARM_UP = 4


def names(others: bool) -> list[str]:
    """Of the contenders that run here."""
    return list(contenders(2, 10, "cpu", others))


def peak(name: str, batch: int, width: int, device: str) -> float:
    """What a step adds to the memory in use, at its highest, in MiB."""
    torch.set_num_threads(1)
    step = contenders(batch, width, device, others=True)[name]
    for _ in range(WARM_UP):
        step()
    return added(step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--width", type=int, nargs="+", default=[300])
    parser.add_argument("--others", action="store_true", help="other libraries too")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/step_memory"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.width = [8], [30]

    asked = ["hand, eager", "ours, eager"] if args.smoke else names(args.others)
    points = cross(args.batch, args.width)
    calls = [(name, *point, args.device) for point in points for name in asked]
    found = dict(zip(calls, in_fresh_processes(peak, calls), strict=True))
    rows: list[dict[str, Any]] = [
        {"batch": batch, "width": width, "contender": name, "MiB": mib}
        for (name, batch, width, _), mib in found.items()
    ]
    for row in rows:
        base = found.get((REFERENCE, row["batch"], row["width"], args.device))
        row |= {"ratio": row["MiB"] / base} if base else {}
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"batch": args.batch, "width": args.width, **machine()}
    settings |= {"others": True} if args.others else {}
    file = args.out / "step_memory.json"
    file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
