"""What does a network of a given size get wrong? One training a size, no strength to tune.

Trains LeNet-300-100 on MNIST with gates on its inputs and hidden units, once for each budget, and
beside it with penalties as they are tuned without one, and measures the compact networks. Started
again, it goes on where it was, also inside a training.

    python -m examples.sweep [--data-root DIR] [--epochs N] [--seed N] [--out DIR]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pyro
import torch
from torch import nn

from examples.lenet.data import load
from examples.support.data import Data, digits
from examples.support.table import as_table
from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, fit, pareto, sweep
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze

PAGE = """# Budgets: the size asked for, the size reached, and what it costs

One training for each size, written by `python -m examples.sweep`; {settings}.
Sizes are those of the compact network, a plain torch module, and its error is the one after the
last epoch on the test images. In a network of linear layers multiply-adds are weights, so that
both kinds of budget ask for the same; a penalty lands where it lands.

```
{table}
```

![Error against size](sweep.png)
"""
COLUMNS = ("name", "target %", "weights %", "off %", "error %", "architecture")

Setting = Budget | float

TARGETS = (0.2, 0.1, 0.05, 0.03)
PENALTIES = (0.1, 0.3, 1.0, 3.0)
GATE_LR = 2e-2
MARKS = (
    ("weights", "o", "budget of weights"),
    ("macs", "s", "budget of MACs"),
    ("penalty", "x", "L0 penalty"),
)


def settings(targets: tuple[float, ...], penalties: tuple[float, ...]) -> dict[str, Setting]:
    """Budgets, and beside them penalties as they are tuned without one."""
    budgets = {f"weights-{share:g}": Budget(weights=share) for share in targets}
    budgets |= {f"macs-{share:g}": Budget(macs=share) for share in targets[-1:]}
    return budgets | {f"penalty-{penalty:g}": penalty for penalty in penalties}


def train(setting: Setting, data: Data, args: argparse.Namespace, checkpoint: Path) -> nn.Module:
    """The compact network."""
    pyro.set_rng_seed(args.seed)
    budget = setting if isinstance(setting, Budget) else None
    # Where there is a budget it alone closes gates.
    penalty = setting if isinstance(setting, float) else 0.0
    net = mlp(data.x[0].numel(), 300, 100, 10)
    model = Classifier(bayesianize(net, gate=L0(penalty)), num_data=len(data.x))
    guide = AutoSparse(model, init_gate_prob=0.5)
    fit(
        model,
        guide,
        (data.x, data.y),
        epochs=args.epochs,
        gate_lr=GATE_LR,
        budget=budget,
        validation=(data.x_test, data.y_test),
        checkpoint=checkpoint,
        resume=True,
        seed=args.seed,
    )
    return compact(freeze(model, guide), data.x[:2])


@torch.no_grad()
def measure(setting: Setting, small: nn.Module, data: Data) -> dict[str, Any]:
    dense = count(mlp(data.x[0].numel(), 300, 100, 10), data.x[:1])
    sparse = count(small, data.x[:1])
    wrong = (small(data.x_test).argmax(-1) != data.y_test).float().mean().item()
    row = {
        "kind": setting.kind if isinstance(setting, Budget) else "penalty",
        "target %": 100 * setting.limit if isinstance(setting, Budget) else "",
        "weights %": 100 * sparse.weights / dense.weights,
        "MACs %": 100 * sparse.macs / dense.macs,
        "error %": 100 * wrong,
        "architecture": sparse.architecture,
    }
    if isinstance(setting, Budget):
        left = row["weights %" if setting.kind == "weights" else "MACs %"]
        row["off %"] = 100 * (left / row["target %"] - 1)
    return row


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Error against what is left; the line is the front that no other budget beats."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for kind, marker, label in MARKS:
        own = [row for row in rows if row["kind"] == kind]
        axes.plot(
            *_points(own), marker, label=label, fillstyle="none" if kind == "macs" else "full"
        )

    targets = sorted({row["target %"] for row in rows} - {""})
    for target in targets:
        axes.axvline(target, color="0.9", zorder=0)
    budgets = [row for row in rows if row["kind"] == "weights"]
    axes.plot(*_points(pareto(budgets, "weights %", "error %")), color="0.6", zorder=1)
    axes.set(xscale="log", xlabel="weights left [%]", ylabel="error on test images [%]")
    axes.set_xticks(targets, [f"{target:g}" for target in targets])
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _points(rows: list[dict[str, Any]]) -> tuple[list[float], list[float]]:
    return [row["weights %"] for row in rows], [row["error %"] for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), help="torchvision's folder"
    )
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/sweep"))
    parser.add_argument("--smoke", action="store_true", help="two budgets, scikit-learn's digits")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    device = torch.device("cpu")
    args.out.mkdir(parents=True, exist_ok=True)
    args.epochs = 2 if args.smoke else args.epochs
    data = digits(args.seed, device) if args.smoke else load("mnist", args.data_root, device)

    def run(name: str, setting: Setting, checkpoint: Path) -> dict[str, Any]:
        row = measure(setting, train(setting, data, args, checkpoint), data)
        print(f"{name}: {row}", flush=True)
        return row

    grid = settings((0.5,), ()) if args.smoke else settings(TARGETS, PENALTIES)
    rows = sweep(run, grid, args.out / f"seed-{args.seed}")
    about = {"seed": args.seed, "epochs": args.epochs, "gate_lr": GATE_LR, "init_gate_prob": 0.5}
    about["data"] = "digits" if args.smoke else "mnist"
    (args.out / "sweep.json").write_text(json.dumps(about | {"rows": rows}, indent=1))
    draw(rows, args.out / "sweep.png")
    table = as_table([{name: row.get(name, "") for name in COLUMNS} for row in rows])
    settings_of = ", ".join(f"{name} {value}" for name, value in about.items())
    (args.out / "README.md").write_text(PAGE.format(table=table, settings=settings_of))
    print(table)


if __name__ == "__main__":
    main()
