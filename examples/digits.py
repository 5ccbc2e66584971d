"""How small can a network that reads digits become, and what does it cost?

Trains a 64-300-100-10 network on scikit-learn's 1,797 real digits three times: dense, with L0
hard-concrete gates, and by sparse variational dropout. Removes what the posteriors allow, checks
that the smaller networks give the same outputs, and writes them down beside pictures and draws.

    python -m examples.digits [--method METHOD ...] [--epochs N] [--seed N] [--out DIR]
"""

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from torch import nn

from examples.support.data import Data, digits
from examples.support.pictures import draw_architectures, draw_training
from examples.support.table import as_table
from examples.support.training import BATCH, descend
from models.lenet import mlp
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Classification, TraceSparse_ELBO, predict
from pyro_sparse.inspect import calibration_scores, report, save_arviz, to_arviz
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze, save

LEGEND = """
Error, weights and MACs are those of the compact network, NLL and ECE those of the mean of 50
posterior draws. Difference: the largest between the outputs of the network with zeros and of the
compact one, relative to the largest output.
"""


@dataclass(frozen=True)
class Recipe:
    """How one method is trained."""

    title: str
    epochs: int
    lr: float = 1e-3
    gate_lr: float = 3e-2
    warm_up: tuple[float, float] = (0.0, 0.01)
    priors: dict[str, Any] = field(default_factory=dict)
    guide: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "dense": Recipe("dense", epochs=60),
    "l0": Recipe(
        "L0 hard concrete",
        epochs=150,
        warm_up=(0.1, 0.6),
        priors={"gate": L0(0.2)},
        guide={"init_gate_prob": 0.5},
    ),
    "vd": Recipe(
        "sparse variational dropout",
        epochs=100,
        lr=5e-3,
        warm_up=(0.3, 1.0),
        priors={"weight": LogUniform()},
    ),
}


@dataclass(frozen=True)
class Trained:
    """What training one method left: a plain network, and the program it came from, if any."""

    frozen: nn.Module
    program: tuple[Classifier, AutoSparse] | None
    history: dict[str, list[float]]


def train(recipe: Recipe, data: Data, epochs: int) -> Trained:
    net = mlp(64, 300, 100, 10).to(data.x.device)
    settings = (data.x, data.y, epochs, recipe.lr, recipe.gate_lr)
    if not recipe.priors:
        history = descend(
            net,
            lambda x, y: F.cross_entropy(net(x), y),
            *settings,
            lambda: {"error": error(net, data)},
            recipe.title,
        )
        return Trained(net, None, history)

    total = epochs * len(data.x.split(BATCH))
    start, end = (share * total for share in recipe.warm_up)
    model = Classifier(bayesianize(net, **recipe.priors), num_data=len(data.x))
    guide = AutoSparse(model, **recipe.guide)
    elbo = TraceSparse_ELBO(kl_weight=lambda step: min(max((step - start) / (end - start), 0), 1))
    bound = elbo(model, guide)

    def look() -> dict[str, float]:
        smaller = compact(freeze(model, guide), data.x[:2], allow_empty=True)
        kl = sum(value.item() for value in elbo.parts.kl.values()) if elbo.parts else 0.0
        alive = nonzero_weights(smaller) / nonzero_weights(net)
        return {"error": error(smaller, data), "KL": kl, "alive": alive}

    history = descend(bound, lambda x, y: bound(x, y) / len(data.x), *settings, look, recipe.title)
    return Trained(freeze(model, guide), (model, guide), history)


@torch.no_grad()
def error(net: nn.Module, data: Data) -> float:
    """Share of test images read wrongly."""
    return (net(data.x_test).argmax(-1) != data.y_test).float().mean().item()


def nonzero_weights(net: nn.Module) -> int:
    return sum(int(p.count_nonzero()) for p in net.parameters() if p.ndim > 1)


def assess(name: str, trained: Trained, data: Data, out: Path) -> dict[str, Any]:
    """One row of the table; writes the compact network."""
    smaller = compact(trained.frozen, data.x[:2])
    with torch.no_grad():
        whole, less = trained.frozen(data.x_test), smaller(data.x_test)
        probs = whole.softmax(-1)
    if trained.program is not None:
        prediction = predict(*trained.program, data.x_test, num_samples=50)
        assert isinstance(prediction, Classification)
        probs = prediction.probs

    save(out / f"{name}.safetensors", smaller)
    dense, sparse = (count(net, data.x[:1]) for net in (mlp(64, 300, 100, 10), smaller))
    scores = calibration_scores(probs, data.y_test)
    return {
        "method": RECIPES[name].title,
        "error %": 100 * error(smaller, data),
        "architecture": sparse.architecture,
        "weights kept %": 100 * sparse.weights / dense.weights,
        "non-zero %": 100 * nonzero_weights(smaller) / dense.weights,
        "MACs": sparse.macs,
        "NLL": scores["nll"],
        "ECE": scores["ece"],
        "difference": ((whole - less).abs().max() / whole.abs().max()).item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--epochs", type=int, help="instead of each method's own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    args.out.mkdir(parents=True, exist_ok=True)
    data = digits(args.seed, torch.device(args.device))
    results, rows = {}, []
    for name in args.method:
        pyro.set_rng_seed(args.seed)
        epochs = 2 if args.smoke else args.epochs or RECIPES[name].epochs
        results[name] = train(RECIPES[name], data, epochs)
        rows.append(assess(name, results[name], data, args.out))

    print(as_table(rows))
    print(LEGEND)
    draw_architectures({r["method"]: r["architecture"] for r in rows}, args.out)
    for name, trained in results.items():
        if trained.program is not None:
            print(f"\n{RECIPES[name].title}")
            print(report(*trained.program, data.x[:2]))
            draw_training(trained.program[1], trained.history, (8, 8), args.out / f"{name}.png")

    gated = results.get("l0")
    if gated is not None and gated.program is not None:
        inference = to_arviz(*gated.program, data.x_test, data.y_test)
        save_arviz(inference, args.out / "posterior.nc", overwrite=True)

    (args.out / "results.json").write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=2))
    print(f"Wrote {args.out}: {', '.join(sorted(path.name for path in args.out.iterdir()))}")


if __name__ == "__main__":
    main()
