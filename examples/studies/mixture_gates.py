"""How do a concrete gate and three mixture gates differ?

Density, inverse cdf and the gradient of a sample in q along the inverse cdf, at q = 1/2, after
figure 3 of the supplement of Huang, Chen, Wu (2020),
https://doi.org/10.1109/CVPRW50498.2020.00355

    python -m examples.studies.mixture_gates [--out DIR]
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions import (
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    UniformExponential,
)
from pyro_sparse.distributions.hard_concrete import StretchedConcrete

plt.switch_backend("Agg")

# name: the law at log odds, and what is varied
ROWS: dict[str, tuple[Callable[[Tensor, float], Distribution], list[float]]] = {
    "concrete": (
        lambda logits, beta: StretchedConcrete(torch.tensor(1 / beta).double(), logits),
        [1.5, 2.0, 4.0],
    ),
    "exponential": (
        lambda logits, beta: MixtureGate(logits=logits, off=TruncatedExponential(beta)),
        [5.0, 8.0, 10.0],
    ),
    "exponential-uniform": (
        lambda logits, beta: MixtureGate(logits=logits, off=UniformExponential(beta)),
        [5.0, 8.0, 10.0],
    ),
    "power function": (
        lambda logits, beta: MixtureGate(logits=logits, off=PowerFunction(beta)),
        [5.0, 10.0, 20.0],
    ),
}


def draw(row: list[Axes], build: Callable[[Tensor, float], Distribution], beta: float) -> None:
    z = torch.linspace(0.005, 0.995, 500, dtype=torch.float64)
    u = torch.linspace(0.002, 0.998, 500, dtype=torch.float64)
    q = torch.full((500,), 0.5, dtype=torch.float64, requires_grad=True)
    law = build(q.logit(), beta)

    density = law.log_prob(z).exp().detach()
    inverse = law.icdf(u)
    (slope,) = torch.autograd.grad(inverse.sum(), q)

    for axes, x, y in zip(row, (z, u, u), (density, inverse.detach(), slope), strict=True):
        axes.plot(x, y, label=f"{beta:g}")


def picture() -> plt.Figure:
    figure, grid = plt.subplots(len(ROWS), 3, figsize=(11, 12), layout="constrained")
    for row, (name, (build, betas)) in zip(grid, ROWS.items(), strict=True):
        for beta in betas:
            draw(list(row), build, beta)

        row[0].set(yscale="log", xlabel="gate", ylabel=f"{name}\ndensity")
        row[1].set(xlabel="u", ylabel="inverse cdf")
        row[2].set(xlabel="u", ylabel="d gate / d q")
        row[0].yaxis.set_minor_formatter(NullFormatter())
        row[0].legend(title="1 / temperature" if name == "concrete" else "beta")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--smoke", action="store_true", help="the same; it takes a second")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    picture().savefig(args.out / "mixture_gates.png", dpi=100)
    print(f"Wrote {args.out / 'mixture_gates.png'}")


if __name__ == "__main__":
    main()
