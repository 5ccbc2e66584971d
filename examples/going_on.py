"""Can a compact network be trained on, as a plain network and as a Bayesian one?

Trains the 64-300-100-10 network on scikit-learn's digits with L0 gates and compacts it. Then
goes on in two ways: fine-tunes the compact network's weights, and gives them priors again, with
the posterior means and variances they had, cut to what is left.

    python -m examples.going_on [--epochs N] [--seed N] [--out DIR]
"""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from torch import Tensor, nn

from examples.digits import RECIPES, error, train
from examples.support.data import Data, digits
from examples.support.table import as_table
from examples.support.training import descend
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Classification, TraceSparse_ELBO, predict
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze, variances
from pyro_sparse.prune.surgery import CompactModule


def fine_tuned(small: CompactModule, data: Data, epochs: int) -> nn.Module:
    net = copy.deepcopy(small)
    descend(
        net,
        lambda x, y: F.cross_entropy(net(x), y),
        *(data.x, data.y, epochs, 1e-3, 1e-3),
        lambda: {"error": error(net, data)},
        "fine-tuning",
    )
    return net


def carried_on(
    small: CompactModule, before: dict[str, Tensor], data: Data, epochs: int
) -> tuple[Classifier, AutoSparse]:
    """A Bayesian network of the compact one, from its means and the variances `before`."""
    model = Classifier(bayesianize(small, weight=Normal(0.0, 1.0)), num_data=len(data.x))
    guide = AutoSparse(model)
    with torch.no_grad():
        for site in guide.laws():
            variance = small.plan.cut(site, before[site]).clamp(min=1e-8)
            guide.get_parameter(f"sites.{site}.log_variance").copy_(variance.log())

    bound = TraceSparse_ELBO()(model, guide)
    descend(
        bound,
        lambda x, y: bound(x, y) / len(data.x),
        *(data.x, data.y, epochs, 1e-3, 1e-3),
        lambda: {"error": error(freeze(model, guide), data)},
        "going on",
    )
    return model, guide


@torch.no_grad()
def row(name: str, net: nn.Module, log_probs: Tensor, data: Data) -> dict[str, Any]:
    return {
        "network": name,
        "error %": 100 * error(net, data),
        "NLL": F.nll_loss(log_probs, data.y_test).item(),
        "parameters": count(net, data.x[:1]).parameters,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40, help="after compaction")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/going_on"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--smoke", action="store_true", help="two epochs, to see that it runs")
    args = parser.parse_args()
    if args.smoke:
        args.epochs = 2

    torch.set_num_threads(1)  # the matrices are too small to be shared between threads
    pyro.set_rng_seed(args.seed)
    data = digits(args.seed, torch.device(args.device))
    trained = train(RECIPES["l0"], data, 2 if args.smoke else RECIPES["l0"].epochs)
    assert trained.program is not None
    small = compact(trained.frozen, data.x[:2], allow_empty=True)

    tuned = fine_tuned(small, data, args.epochs)
    program = carried_on(small, variances(*trained.program), data, args.epochs)
    drawn = predict(*program, data.x_test, num_samples=50)
    assert isinstance(drawn, Classification)

    plain = {"before compaction": trained.frozen, "compact": small, "fine-tuned": tuned}
    rows = [row(name, net, net(data.x_test).log_softmax(-1), data) for name, net in plain.items()]
    rows.append(row("Bayesian", freeze(*program), drawn.probs.log(), data))
    print(as_table(rows))

    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "going_on.json"
    file.write_text(json.dumps({"seed": args.seed, "rows": rows}, indent=2))
    print(f"Wrote {file}")


if __name__ == "__main__":
    main()
