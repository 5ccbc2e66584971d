"""What does ArviZ say of a sparse posterior, and of three degrees of sparsity?

Fits a small Bayesian network to scikit-learn's diabetes data three times: dense; sparse, with a
prior of 1/5 that a feature is used; and sparser, with one of 1/1000. Then uses what people use
ArviZ for: a summary, leave-one-out cross-validation, the comparison of models, a forest plot,
densities, and a posterior predictive check. Works in both of ArviZ's lines, 0.22 and 1.0 on.

    python -m examples.arviz_tutorial [--epochs N] [--seed N] [--out DIR]
"""

import argparse
import importlib
import warnings
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pyro
import torch

from examples.feature_selection import train_gated
from examples.support.tabular import TABLES, split
from pyro_sparse.inspect import load_arviz, save_arviz, to_arviz

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the older line announces the newer one
    arviz: Any = importlib.import_module("arviz")

plt.switch_backend("Agg")

PRIORS = {"dense": None, "sparse": 0.2, "sparser": 0.001}
GATES, WEIGHTS = "0.gate", "2.weight"

# The newer line has other names for some of the plots.
NEW = hasattr(arviz, "plot_ppc_dist")


def draws(name: str, epochs: int, seed: int) -> Any:
    """The posterior of one network, at the data it was trained on, as an ArviZ result."""
    table = TABLES["diabetes"]
    data, features = split(table, seed)
    pyro.set_rng_seed(seed)
    model, guide = train_gated(table, data, epochs, PRIORS[name])
    dims = {GATES: ["feature"], WEIGHTS: ["output", "unit"]}
    if PRIORS[name] is None:
        del dims[GATES]
    return to_arviz(
        model,
        guide,
        *(data.x, data.y),
        sites=list(dims),
        dims=dims,
        coords={"feature": features},
        attrs={"seed": seed, "network": name},
    )


def save_picture(title: str, path: Path) -> None:
    figure = plt.gcf()
    figure.suptitle(title, y=1.15)
    figure.savefig(path, dpi=90, bbox_inches="tight")
    plt.close("all")


def draw(result: Any, out: Path) -> None:
    """Forest, densities and predictive check of one posterior."""
    arviz.plot_forest(result, var_names=[GATES], combined=True)
    save_picture("Gates of the features", out / "forest.png")

    plot_densities = arviz.plot_dist if NEW else arviz.plot_posterior
    plot_densities(result, var_names=[WEIGHTS], coords={"unit": [0, 1, 2, 3]})
    save_picture("Densities of the weights of four hidden units", out / "density.png")

    if NEW:
        arviz.plot_ppc_dist(result, num_samples=50)
    else:
        arviz.plot_ppc(result, num_pp_samples=50)
    save_picture("Responses, observed and predicted", out / "predictive_check.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/arviz_tutorial"))
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    epochs = 2 if args.smoke else args.epochs
    results = {name: draws(name, epochs, args.seed) for name in PRIORS}

    # Of one chain there is no r-hat, and none is missed where draws are independent.
    warnings.simplefilter("ignore")
    print(f"ArviZ {arviz.__version__}\n\n{arviz.summary(results['sparse'], var_names=[GATES])}\n")
    for name, result in results.items():
        print(f"{name}: {arviz.loo(result)}\n")
    print(arviz.compare(results))

    draw(results["sparse"], args.out)
    file = save_arviz(results["sparse"], args.out / "sparse.nc", overwrite=True)
    again = load_arviz(file)
    print(f"\nWrote {args.out}: forest.png, density.png, predictive_check.png, sparse.nc")
    print(f"In the file: {', '.join(sorted(again['constant_data'].data_vars))}")


if __name__ == "__main__":
    main()
