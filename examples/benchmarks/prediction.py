"""What does a prediction averaged over 100 draws cost?

LeNet-300-100 with normal weights, by the number of inputs: `predict`, which takes several inputs
or several draws at once; a bare loop over draws in torch; and Pyro's `Predictive`, which draws
the answers too. Each takes its turns in one process.

    python -m examples.benchmarks.prediction [--inputs 1 10 100 ...] [--draws 100]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from pyro.infer import Predictive
from torch import Tensor

from examples.benchmarks.timing import interleaved, machine
from examples.support.table import as_table
from models.lenet import lenet_300_100
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import global_draws, predict
from pyro_sparse.local import peel
from pyro_sparse.nn import Classifier, bayesianize

LOOP = "loop by hand"


def contenders(model: Any, guide: Any, x: Tensor, draws: int) -> dict[str, Callable[[], Tensor]]:
    """Mean probabilities in three ways, by name."""
    laws = {site: peel(law) for site, law in guide.laws().items()}
    biases = dict(model.net.named_parameters())

    @torch.no_grad()
    def loop() -> Tensor:
        total = torch.zeros((), device=x.device)
        for _ in range(draws):
            hidden = x
            for layer in ("fc1", "fc2", "fc3"):
                hidden = hidden if layer == "fc1" else hidden.relu()
                weight = laws[f"{layer}.weight"].sample()
                hidden = F.linear(hidden, weight, biases[f"{layer}.bias"])
            total = total + hidden.softmax(-1)
        return total / draws

    @torch.no_grad()
    def pyro() -> Tensor:
        predictive = Predictive(model, guide=guide, num_samples=draws, return_sites=["obs"])
        with global_draws():
            found = predictive(x)["obs"]
        return F.one_hot(found, 10).float().mean(0)

    @torch.no_grad()
    def ours() -> Tensor:
        found: Any = predict(model, guide, x, num_samples=draws)
        return found.probs

    return {LOOP: loop, "Pyro Predictive": pyro, "predict": ours}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, nargs="+", default=[1, 10, 100, 1000, 10000])
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/prediction"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.inputs, args.draws, args.rounds = [4], 3, 1

    net = bayesianize(lenet_300_100(), weight=Normal(0.0, 1.0))
    model = Classifier(net, num_data=60_000).to(args.device)
    guide = AutoSparse(model)
    rows = []
    for size in args.inputs:
        x = torch.rand(size, 784, device=args.device)
        times = interleaved(contenders(model, guide, x, args.draws), args.rounds, 1, warm_up=1)
        rows += [
            {"inputs": size, "contender": name, "ms": ms, "ratio": ms / times[LOOP]}
            for name, ms in times.items()
        ]
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "prediction.json"
    settings = {"draws": args.draws, "rounds": args.rounds, **machine()}
    file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
