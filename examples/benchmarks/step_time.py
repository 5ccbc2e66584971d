"""What does a training step cost, beside the same step written by hand?

Sparse variational dropout with local noise on a three-layer perceptron: by hand in torch, eager
and compiled; in Pyro with `TraceMeanField_ELBO` and sampled weights; in NumPyro, bayesian-torch
and TyXe, where they are installed and run; and here, eager, compiled in both forms, with the
variances in bfloat16, with sampled weights, and with the optimiser in the compiled step too. Each
takes its turns in one process, at each batch size with the first width and at each width with the
first batch size.

    python -m examples.benchmarks.step_time [--batch 128 ...] [--width 300 ...] [--others]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from examples.benchmarks.contenders import contenders
from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table

REFERENCE = "hand, compiled"


def first_calls(steps: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of the first three calls, which compile what is to be compiled."""
    found = {}
    for name, step in steps.items():
        start = time.perf_counter()
        for _ in range(3):
            step()
        found[name] = time.perf_counter() - start
    return found


def cross(batches: list[int], widths: list[int]) -> list[tuple[int, int]]:
    """Every batch size with the first width, then every other width with the first batch size."""
    return [(batch, widths[0]) for batch in batches] + [(batches[0], w) for w in widths[1:]]


def measure(batch: int, width: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each contender."""
    torch._dynamo.reset()
    steps = contenders(batch, width, args.device, args.others)
    steps = {name: step for name, step in steps.items() if name in (args.only or steps)}
    cold = first_calls(steps)
    times = interleaved(steps, args.rounds, args.steps)
    base = times.get(REFERENCE, next(iter(times.values())))
    return [
        {
            "batch": batch,
            "width": width,
            "contender": name,
            "ms": ms,
            "ratio": ms / base,
            "first calls s": cold[name],
        }
        for name, ms in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[128, 512])
    parser.add_argument("--width", type=int, nargs="+", default=[300])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--only", nargs="+", help="some of the contenders, by name")
    parser.add_argument("--others", action="store_true", help="other libraries too")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/step_time"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.batch, args.width, args.rounds, args.steps = [8], [30], 1, 1
        args.only = ["hand, eager", "Pyro mean field", "ours, eager"]

    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"batch": args.batch, "width": args.width, "rounds": args.rounds}
    settings |= {"steps": args.steps, **machine()}
    settings |= {"others": True} if args.others else {}
    file = args.out / "step_time.json"
    rows = []
    for batch, width in cross(args.batch, args.width):
        found = measure(batch, width, args)
        print(as_table(found), flush=True)
        rows += found
        file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
