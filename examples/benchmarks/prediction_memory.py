"""How much memory does a prediction take that averages 100 networks over 10,000 images?

The highest memory of a fresh process, beyond what it held before the call, for images of MNIST's
size and the two LeNets, with gates and sampled weights, for several bounds. What is in the images
does not matter to memory, so they are noise.

    python -m examples.benchmarks.prediction_memory [--images 10000] [--out FOLDER]
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from examples.benchmarks.memory import added, in_fresh_processes
from examples.benchmarks.timing import machine
from examples.support.table import as_table
from models.lenet import lenet5, lenet_300_100
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import predict
from pyro_sparse.nn import Classifier, bayesianize

NETWORKS: dict[str, Callable[[], nn.Module]] = {"LeNet-300-100": lenet_300_100, "LeNet-5": lenet5}
# Name, bound in MiB, draws. A convolutional network takes seconds a draw and no more memory later.
CASES = (
    ("LeNet-300-100", 64, 100),
    ("LeNet-300-100", 256, 100),
    ("LeNet-300-100", 1024, 100),
    ("LeNet-5", 256, 10),
)


def measured(name: str, images: int, draws: int, bound: int) -> float:
    """Additional memory in MiB of a prediction that was told to stay below a bound in MiB."""
    torch.set_num_threads(1)
    bayesian = bayesianize(NETWORKS[name](), weight=LogUniform(), gate=L0(1.0))
    model = Classifier(bayesian, num_data=60_000)
    guide = AutoSparse(model)
    x = torch.rand(images, 1, 28, 28)
    predict(model, guide, x[:2], num_samples=1)

    return added(lambda: predict(model, guide, x, num_samples=draws, max_bytes=bound * 2**20))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=Path("runs/prediction_memory"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.images = 10

    cases = CASES[:1] if args.smoke else CASES
    asked = [(name, args.images, draws, bound) for name, bound, draws in cases]
    found = in_fresh_processes(measured, asked)
    rows = [
        {"network": name, "images": images, "draws": draws, "bound MiB": bound, "peak MiB": peak}
        for (name, images, draws, bound), peak in zip(asked, found, strict=True)
    ]
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "prediction_memory.json"
    file.write_text(json.dumps({"settings": machine(), "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
