"""Which gate gives the calmest gradients at a given sharpness?

Variance of the gradient of a sample in q, against the mean distance of a sample from its rounded
self, at q = 1/2, after figure 4 of the supplement of Huang, Chen, Wu (2020),
https://doi.org/10.1109/CVPRW50498.2020.00355 (whose temperatures of the concrete law are inverse
temperatures). Its claims are checked by interpolation, at equal distance and at equal variance.

    python -m examples.studies.gradient_variance [--samples 1000000] [--seed N] [--out DIR]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from examples.support.table import as_table
from pyro_sparse.distributions import (
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    UniformExponential,
)
from pyro_sparse.distributions.hard_concrete import StretchedConcrete

plt.switch_backend("Agg")

GRIDS: dict[str, tuple[Callable[[Tensor, float], Distribution], list[float]]] = {
    "concrete": (
        lambda logits, beta: StretchedConcrete(torch.tensor(1 / beta).double(), logits),
        [40, 34, 28, 22, 16, 10, 7, 4],
    ),
    "exponential": (
        lambda logits, beta: MixtureGate(logits=logits, off=TruncatedExponential(beta)),
        [8, 9, 10, 11, 12, 13, 14, 15],
    ),
    "exponential-uniform": (
        lambda logits, beta: MixtureGate(logits=logits, off=UniformExponential(beta)),
        [9, 10, 11, 12, 13, 14, 15, 16],
    ),
    "power function": (
        lambda logits, beta: MixtureGate(logits=logits, off=PowerFunction(beta)),
        [10, 20, 30, 40, 50, 60, 70, 80],
    ),
}

# what the paper claims: the first has less variance than the second
CLAIMS = [
    ("exponential-uniform", "exponential"),
    ("power function", "exponential"),
    ("power function", "concrete"),
]


def measure(build: Callable[[Tensor, float], Distribution], beta: float, count: int) -> Tensor:
    """Variance of the gradient, and mean distance from the rounded gate."""
    q = torch.full((count,), 0.5, dtype=torch.float64, requires_grad=True)
    gate = build(q.logit(), beta).rsample()
    (slope,) = torch.autograd.grad(gate.sum(), q)
    return torch.stack([slope.var(), (gate - gate.round()).abs().mean()]).detach()


def ratios(first: Tensor, second: Tensor, given: int) -> list[float]:
    """The other column of the first curve over the second's, where both reach the given one."""
    low = max(curve[:, given].min().item() for curve in (first, second))
    high = min(curve[:, given].max().item() for curve in (first, second))
    if low > high:
        return []

    at = torch.linspace(low, high, 9, dtype=torch.float64)
    logs = [interpolate(at, c[:, given], c[:, 1 - given].log()) for c in (first, second)]
    return (logs[0] - logs[1]).exp().tolist()


def verdict(first: str, second: str, curves: dict[str, Tensor]) -> dict[str, str]:
    row = {"less variance": first, "than": second}
    for title, given in (("at equal distance", 1), ("distance at equal variance", 0)):
        found = ratios(curves[first], curves[second], given)
        row[title] = f"x {min(found):.2f}-{max(found):.2f}" if found else "never equal"
    return row


def interpolate(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    order = x.argsort()
    x, y = x[order], y[order]
    right = torch.searchsorted(x, at).clamp(1, len(x) - 1)
    share = (at - x[right - 1]) / (x[right] - x[right - 1])
    return y[right - 1] + share * (y[right] - y[right - 1])


def picture(curves: dict[str, Tensor]) -> plt.Figure:
    figure, axes = plt.subplots(figsize=(6, 4.5), layout="constrained")
    for name, curve in curves.items():
        axes.plot(*curve.T, marker="o", label=name)

    axes.set(
        xlabel="variance of d gate / d q", ylabel="mean |gate - rounded gate|", ylim=(0, None)
    )
    axes.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--smoke", action="store_true", help="few samples, to see that it runs")
    args = parser.parse_args()
    pyro.set_rng_seed(args.seed)
    count = 1000 if args.smoke else args.samples

    curves = {
        name: torch.stack([measure(build, beta, count) for beta in betas])
        for name, (build, betas) in GRIDS.items()
    }
    rows = [verdict(first, second, curves) for first, second in CLAIMS]
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    picture(curves).savefig(args.out / "gradient_variance.png", dpi=100)
    measured = {
        name: [
            {"beta": b, "variance": v, "distance": d}
            for b, (v, d) in zip(GRIDS[name][1], curve.tolist(), strict=True)
        ]
        for name, curve in curves.items()
    }
    settings = {"samples": count, "seed": args.seed}
    file = args.out / "gradient_variance.json"
    file.write_text(json.dumps({**settings, "claims": rows, "curves": measured}, indent=2))
    print(f"Wrote {file} and gradient_variance.png beside it")


if __name__ == "__main__":
    main()
