"""How good is the fitted divergence of variational dropout?

Minus the divergence from a normal to the log-uniform law against log alpha: exact by Dawson's
integral, fitted by Molchanov, Ashukha, Vetrov (2017), https://arxiv.org/abs/1701.05369, and
their difference, after figure 1 of that paper.

    python -m examples.studies.log_uniform_kl [--out DIR]
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch.distributions import Normal, kl_divergence

import pyro_sparse.kl  # noqa: F401
from pyro_sparse.distributions import LogUniform

plt.switch_backend("Agg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/studies"))
    parser.add_argument("--smoke", action="store_true", help="the same; it takes a second")
    args = parser.parse_args()

    log_alpha = torch.linspace(-10, 10, 2001, dtype=torch.float64)
    q = Normal(torch.ones_like(log_alpha), torch.exp(log_alpha / 2))
    exact, fit = (kl_divergence(q, LogUniform(kind)) for kind in ("exact", "fit"))
    error = fit - exact
    worst = error.abs().argmax()

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(log_alpha, -exact, label="exact")
    left.plot(log_alpha, -fit, "--", label="fit")
    left.set(xlabel="log alpha", ylabel="- KL")
    left.legend()
    right.plot(log_alpha, error)
    right.plot(log_alpha[worst], error[worst], "o")
    right.set(xlabel="log alpha", ylabel="fit - exact (nats)")

    found = {"largest error": error[worst].item(), "at log alpha": log_alpha[worst].item()}
    args.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out / "log_uniform_kl.png", dpi=100)
    (args.out / "log_uniform_kl.json").write_text(json.dumps(found, indent=2))
    print(f"The fit is off by at most {found['largest error']:.5f}, ", end="")
    print(f"at log alpha = {found['at log alpha']:.2f}.")
    print(f"Wrote {args.out / 'log_uniform_kl.png'} and log_uniform_kl.json beside it")


if __name__ == "__main__":
    main()
