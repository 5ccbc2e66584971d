"""How long does a whole training take, to a given error and sparsity?

LeNet-300-100 on MNIST by sparse variational dropout, until the network whose weights of high
dropout rate (log alpha > 3) are 0 has no more than `--error` percent of errors and `--kept` of its
weights: by hand, eager and compiled; through Pyro's `TraceMeanField_ELBO`, with weights that are
drawn once a batch; and here, eager and compiled. Contenders take turns epoch by epoch; looking
does not count as training, compiling does.

    python -m examples.benchmarks.time_to_error [--data-root FOLDER] [--epochs 20]
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from examples.benchmarks.contenders import ByHand, N
from examples.benchmarks.timing import machine
from examples.lenet.data import load
from examples.support.data import Data
from examples.support.table import as_table
from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, global_draws
from pyro_sparse.local import peel
from pyro_sparse.nn import Classifier, bayesianize

BATCH = 250  # divides 60,000
WARM_UP = 0.3  # share of the training in which the weight of the divergences rises to 1

Moments = Callable[[], list[tuple[Tensor, Tensor, Tensor]]]


@dataclass
class Contender:
    """A training under way."""

    loss: Callable[[Tensor, Tensor, Tensor], Tensor]
    parameters: list[Tensor]
    moments: Moments
    seconds: float = 0.0
    step: int = 0
    curve: list[tuple[float, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.parameters, 2e-3, fused=True)

    def epoch(self, data: Data, steps: int) -> None:
        start = time.perf_counter()
        for batch in torch.randperm(len(data.x)).split(BATCH):
            weight = torch.tensor(min(1.0, (self.step + 1) / (WARM_UP * steps)))
            for group in self.optimizer.param_groups:
                group["lr"] = 2e-3 * min(1.0, 2 - 2 * self.step / steps)
            self.optimizer.zero_grad()
            self.loss(weight, data.x[batch], data.y[batch]).backward()
            self.optimizer.step()
            self.step += 1
        self.seconds += time.perf_counter() - start

    @torch.no_grad()
    def look(self, data: Data) -> None:
        """Error in percent and share of weights of the network with zeros."""
        x, left, total = data.x_test, 0, 0
        for i, (loc, variance, bias) in enumerate(self.moments()):
            kept = variance.log() - loc.square().log() <= 3
            left, total = left + int(kept.sum()), total + kept.numel()
            x = F.linear(x.relu() if i else x, loc * kept, bias)
        error = 100 * (x.argmax(-1) != data.y_test).float().mean().item()
        self.curve.append((self.seconds, error, left / total))


def by_hand(wrap: Callable) -> Contender:
    net = ByHand(784, 300, 100, 10)

    def moments() -> list[tuple[Tensor, Tensor, Tensor]]:
        triples = zip(net.loc, net.log_variance, net.bias, strict=True)
        return [(loc, log_variance.exp(), bias) for loc, log_variance, bias in triples]

    loss = wrap(net)
    return Contender(lambda w, x, y: loss(x, y, w), list(net.parameters()), moments)


def in_pyro(elbo: Any, sampled: bool = False) -> Contender:
    layers = [nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)]
    model = Classifier(bayesianize(nn.Sequential(*layers), weight=LogUniform()), N)
    guide = AutoSparse(model)
    bound = elbo(model, global_draws()(guide) if sampled else guide)

    def tempered(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
        # Pyro's bound has no weight of the divergences: more data instead, and a smaller loss.
        model.num_data = round(N / weight.item())
        return weight * bound(x, y)

    def weighted(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
        elbo.kl_weight = weight
        return bound(x, y)

    def moments() -> list[tuple[Tensor, Tensor, Tensor]]:
        laws: list[Any] = [peel(law) for law in guide.laws().values()]
        biases = [p for name, p in model.named_parameters() if name.endswith("bias")]
        return [(law.loc, law.variance, b) for law, b in zip(laws, biases, strict=True)]

    loss = weighted if isinstance(elbo, TraceSparse_ELBO) else tempered
    return Contender(loss, list(nn.ModuleList([model, guide]).parameters()), moments)


def contenders() -> dict[str, Contender]:
    return {
        "hand, eager": by_hand(lambda net: net),
        "hand, compiled": by_hand(torch.compile),
        "Pyro mean field": in_pyro(TraceMeanField_ELBO(), sampled=True),
        "ours, eager": in_pyro(TraceSparse_ELBO()),
        "ours, compiled": in_pyro(TraceSparse_ELBO(compile=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-root", type=Path, default=Path("data"), help="torchvision's folder"
    )
    parser.add_argument("--error", type=float, default=2.2)
    parser.add_argument("--kept", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_error"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    limit = 2 * BATCH if args.smoke else None
    data = load("mnist", args.data_root, torch.device("cpu"), limit)
    data = Data(data.x.flatten(1), data.y, data.x_test.flatten(1), data.y_test)
    epochs = 1 if args.smoke else args.epochs

    torch.manual_seed(0)
    running = contenders()
    for epoch in range(epochs):
        for name, contender in running.items():
            contender.epoch(data, epochs * len(data.x) // BATCH)
            contender.look(data)
            seconds, error, kept = contender.curve[-1]
            print(f"{epoch + 1:3} {name:<16} {seconds:6.1f} s  {error:5.2f} %  kept {kept:.3f}")

    rows = [row(name, contender, args) for name, contender in running.items()]
    print(as_table([{k: v for k, v in r.items() if k != "curve"} for r in rows]))
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "time_to_error.json"
    settings = {"error": args.error, "kept": args.kept, "epochs": epochs, **machine()}
    file.write_text(json.dumps({"settings": settings, "rows": rows}, indent=2))
    print(f"Wrote {file}")


def row(name: str, contender: Contender, args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to the goal, None if it was not met, and where the training ended."""
    met = (s for s, error, kept in contender.curve if error <= args.error and kept <= args.kept)
    return {
        "contender": name,
        "seconds": next(met, None),
        "total seconds": contender.seconds,
        "final error %": contender.curve[-1][1],
        "final kept": contender.curve[-1][2],
        "curve": [(seconds, error) for seconds, error, _ in contender.curve],
    }


if __name__ == "__main__":
    main()
