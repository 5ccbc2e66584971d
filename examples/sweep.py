"""What does a network of a given size get wrong? One training a size, no strength to tune.

Trains LeNet-300-100 on MNIST with gates on its inputs and hidden units to each of several
budgets of weights and of multiply-adds, and beside them with an L0 penalty on each weight that is
tuned, by a few trainings, until the network has about the same size. Measures the compact
networks. Started again, it goes on where it was, also inside a training.

    python -m examples.sweep [--data-root DIR] [--epochs N] [--seeds N ...] [--out DIR]
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyro
import torch
from torch import nn

from examples.lenet.data import load
from examples.support.data import Data, digits
from examples.support.sizes import Row, write_pages
from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, fit, sweep
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze

TARGETS = (0.2, 0.1, 0.05, 0.03)
SETTINGS: dict[str, Any] = {"batch_size": 250, "lr": 3e-3, "gate_lr": 3e-2}
INIT_GATE_PROB = 0.8

# Where the search for a penalty begins, and what it goes on: size falls as its power -1 / SLOPE.
FIRST, SLOPE, TRIES, WITHIN = 0.3, 1.4, 4, 0.06

Setting = Budget | float


def train(setting: Setting, seed: int, data: Data, epochs: int, checkpoint: Path) -> nn.Module:
    """The compact network."""
    pyro.set_rng_seed(seed)
    budget = setting if isinstance(setting, Budget) else None
    # Where there is a budget it alone closes gates.
    penalty = setting if isinstance(setting, float) else 0.0
    net = mlp(data.x[0].numel(), 300, 100, 10)
    model = Classifier(bayesianize(net, gate=L0(penalty)), num_data=len(data.x))
    guide = AutoSparse(model, init_gate_prob=INIT_GATE_PROB)
    fit(
        model,
        guide,
        (data.x, data.y),
        epochs=epochs,
        budget=budget,
        checkpoint=checkpoint,
        resume=True,
        seed=seed,
        **SETTINGS,
    )
    return compact(freeze(model, guide), data.x[:2])


@torch.no_grad()
def measure(setting: Setting, small: nn.Module, data: Data) -> Row:
    dense = count(mlp(data.x[0].numel(), 300, 100, 10), data.x[:1])
    sparse = count(small, data.x[:1])
    wrong = (small(data.x_test).argmax(-1) != data.y_test).float().mean().item()
    return {
        "kind": setting.kind if isinstance(setting, Budget) else "penalty",
        "penalty": None if isinstance(setting, Budget) else setting,
        "weights %": 100 * sparse.weights / dense.weights,
        "MACs %": 100 * sparse.macs / dense.macs,
        "error %": 100 * wrong,
        "architecture": sparse.architecture,
    }


class Runs:
    """Trainings by name, each done once."""

    def __init__(self, data: Data, epochs: int, folder: Path) -> None:
        self.data, self.epochs, self.folder = data, epochs, folder

    def __call__(self, setting: Setting, target: float, seed: int) -> Row:
        """The result of one training, with what it was aimed at."""
        about = {"target %": 100 * target, "seed": seed}
        name = f"{_name(setting)}-seed-{seed}"
        (row,) = sweep(partial(self._run, about), {name: setting}, self.folder)
        return row | about

    def _run(self, about: Row, name: str, setting: Setting, checkpoint: Path) -> Row:
        small = train(setting, about["seed"], self.data, self.epochs, checkpoint)
        row = measure(setting, small, self.data)
        print(f"{name}: {row}", flush=True)
        return row


def tune(run: Runs, target: float, seed: int) -> list[Row]:
    """Trainings with one penalty after another, until one has the size."""
    penalty = FIRST * (TARGETS[1] / target) ** SLOPE
    rows: list[Row] = []
    while not rows or (off(rows[-1]) > WITHIN and len(rows) < TRIES):
        rows.append(run(float(f"{penalty:.3g}"), target, seed))
        penalty = rows[-1]["penalty"] * (rows[-1]["weights %"] / (100 * target)) ** SLOPE
    return rows


def off(row: Row) -> float:
    return abs(row["weights %"] / row["target %"] - 1)


def _name(setting: Setting) -> str:
    if isinstance(setting, Budget):
        return f"{setting.kind}-{setting.limit:g}"
    return f"penalty-{setting:g}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), help="torchvision's folder"
    )
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--readme", type=Path, help="a page whose part about sizes is rewritten")
    parser.add_argument("--smoke", action="store_true", help="one budget, scikit-learn's digits")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    device = torch.device("cpu")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.smoke:
        args.epochs, args.seeds = 2, args.seeds[:1]
    data = digits(0, device) if args.smoke else load("mnist", args.data_root, device)
    run = Runs(data, args.epochs, args.out / "runs")

    about = {"data": "digits" if args.smoke else "mnist", "epochs": args.epochs, **SETTINGS}
    about |= {"init_gate_prob": INIT_GATE_PROB}
    rows: list[Row] = []
    for found in trainings(run, TARGETS[:1] if args.smoke else TARGETS, args.seeds):
        rows += found
        result = {"settings": about, "rows": rows}
        (args.out / "sweep.json").write_text(json.dumps(result, indent=1))
        write_pages(args.out, args.readme)


def trainings(run: Runs, targets: Sequence[float], seeds: Sequence[int]) -> Iterator[list[Row]]:
    """The results, some at a time, so that a sweep that is cut short has a page, too."""
    for seed in seeds:
        yield [run(Budget(weights=target), target, seed) for target in targets]
    for target in targets:
        tried = tune(run, target, seeds[0])
        chosen = min(tried, key=off)
        others = [run(chosen["penalty"], target, seed) for seed in seeds[1:]]
        yield [chosen | {"trainings": len(tried)}, *others]
    for seed in seeds:
        yield [run(Budget(macs=target), target, seed) for target in targets]


if __name__ == "__main__":
    main()
