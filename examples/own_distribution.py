"""How do I add a gate and a prior of my own?

A gate: Kumaraswamy's law, stretched a little beyond the unit interval and clipped to it (Bastings,
Aziz, Titov, 2019, https://arxiv.org/abs/1905.08160). Whatever has a density and a cdf becomes a
gate with `Rectified`. A prior: a price on the mean of a gate, with its divergence registered in
one function. Both are checked by a row each in the conformance kit, and train a network.

    python -m examples.own_distribution [--epochs N] [--seed N] [--out DIR]
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any, ClassVar

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl

from examples.support.data import digits
from examples.support.table import as_table
from examples.support.training import BATCH, descend
from models.lenet import mlp
from pyro_sparse.distributions import Gate, Rectified
from pyro_sparse.distributions.penalty import Penalty
from pyro_sparse.guides import AutoSparse, LawFamily, Options, SiteSpec, register_family
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze
from pyro_sparse.testing import LawCase, RuleCase, check_law, check_rule, expectation

LOW, HIGH = -0.1, 1.1


class StretchedKumaraswamy(TorchDistribution):
    """Kumaraswamy's law, cdf 1 - (1 - s^a)^b, with s stretched from (0, 1) to (LOW, HIGH).

    Args:
        log_a: logarithm of the first exponent, `(*batch)`.
        log_b: logarithm of the second exponent, `(*batch)`.
    """

    arg_constraints: ClassVar = {"log_a": constraints.real, "log_b": constraints.real}
    support = constraints.interval(LOW, HIGH)
    has_rsample = True

    def __init__(self, log_a: Tensor, log_b: Tensor, validate_args: bool | None = None) -> None:
        self.log_a, self.log_b = torch.broadcast_tensors(log_a, log_b)
        super().__init__(self.log_a.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: object = None) -> "StretchedKumaraswamy":
        wide = self.log_a.expand(batch_shape), self.log_b.expand(batch_shape)
        return StretchedKumaraswamy(*wide, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        log_s, log_rest = self._log_position(value)
        powers = (self.log_a.exp() - 1) * log_s + (self.log_b.exp() - 1) * log_rest
        return self.log_a + self.log_b + powers - math.log(HIGH - LOW)

    def cdf(self, value: Tensor) -> Tensor:
        return -torch.expm1(self.log_b.exp() * self._log_position(value)[1])

    def icdf(self, value: Tensor) -> Tensor:
        log_rest = torch.log1p(-value) / self.log_b.exp()
        log_s = torch.log(-torch.expm1(log_rest)) / self.log_a.exp()
        return LOW + (HIGH - LOW) * log_s.exp()

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        uniform = torch.rand(shape, dtype=self.log_a.dtype, device=self.log_a.device)
        return self.icdf(uniform.clamp(min=1e-6))

    @property
    def mean(self) -> Tensor:
        a, b = self.log_a.exp(), self.log_b.exp()
        log_mean = self.log_b + torch.lgamma(1 + 1 / a) + b.lgamma() - torch.lgamma(1 + 1 / a + b)
        return LOW + (HIGH - LOW) * log_mean.exp()

    def _log_position(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of s and of 1 - s^a."""
        log_s = torch.log((value - LOW) / (HIGH - LOW))
        return log_s, torch.log(-torch.expm1(self.log_a.exp() * log_s))


class L1(Penalty):
    """A price on the value of a gate, exp(-penalty |z|)."""

    has_atoms = False

    def energy(self, value: Tensor) -> Tensor:
        return self.penalty * value.abs()


@register_kl(Gate, L1)
def gate_l1(q: Gate, p: L1) -> Tensor:
    """The expected energy, penalty times the mean of the gate."""
    return p.penalty * q.mean


def kumaraswamy_gate(log_a: Tensor, log_b: Tensor) -> Rectified:
    return Rectified(StretchedKumaraswamy(log_a, log_b))


PARAMETERS = {"log_a": torch.tensor([0.3, -0.4]).double(), "log_b": torch.tensor(0.2).double()}
LAW = LawCase(kumaraswamy_gate, PARAMETERS)
PRIOR = LawCase(L1, {"penalty": torch.tensor([0.5, 2.0]).double()})
RULE = RuleCase(LAW, PRIOR, expected=lambda q, p: expectation(q, p.energy))


def family(site: SiteSpec, options: Options) -> LawFamily:
    """What the guide gives a gate with an L1 prior: both exponents trained, from open gates."""
    gate = kumaraswamy_gate(site.full(0.5), site.full(-0.5))
    return LawFamily(gate, ["base.log_a", "base.log_b"])


register_family(L1, "gate", family)


def train(epochs: int, seed: int, price: float) -> dict[str, Any]:
    data = digits(seed, torch.device("cpu"))
    net = mlp(64, 300, 100, 10)
    model = Classifier(
        bayesianize(net, gate=lambda name, shape, size: L1(price * size)), num_data=len(data.x)
    )
    guide = AutoSparse(model)
    steps = epochs * len(data.x.split(BATCH))
    warm_up = TraceSparse_ELBO(kl_weight=lambda step: min(max(3 * step / steps - 0.3, 0), 1))
    bound = warm_up(model, guide)

    def look() -> dict[str, float]:
        wrong = freeze(model, guide)(data.x_test).argmax(-1) != data.y_test
        return {"error": wrong.float().mean().item()}

    descend(
        bound,
        lambda x, y: bound(x, y) / len(data.x),
        *(data.x, data.y, epochs, 1e-3, 3e-2),
        look,
        "gates of Kumaraswamy's law",
    )
    smaller = compact(freeze(model, guide), data.x[:2], allow_empty=True)
    return {
        **look(),
        "weights": sum(p.numel() for p in net.parameters() if p.ndim > 1),
        "weights left": sum(p.numel() for p in smaller.parameters() if p.ndim > 1),
        "MACs left": count(smaller, data.x[:2]).macs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--price", type=float, default=0.03, help="nats for each weight of a gate")
    parser.add_argument("--out", type=Path, default=Path("runs/own_distribution"))
    parser.add_argument("--smoke", action="store_true", help="tiny and short, to see that it runs")
    args = parser.parse_args()
    pyro.set_rng_seed(args.seed)

    check_law(LAW)
    check_rule(RULE)
    print("The gate and the rule pass every check of the conformance kit.")

    row = train(2 if args.smoke else args.epochs, args.seed, args.price)
    print(as_table([row]))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "own_distribution.json").write_text(json.dumps(row, indent=2))
    print(f"Wrote {args.out / 'own_distribution.json'}")


if __name__ == "__main__":
    main()
