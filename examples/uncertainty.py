"""Does a network know what it does not know, and does sparsity cost it that?

Trains a 64-100-10 network on scikit-learn's digits as a dense one and, with a gate an input unit,
as sparse ones: with L0 gates; with a spike and a slab for the weights; and with these at a tenth
of their weight in the bound, a cold posterior. Asks each about digits it has not seen, about the
same digits rotated and under noise, and about squares of photographs, which are no digits.

    python -m examples.uncertainty [--epochs N] [--repeats N] [--seed N] [--out DIR]
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Bernoulli, Normal
from torch import Tensor

from examples.support.data import Data, digits
from examples.support.shift_pictures import draw_shifts, entropy
from examples.support.shifts import noisy, photographs, rotated
from examples.support.table import as_table
from examples.support.training import BATCH, descend
from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Classification, TraceSparse_ELBO, predict
from pyro_sparse.inspect import calibration_scores, ood_detection, risk_coverage
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze

LEGEND = """
NLL, Brier, ECE and error of predictions that average 100 draws; AURC is the area under the curve
of error against the share answered. AUROC and FPR95: how well the entropy of the prediction tells
this data from the digits, and the share of it that is let in where 95 % of the digits are.
"""


@dataclass(frozen=True)
class Method:
    """Priors, what the guide is told, weight of the divergences, and colour and dash of a line."""

    look: tuple[str, str]
    priors: dict[str, Any] = field(default_factory=dict)
    guide: dict[str, Any] = field(default_factory=dict)
    pressure: float = 1.0


SLAB = Normal(0.0, 1.0)
METHODS = {
    "dense": Method(("#D55E00", ":")),
    "L0 gates": Method(("#000000", "-."), {"gate": L0(0.4)}, {"init_gate_prob": 0.5}),
    "spike and slab": Method(("#56B4E9", "--"), {"weight": SLAB, "gate": Bernoulli(0.1)}),
    "the same, cold": Method(("#0072B2", "-"), {"weight": SLAB, "gate": Bernoulli(0.01)}, {}, 0.1),
}


class Network:
    """A trained network that says what it thinks of images.

    Args:
        name: Name of the method.
        data: What to train on.
        epochs: Passes over it.
    """

    def __init__(self, name: str, data: Data, epochs: int) -> None:
        self.net = mlp(64, 100, 10)
        self.program: tuple[Classifier, AutoSparse] | None = None
        self.kept = 1.0
        method, size = METHODS[name], len(data.x)
        settings = (data.x, data.y, epochs, 3e-3, 3e-2, dict, name)

        if not method.priors:
            descend(self.net, lambda x, y: F.cross_entropy(self.net(x), y), *settings)
            return

        model = Classifier(bayesianize(self.net, **method.priors), size)
        guide = AutoSparse(model, init_scale=0.02, **method.guide)
        half = epochs * len(data.x.split(BATCH)) / 2
        elbo = TraceSparse_ELBO(kl_weight=lambda step: method.pressure * min(1.0, step / half))
        bound = elbo(model, guide)
        descend(bound, lambda x, y: bound(x, y) / size, *settings)

        self.program = model, guide
        small = compact(freeze(model, guide), data.x[:2], allow_empty=True)
        self.kept = count(small, data.x[:1]).weights / count(self.net, data.x[:1]).weights

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Class probabilities, `(N, 10)`."""
        x = images.flatten(1)
        if self.program is None:
            return self.net(x).softmax(-1)

        found = predict(*self.program, x, num_samples=100)
        assert isinstance(found, Classification)
        return found.probs


def row(name: str, network: Network, shift: str, images: Tensor, data: Data) -> dict[str, Any]:
    """What a network's predictions on one set of images are worth."""
    probs = network(images)
    found: dict[str, Any] = {"method": name, "weights kept %": 100 * network.kept, "data": shift}
    known = shift != "photographs"
    scores = calibration_scores(probs, data.y_test) if known else {}
    found |= {label: scores.get(label, "") for label in ("error", "nll", "brier", "ece")}
    found["aurc"] = risk_coverage(probs, data.y_test)[1].mean().item() if known else ""

    inside = entropy(network(data.x_test))
    detected = {} if shift == "digits" else ood_detection(inside, entropy(probs))
    return found | {label: detected.get(label, "") for label in ("auroc", "fpr95")}


def study(seed: int, epochs: int, picture: Path) -> Iterator[dict[str, Any]]:
    """Trains all methods, draws the picture, and yields a row for each method and data."""
    data = digits(seed, torch.device("cpu"))
    networks = {}
    for name in METHODS:
        pyro.set_rng_seed(seed)
        networks[name] = Network(name, data, epochs)

    images = data.x_test.unflatten(1, (8, 8))
    looks = {name: METHODS[name].look for name in networks}
    draw_shifts(networks, looks, images, data.y_test, picture)
    shifts = {
        "digits": images,
        "rotated by 30": rotated(images, 30),
        "noise 0.3": noisy(images, 0.3),
        "photographs": photographs(8),
    }
    for shift, shifted in shifts.items():
        for name, network in networks.items():
            yield row(name, network, shift, shifted, data)


def average(rows: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """One row of means; what is no number is the same in all."""
    return {
        key: mean(row[key] for row in rows) if isinstance(value, float) else value
        for key, value in rows[0].items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1, help="with seeds from --seed on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/uncertainty"))
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    epochs, picture = 2 if args.smoke else args.epochs, args.out / "uncertainty.png"
    seeds = range(args.seed, args.seed + args.repeats)
    studies = {seed: list(study(seed, epochs, picture)) for seed in seeds}

    print(as_table([average(rows) for rows in zip(*studies.values(), strict=True)]))
    print(LEGEND)
    (args.out / "uncertainty.json").write_text(json.dumps(studies, indent=2))
    print(f"Wrote {args.out}: uncertainty.json, uncertainty.png")


if __name__ == "__main__":
    main()
