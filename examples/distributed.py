"""One training on several processes, GPUs or machines; the same program runs alone.

    python -m examples.distributed [--epochs N] [--out DIR]
    torchrun --nproc-per-node 2 -m examples.distributed [--epochs N] [--out DIR]

Every process reads its share of each batch. torch's DistributedDataParallel averages gradients,
so that the objective is the one of a single process on the whole batch; gates and priors are the
same everywhere, and only the first process writes.

Where a model is too large for that, shard the bound as a whole in a loop by hand,

    bound = TraceSparse_ELBO()(model, guide)
    fully_shard(bound)  # torch.distributed.fsdp
    optimizer = torch.optim.Adam(bound.parameters())

after which parameters, gradients and the optimiser's state are shared out, and losses are those
of one process (tested eagerly, with two processes on a CPU; not with `fit`, which replicates).
Modules inside the bound cannot be sharded one by one: a guide reads their parameters without
calling them.
"""

import argparse
import json
import os
from pathlib import Path

import pyro
import torch
from torch import distributed

from examples.support.data import digits
from models.lenet import mlp
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze


def start() -> tuple[int, torch.device]:
    """The number of this process and its device, after it has met the others, if there are any."""
    gpu = torch.cuda.is_available()
    if "RANK" in os.environ:
        distributed.init_process_group("nccl" if gpu else "gloo")

    rank = int(os.environ.get("RANK", 0))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)) if gpu else 0)
    return rank, device if gpu else torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/distributed"))
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()

    torch.set_num_threads(1)
    rank, device = start()
    args.out.mkdir(parents=True, exist_ok=True)
    data = digits(args.seed, device)

    pyro.set_rng_seed(args.seed)  # the same network everywhere
    model = Classifier(bayesianize(mlp(64, 300, 100, 10), gate=L0(0.1)), len(data.x)).to(device)
    guide = AutoSparse(model, init_gate_prob=0.5).to(device)
    training = fit(
        model,
        guide,
        (data.x, data.y),
        epochs=2 if args.smoke else args.epochs,
        lr=3e-3,
        gate_lr=3e-2,
        warm_up=(0.1, 0.6),
        validation=(data.x_test, data.y_test),
        checkpoint=args.out / "checkpoint.pt",
        resume=True,
        seed=args.seed,
    )

    if rank == 0:
        small = compact(freeze(model, guide), data.x[:2])
        result = {
            "processes": training.ranks.count,
            "error": training.row["validation_error"],
            "architecture": count(small, data.x[:1]).architecture,
            "loss": [row["loss"] for row in training.rows],
        }
        (args.out / "distributed.json").write_text(json.dumps(result, indent=1))
        print(result["processes"], "processes:", result["error"], result["architecture"])

    if distributed.is_initialized():
        distributed.destroy_process_group()


if __name__ == "__main__":
    main()
