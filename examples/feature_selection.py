"""Which features matter, and how sure can one be?

Puts a gate on every input of a small Bayesian network and reads off the probability that the
feature is used: on a planted problem (Friedman's function, in which 5 of 20 features matter), on
scikit-learn's breast cancer data (30 features) and on its diabetes data (10). Each network is
compared with the same one without gates and priors.

    python -m examples.feature_selection [--repeats N] [--seed N] [--out DIR]
"""

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Bernoulli, Categorical, Normal
from torch import Tensor, nn
from torch.distributions import Distribution

from examples.support.data import Data
from examples.support.forest import draw_features, draw_forest
from examples.support.table import as_table
from examples.support.tabular import TABLES, Table, split
from examples.support.training import BATCH, descend
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, predict
from pyro_sparse.inspect import gate_table, save_arviz, to_arviz
from pyro_sparse.nn import Classifier, Regressor, bayesianize

LEGEND = """
Used: features with P(active) > 1/2. Error, on the quarter held out: of breast cancer the share of
wrong answers, else the root mean square in standard deviations. NLL in nats. Means over repeats.
"""


def network(table: Table, features: int) -> nn.Module:
    out = table.classes or 1
    return nn.Sequential(
        nn.Linear(features, table.hidden), nn.ReLU(), nn.Linear(table.hidden, out)
    )


def train_dense(table: Table, data: Data, epochs: int) -> dict[str, float]:
    """Scores of the network without gates and priors."""
    net = network(table, data.x.shape[1])
    loss = F.cross_entropy if table.classes else F.mse_loss
    settings = (data.x, data.y, epochs, table.lr, table.lr, dict, "dense")
    descend(net, lambda x, y: loss(net(x), y), *settings)
    with torch.no_grad():
        found = net(data.x_test)
        noise = F.mse_loss(net(data.x), data.y).sqrt() if not table.classes else None
    law = Categorical(logits=found) if noise is None else Normal(found, noise)
    return scores(law, data.y_test)


def train_gated(
    table: Table, data: Data, epochs: int, active: float | None = 0.2
) -> tuple[nn.Module, AutoSparse]:
    """The network with a spike and a slab for the weights of each feature, or without spikes."""
    bayesian = bayesianize(
        network(table, data.x.shape[1]),
        weight=Normal(0.0, 1.0),
        gate=None if active is None else Bernoulli(active),
        gate_dim=lambda name, module: "in" if name == "0" else None,
    )
    size = len(data.x)
    model = Classifier(bayesian, size) if table.classes else Regressor(bayesian, size, noise=0.5)
    guide = AutoSparse(model, init_scale=0.05)

    half = epochs * len(data.x.split(BATCH)) / 2
    bound = TraceSparse_ELBO(kl_weight=lambda step: min(1.0, step / half))(model, guide)
    settings = (data.x, data.y, epochs, table.lr, 2e-2, dict, "gated")
    descend(bound, lambda x, y: bound(x, y) / size, *settings)
    return model, guide


def predictive(table: Table, model: nn.Module, guide: AutoSparse, x: Tensor) -> Distribution:
    found: Any = predict(model, guide, x, num_samples=200)
    if table.classes:
        return Categorical(found.probs)
    return Normal(found.mean, found.variance.sqrt())


def scores(law: Distribution, answer: Tensor) -> dict[str, float]:
    nll = -law.log_prob(answer).mean().item()
    if isinstance(law, Categorical):
        return {"error": (law.logits.argmax(-1) != answer).float().mean().item(), "NLL": nll}
    return {"error": (law.mean - answer).square().mean().sqrt().item(), "NLL": nll}


def study(name: str, seed: int, smoke: bool) -> tuple[dict[str, Any], Any]:
    """A row of results, and the draws of the gated network."""
    table = TABLES[name]
    epochs = 2 if smoke else table.epochs
    data, names = split(table, seed)

    pyro.set_rng_seed(seed)
    dense = train_dense(table, data, epochs)
    model, guide = train_gated(table, data, epochs)
    gated = scores(predictive(table, model, guide, data.x_test), data.y_test)

    active = gate_table(guide)["prob_active"].tolist()
    used = [probability > 0.5 for probability in active]
    row = {"seed": seed, "used": sum(used), "active": dict(zip(names, active, strict=True))}
    row |= {f"{score} dense": dense[score] for score in dense}
    row |= {f"{score} gated": gated[score] for score in gated}
    if table.relevant is not None:
        row["right"] = used == [i < table.relevant for i in range(len(names))]

    draws = to_arviz(
        model,
        guide,
        *(data.x_test, data.y_test),
        sites="*.gate",
        dims={"0.gate": ["feature"]},
        coords={"feature": names},
        attrs={"seed": seed, "problem": name},
    )
    return row, draws


def summary(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over repeats."""
    means = {
        f"{score} {kind}": mean(row[f"{score} {kind}"] for row in rows)
        for score in ("error", "NLL")
        for kind in ("dense", "gated")
    }
    right = f"{sum(row['right'] for row in rows)} of {len(rows)}" if "right" in rows[0] else ""
    used = mean(row["used"] for row in rows)
    features = len(rows[0]["active"])
    return {"problem": name, "features": features, "used": used, **means, "all right": right}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--repeats", type=int, default=1, help="with seeds from --seed on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/feature_selection"))
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the matrices are too small to be shared between threads

    results = {}
    for name in args.problem:
        seeds = range(args.seed, args.seed + args.repeats)
        studies = [study(name, seed, args.smoke) for seed in seeds]
        results[name] = [row for row, _ in studies]
        save_arviz(studies[0][1], args.out / f"{name}.nc", overwrite=True)
        draw_forest(studies[0][1], name, args.out / f"{name}_forest.png")

    draw_features({n: rows[0]["active"] for n, rows in results.items()}, args.out / "features.png")
    print(as_table([summary(name, rows) for name, rows in results.items()]))
    print(LEGEND)
    (args.out / "results.json").write_text(json.dumps(results, indent=2))
    print(f"Wrote {args.out}: {', '.join(sorted(path.name for path in args.out.iterdir()))}")


if __name__ == "__main__":
    main()
