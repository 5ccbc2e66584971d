"""How small do the systems of the papers make the two LeNets on MNIST, and what does it cost?

Trains LeNet-300-100 or LeNet-5-Caffe by each named method, removes what the posterior allows, and
writes down error, architecture, weights and MACs of the compact network, the network itself and
pictures. A training that was interrupted goes on where it was. `examples.mnist_table` compares
the results with the published ones.

    python -m examples.mnist [--net NET] [--method METHOD ...] [--seed N ...] [--data DATA]
                             [--data-root DIR] [--random-labels SHARE] [--shift PIXELS]
                             [--epochs N] [--out DIR]
"""

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

import pyro
import torch

from examples.lenet.data import DATA, load, with_random_labels
from examples.lenet.methods import METHODS, NETS, method_for
from examples.lenet.pictures import draw, draw_macs
from examples.lenet.program import train
from examples.lenet.result import expected_cost, gate_counts, measure, result, smaller
from examples.support.data import Data
from pyro_sparse.infer import Training
from pyro_sparse.prune import save


def run(args: argparse.Namespace, name: str, seed: int, data: Data) -> None:
    """Trains one method and writes what came of it beside its checkpoint."""
    method = method_for(args.net, name)
    if args.smoke:
        method = replace(method, epochs=1, pretrain=min(method.pretrain, 1))
    method = replace(method, epochs=args.epochs or method.epochs)

    def look(training: Training) -> dict[str, float | str]:
        seen = measure(smaller(training, data)[1], data)
        return seen | expected_cost(training, data) | gate_counts(training)

    kind = args.data
    if args.random_labels:
        kind += f"-random-{args.random_labels:g}"
        data = with_random_labels(data, args.random_labels, seed)
    if args.shift:
        kind += f"-shift-{args.shift}"
    stem = f"{args.net}-{kind}-{name}-{seed}"
    pyro.set_rng_seed(seed)
    net = NETS[args.net]()
    checkpoint = args.out / f"{stem}.checkpoint"
    compiled = not args.smoke
    training = train(method, net, data, seed, checkpoint, [look], compiled, args.shift)

    frozen, small = smaller(training, data)
    about = {"net": args.net, "data": kind, "method": name, "seed": seed}
    row = about | result(training, method, net, data, small, frozen)
    save(args.out / f"{stem}.safetensors", small)
    draw(training, method, args.out / f"{stem}.png")
    draw_macs(training, method, args.out / f"{stem}-macs.png")
    (args.out / f"{stem}.part").write_text(json.dumps(row, indent=1))
    os.replace(args.out / f"{stem}.part", args.out / f"{stem}.json")
    print(
        f"{stem}: error {row['error']:.2f} %, {row['architecture']}, "
        f"{row['nonzeros']:,} weights, 1/{row['compression']:.1f} of them"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="lenet_300_100")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--data", choices=DATA, default="mnist")
    parser.add_argument("--data-root", type=Path, default=Path("data"), help="torchvision's")
    parser.add_argument("--random-labels", type=float, default=0.0, help="share of them")
    parser.add_argument("--shift", type=int, default=0, help="pixels, of training images")
    parser.add_argument("--epochs", type=int, help="instead of each method's own number")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="an epoch of a few images")
    args = parser.parse_args()

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    args.out.mkdir(parents=True, exist_ok=True)
    limit = 500 if args.smoke else None
    data = load(args.data, args.data_root, torch.device(args.device), limit)
    for seed in args.seed:
        for name in args.method:
            run(args, name, seed, data)


if __name__ == "__main__":
    main()
