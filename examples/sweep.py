"""What does a network of a given size get wrong? One training a size, no strength to tune.

Trains LeNet-300-100 on MNIST with gates on its inputs and hidden units, once for each budget of
weights and of multiply-adds, and measures the compact networks. Started again, it goes on where it
was, also inside a training.

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

from examples.data import Data, digits
from examples.lenet.data import load
from examples.table import as_table
from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, fit, pareto, sweep
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze

TARGETS = (0.2, 0.1, 0.05, 0.03)
GATE_LR = 2e-2


def budgets(targets: tuple[float, ...]) -> dict[str, Budget]:
    kinds = ("weights", "macs")
    return {f"{kind}-{share:g}": Budget(**{kind: share}) for kind in kinds for share in targets}


def train(budget: Budget, data: Data, args: argparse.Namespace, checkpoint: Path) -> nn.Module:
    """The compact network."""
    pyro.set_rng_seed(args.seed)
    net = mlp(data.x[0].numel(), 300, 100, 10)
    # No penalty: the budget alone closes gates.
    model = Classifier(bayesianize(net, gate=L0(0.0)), num_data=len(data.x))
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
def measure(budget: Budget, small: nn.Module, data: Data) -> dict[str, Any]:
    dense = count(mlp(data.x[0].numel(), 300, 100, 10), data.x[:1])
    sparse = count(small, data.x[:1])
    shares = {"weights": sparse.weights / dense.weights, "macs": sparse.macs / dense.macs}
    wrong = (small(data.x_test).argmax(-1) != data.y_test).float().mean().item()
    return {
        "budget": budget.kind,
        "target %": 100 * budget.limit,
        "reached %": 100 * shares[budget.kind],
        "off %": 100 * (shares[budget.kind] / budget.limit - 1),
        "error %": 100 * wrong,
        "architecture": sparse.architecture,
        "weights": sparse.weights,
        "MACs": sparse.macs,
    }


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Error against what is left, and the front that no other training beats."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for kind, marker in (("weights", "o"), ("macs", "s")):
        own = [row for row in rows if row["budget"] == kind]
        sizes, errors = ([row[name] for row in own] for name in ("reached %", "error %"))
        axes.plot(sizes, errors, marker, label=f"budget of {kind}")
        for row in own:
            axes.axvline(row["target %"], color="0.9", zorder=0)

    front = pareto([row for row in rows if row["budget"] == "weights"], "reached %", "error %")
    axes.plot(
        [r["reached %"] for r in front], [r["error %"] for r in front], color="0.6", zorder=1
    )
    axes.set(xscale="log", xlabel="left of the network [%]", ylabel="error on test images [%]")
    axes.set_xticks(sorted({row["target %"] for row in rows}), minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda *_: "")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-root", type=Path, default=Path("../shared/data"))
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

    def run(name: str, budget: Budget, checkpoint: Path) -> dict[str, Any]:
        row = measure(budget, train(budget, data, args, checkpoint), data)
        print(f"{name}: {row}", flush=True)
        return row

    settings = budgets((0.5,) if args.smoke else TARGETS)
    rows = sweep(run, settings, args.out / f"seed-{args.seed}")
    about = {"seed": args.seed, "epochs": args.epochs, "gate_lr": GATE_LR, "init_gate_prob": 0.5}
    about["data"] = "digits" if args.smoke else "mnist"
    (args.out / "sweep.json").write_text(json.dumps(about | {"rows": rows}, indent=1))
    draw(rows, args.out / "sweep.png")
    print(as_table(rows))


if __name__ == "__main__":
    main()
