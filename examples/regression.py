"""What does a sparse network know of a curve, and where does it know that it does not?

Fits a network of 50 hidden units to 100 noisy points of a curve. A gate sits behind every unit;
the posterior keeps the units that the curve needs, and its band widens where there are no points.
It need not hold the curve there: the network goes on straight, and the points do not say better.

    python -m examples.regression [--steps N] [--seed N] [--out DIR]
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import pyro
import torch
from pyro.distributions import Bernoulli, Normal
from torch import Tensor, nn

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Regression, TraceSparse_ELBO, predict
from pyro_sparse.nn import Regressor, bayesianize
from pyro_sparse.prune import compact, freeze

plt.switch_backend("Agg")

UNITS, POINTS, NOISE = 50, 100, 0.1


def curve(x: Tensor) -> Tensor:
    return (2 * x).sin() + 0.3 * x


def observed() -> tuple[Tensor, Tensor]:
    """Points from the middle of the picture."""
    x = torch.empty(POINTS, 1).uniform_(-3, 2.5)
    return x, curve(x) + NOISE * torch.randn_like(x)


def train(x: Tensor, y: Tensor, steps: int) -> tuple[Regressor, AutoSparse]:
    """A spike and a slab for each hidden unit; the noise is learnt too."""
    net = nn.Sequential(nn.Linear(1, UNITS), nn.GELU(), nn.Linear(UNITS, 1))
    bayesian = bayesianize(
        net,
        weight=Normal(0.0, 3.0),
        bias=Normal(0.0, 3.0),
        gate=Bernoulli(0.1),
        gate_dim=lambda name, module: "in" if name == "2" else None,
    )
    model = Regressor(bayesian, num_data=len(x), noise=0.5)
    guide = AutoSparse(model, init_scale=0.02)

    bound = TraceSparse_ELBO(kl_weight=lambda step: min(1.0, 2 * step / steps))(model, guide)
    optimizer = torch.optim.Adam(bound.parameters(), lr=1e-2)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, 2 - 2 * t / steps))
    for _ in range(steps):
        optimizer.zero_grad()
        bound(x, y).backward()
        optimizer.step()
        rate.step()
    return model, guide


def draw(x: Tensor, y: Tensor, grid: Tensor, found: Regression, title: str, path: Path) -> None:
    """The posterior mean between its two bands."""
    at, mean = grid[:, 0], found.mean[:, 0]
    figure, axes = plt.subplots(figsize=(7, 4), layout="tight")
    bands = {"noise": (found.variance, "#D0E4F0"), "network": (found.epistemic, "#79B3DA")}
    for name, (variance, colour) in bands.items():
        half = 2 * variance[:, 0].sqrt()
        label = f"±2 s.d., {name}" + (" included" if name == "noise" else " alone")
        axes.fill_between(at, mean - half, mean + half, color=colour, linewidth=0, label=label)

    axes.plot(at, mean, color="#0072B2", label="posterior mean")
    axes.plot(at, curve(at), color="0.2", linestyle="--", linewidth=1, label="the curve")
    axes.scatter(x, y, s=12, color="black", zorder=3, label="points")
    axes.set(xlabel="x", ylabel="y", xlim=(-5, 4.5), ylim=(-5, 5))
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower right")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/regression"))
    parser.add_argument("--smoke", action="store_true", help="ten steps, to see that it runs")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    pyro.set_rng_seed(args.seed)
    x, y = observed()
    model, guide = train(x, y, 10 if args.smoke else args.steps)

    grid = torch.linspace(-5, 4.5, 300)[:, None]
    found = predict(model, guide, grid, num_samples=300)
    assert isinstance(found, Regression)
    small = compact(freeze(model, guide), x[:2], allow_empty=True)
    left = next(layer.out_features for layer in small.modules() if isinstance(layer, nn.Linear))

    among = (grid >= x.min()) & (grid <= x.max())
    doubt = found.epistemic.sqrt()
    row = {"seed": args.seed, "units": UNITS, "left": left, "noise": model.log_noise.exp().item()}
    row |= {"sd among points": doubt[among].mean().item(), "beyond": doubt[~among].mean().item()}

    args.out.mkdir(parents=True, exist_ok=True)
    title = f"{left} of {UNITS} units left, noise {row['noise']:.2f}"
    draw(x, y, grid, found, title, args.out / "regression.png")
    (args.out / "regression.json").write_text(json.dumps(row, indent=2))
    print("\n".join(f"{name}: {value:.3g}" for name, value in row.items()))
    print(f"Wrote {args.out}: regression.json, regression.png")


if __name__ == "__main__":
    main()
