"""How small do the systems of the papers make convolutional networks on CIFAR?

Trains AlexNet, a VGG-like network, a ResNet or a Wide ResNet by each named method, removes what
the posterior allows, and writes down error, weights and MACs of the compact network, the network
itself and pictures. A training that was interrupted goes on where it was. `examples.cifar_table`
puts the results together.

    python -m examples.cifar [--net NET] [--method METHOD ...] [--data DATA] [--data-root DIR]
                             [--seed N ...] [--epochs N] [--set NAME=VALUE ...] [--images N]
                             [--out DIR]

`--set` changes numbers of a method, such as `budget=0.3`, `lr=0.05` or `pretrain=20`; see
`examples.convnets.methods`. A method that begins with a dense network takes the one that `dense`
trained for the same data and seed, or trains it first.

The data is torchvision's, which downloads it, or `cifar10_jpeg`: the same images re-encoded as
JPEG, in one file. On a GPU the bound is compiled, matrices are multiplied in bfloat16 and maps lie
side by side in memory; `--no-compiled`, `--no-autocast`, `--no-channels-last` say otherwise, and
`--compiled` and so on ask for it elsewhere.
"""

import argparse
import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyro
import torch

from examples.convnets.data import DATA, Images, load
from examples.convnets.methods import METHODS, Method
from examples.convnets.nets import NETS
from examples.convnets.pictures import draw_training
from examples.convnets.program import Way, train
from examples.convnets.result import look, result, smaller
from pyro_sparse.infer import Training
from pyro_sparse.prune import save

LOOKS = 40  # at most so many times a training: a look makes the compact network
SMOKE = 24  # images


def settings(args: argparse.Namespace, name: str) -> Method:
    """A method's settings with what the command line says otherwise."""
    method = replace(METHODS[name], **dict(args.set))
    method = replace(method, epochs=args.epochs or method.epochs)
    if args.smoke:
        method = replace(method, epochs=1, pretrain=min(method.pretrain, 1))
    return method


def change(text: str) -> tuple[str, Any]:
    """A setting of a method and its new value."""
    name, _, value = text.partition("=")
    known = {field.name for field in fields(Method)}
    if name not in known:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(sorted(known))}")
    return name, json.loads(value)


def run(args: argparse.Namespace, name: str, seed: int, images: Images, way: Way) -> None:
    """Trains one method and writes what came of it beside its checkpoint."""
    method = settings(args, name)
    every = max(1, -(-method.epochs // LOOKS))

    def now_and_then(training: Training) -> dict[str, float | str] | None:
        due = training.epoch % every == 0 and training.epoch < method.epochs
        return look(smaller(training, images)[1], training, images) if due else None

    stem = f"{args.net}-{args.data}-{name}-{seed}"
    pyro.set_rng_seed(seed)
    net = NETS[args.net].build(images.classes, method.dropout)
    start = args.out / f"{args.net}-{args.data}-dense-{seed}.checkpoint"
    files = (args.out / f"{stem}.checkpoint", start)
    training = train(method, args.net, net, images, seed, files, [now_and_then], way)

    frozen, small = smaller(training, images)
    about = {"net": args.net, "data": args.data, "method": name, "seed": seed}
    about["changes"] = dict(args.set)
    row = about | result(training, method, net, images, way, (frozen, small))
    save(args.out / f"{stem}.safetensors", small)
    (args.out / f"{stem}.part").write_text(json.dumps(row, indent=1))
    os.replace(args.out / f"{stem}.part", args.out / f"{stem}.json")
    draw_training(row, args.out / f"{stem}.png")
    print(
        f"{stem}: error {row['error']:.2f} %, {row['nonzeros']:,} of {row['dense_weights']:,} "
        f"weights, {100 * row['macs'] / row['dense_macs']:.1f} % of the MACs; "
        f"largest difference to the network with zeros {row['difference']:.1e}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=NETS, default="resnet20")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--data", choices=DATA, default="cifar10")
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="instead of each method's own number")
    parser.add_argument("--set", nargs="+", type=change, default=[], metavar="NAME=VALUE")
    parser.add_argument("--images", type=int, help="train on this many images only")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name in vars(Way()):
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, action=argparse.BooleanOptionalAction)
    parser.add_argument("--smoke", action="store_true", help="a step with a few images")
    args = parser.parse_args()

    device = torch.device(args.device)
    asked = {name: getattr(args, name) for name in vars(Way())}
    quick = device.type == "cuda" and not args.smoke
    way = Way(**{name: quick if value is None else value for name, value in asked.items()})
    args.out.mkdir(parents=True, exist_ok=True)
    # training multiplies in bfloat16 where that is wanted; looks compare networks exactly
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    images = load(args.data, args.data_root, device, SMOKE if args.smoke else args.images)
    for seed in args.seed:
        for name in args.method:
            run(args, name, seed, images, way)


if __name__ == "__main__":
    main()
