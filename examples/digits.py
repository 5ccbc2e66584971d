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

import matplotlib.pyplot as plt
import pyro
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.data import Data, digits
from examples.table import as_table
from examples.training import BATCH, descend
from models.lenet import mlp
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, predict
from pyro_sparse.inspect import calibration_scores, plots, report, to_arviz
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze, masks, save

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
    """What training one method left."""

    frozen: nn.Module
    model: nn.Module | None
    guide: AutoSparse | None
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
        return Trained(net, None, None, history)

    total = epochs * len(data.x.split(BATCH))
    start, end = (share * total for share in recipe.warm_up)
    model = Classifier(bayesianize(net, **recipe.priors), num_data=len(data.x))
    guide = AutoSparse(model, **recipe.guide)
    elbo = TraceSparse_ELBO(kl_weight=lambda step: min(max((step - start) / (end - start), 0), 1))
    bound = elbo(model, guide)

    def look() -> dict[str, float]:
        kept = torch.cat([mask.flatten() for mask in masks(guide).values()])
        kl = sum(value.item() for value in elbo.parts.kl.values()) if elbo.parts else 0.0
        wrong = error(freeze(model, guide), data)
        return {"error": wrong, "KL": kl, "alive": kept.float().mean().item()}

    history = descend(bound, lambda x, y: bound(x, y) / len(data.x), *settings, look, recipe.title)
    return Trained(freeze(model, guide), model, guide, history)


@torch.no_grad()
def error(net: nn.Module, data: Data) -> float:
    """Share of test images read wrongly."""
    return (net(data.x_test).argmax(-1) != data.y_test).float().mean().item()


def assess(name: str, trained: Trained, data: Data, out: Path) -> dict[str, Any]:
    """One row of the table; writes the compact network."""
    smaller = compact(trained.frozen, data.x[:2])
    with torch.no_grad():
        whole, less = trained.frozen(data.x_test), smaller(data.x_test)
        probs = whole.softmax(-1)
    if trained.model is not None:
        probs = predict(trained.model, trained.guide, data.x_test, num_samples=50).probs

    save(out / f"{name}.safetensors", smaller)
    dense, sparse = (count(net, data.x[:1]) for net in (mlp(64, 300, 100, 10), smaller))
    scores = calibration_scores(probs, data.y_test)
    return {
        "method": RECIPES[name].title,
        "error %": 100 * error(smaller, data),
        "architecture": sparse.architecture,
        "weights kept %": 100 * sparse.weights / dense.weights,
        "non-zero %": 100 * sum(m.nonzeros for m in sparse.layers) / dense.parameters,
        "MACs": sparse.macs,
        "NLL": scores["nll"],
        "ECE": scores["ece"],
        "difference": ((whole - less).abs().max() / whole.abs().max()).item(),
    }


def write_pictures(results: dict[str, Trained], rows: list[dict[str, Any]], out: Path) -> None:
    """One picture a method, and one of all architectures."""
    plt.switch_backend("Agg")
    for name, trained in results.items():
        if trained.guide is None:
            continue
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.2), layout="tight")
        laws = {site: law.law for site, law in trained.guide.laws().items()}
        first = masks(trained.guide)[next(iter(laws))]
        if name == "l0":
            plots.gate_probabilities({s: law.prob_active for s, law in laws.items()}, ax=left)
            plots.input_pixels(laws["fc1.gate"].prob_active, (8, 8), ax=middle)
        else:
            plots.log_alpha_histogram({s: log_alpha(law) for s, law in laws.items()}, ax=left)
            plots.input_pixels(first.any(0), (8, 8), ax=middle)
        history = trained.history
        gone = [1 - alive for alive in history["alive"]]
        plots.training_curves(history["error"], gone, history["epoch"], ax=right)
        figure.savefig(out / f"{name}.png", dpi=110)
        plt.close(figure)

    widths = {row["method"]: [int(n) for n in row["architecture"].split("-")] for row in rows}
    axes = plots.architecture_bars(widths, ["input", "fc1", "fc2"])
    axes.figure.savefig(out / "architectures.png", dpi=110, bbox_inches="tight")


def log_alpha(law: Any) -> Tensor:
    return 2 * (law.scale.log() - law.loc.abs().log())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--epochs", type=int, help="instead of each method's own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/digits"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()

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
    write_pictures(results, rows, args.out)
    for name, trained in results.items():
        if trained.model is not None and name == "l0":
            print(report(trained.model, trained.guide, data.x[:2]))
            inference = to_arviz(trained.model, trained.guide, data.x_test, data.y_test)
            inference.to_netcdf(str(args.out / "posterior.nc"))

    (args.out / "results.json").write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=2))
    print(f"Wrote {args.out}: {', '.join(sorted(path.name for path in args.out.iterdir()))}")


if __name__ == "__main__":
    main()
