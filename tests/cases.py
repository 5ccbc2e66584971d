"""Every law and every divergence of the package, one row each."""

from typing import ClassVar

import torch
from pyro.distributions import (
    Bernoulli,
    Delta,
    Gamma,
    HalfCauchy,
    InverseGamma,
    LogNormal,
    Normal,
    TorchDistribution,
)
from torch import Tensor
from torch.distributions import Distribution, constraints, kl_divergence

from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    Gate,
    GroupGaussianMixture,
    HardConcrete,
    HardNormal,
    LogUniform,
    Mirrored,
    MixtureGate,
    PowerFunction,
    Rectified,
    TruncatedExponential,
    TruncatedLogNormal,
    TruncatedLogUniform,
    UniformExponential,
)
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.hard_concrete import StretchedConcrete
from pyro_sparse.distributions.penalty import Penalty
from pyro_sparse.testing import LawCase, RuleCase, expectation

IMPROPER = {
    name: "an unnormalised law has no mass and no samples"
    for name in (
        "sample_shapes",
        "density_integrates_to_one",
        "cdf_matches_density",
        "icdf_inverts_cdf",
        "samples_match_density",
        "samples_are_independent",
        "moments_match_density",
        "samples_carry_gradients",
    )
}
NO_PARAMETERS = dict.fromkeys(
    ("precision", "device", "gradients", "samples_carry_gradients"), "the law has no parameters"
)


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def clipped_normal(loc: Tensor, scale: Tensor) -> Rectified:
    return Rectified(Normal(loc, scale))


HARD_CONCRETE = LawCase(
    HardConcrete, {"temperature": double(0.6)[0], "logits": double(-2.0, 0.0, 3.0)}
)
NORMAL = LawCase(Normal, {"loc": double(-1.0, 0.0, 3.0), "scale": double(0.5, 0.7, 0.9)})
CENTRED_NORMAL = LawCase(Normal, {"loc": double(0.0, 0.0), "scale": double(0.5, 0.7)})
CLIPPED_NORMAL = LawCase(
    clipped_normal, {"loc": double(0.3, 0.6), "scale": double(0.4, 0.8)}, name="Rectified"
)

HARD_CONCRETE_PAIR = LawCase(HardConcrete, {"logits": double(1.0, 2.0)})

MIXTURE = LawCase(
    GroupGaussianMixture,
    {
        "probs": double(0.3, 0.6, 0.9),
        "scale1": double(1.0, 2.0, 0.5),
        "scale2": double(0.3)[0],
    },
    skip=dict.fromkeys(("icdf_inverts_cdf", "samples_carry_gradients"), "nothing needs it"),
)
NOISE = LawCase(
    TruncatedLogNormal,
    {"loc": double(-4.0, -1.0, 1.0), "scale": double(0.7, 2.0, 0.5)},
    {"low": -5.0},
)
SCALE = LawCase(LogNormal, {"loc": double(-1.0, 0.0, 0.5), "scale": double(0.5, 0.7, 0.3)})

HALF_OPEN = {"logits": double(-1.0, 0.5, 2.0)}


def exponential_gate(logits: Tensor, rate: Tensor) -> MixtureGate:
    return MixtureGate(logits=logits, off=TruncatedExponential(rate))


def uniform_gate(logits: Tensor, rate: Tensor, uniform: Tensor) -> MixtureGate:
    return MixtureGate(logits=logits, off=UniformExponential(rate, uniform))


def power_gate(logits: Tensor, beta: Tensor) -> MixtureGate:
    return MixtureGate(logits=logits, off=PowerFunction(beta))


def empirical_rows() -> EmpiricalNormal:
    return EmpiricalNormal(groups=-1).expand((3,))


class Ramp(TorchDistribution):
    """A user's own law on [0, 1], density k z^(k-1), with a cdf and not a word about mixtures."""

    arg_constraints: ClassVar = {"k": constraints.positive}
    support = constraints.unit_interval

    def __init__(self, k: Tensor) -> None:
        self.k = k
        super().__init__(k.shape)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "Ramp":
        return Ramp(self.k.expand(batch_shape))

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        u = torch.rand(shape, dtype=self.k.dtype, device=self.k.device)
        return u.pow(1 / self.k)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.k.log() + (self.k - 1) * value.log()

    def cdf(self, value: Tensor) -> Tensor:
        return value.pow(self.k)

    @property
    def mean(self) -> Tensor:
        return self.k / (self.k + 1)

    @property
    def variance(self) -> Tensor:
        return self.k / (self.k + 2) - self.mean.square()


def user_gate(logits: Tensor, rate: Tensor, k: Tensor) -> MixtureGate:
    return MixtureGate(logits=logits, off=TruncatedExponential(rate), on=Ramp(k))


def mirrored_power(beta: Tensor) -> Mirrored:
    return Mirrored(PowerFunction(beta))


LAWS = [
    HARD_CONCRETE,
    LawCase(
        HardConcrete,
        {"temperature": double(1.5, 0.4), "probs": double(0.2, 0.6)},
        {"low": -0.3, "high": 1.2},
        name="HardConcrete, other constants",
    ),
    LawCase(
        StretchedConcrete,
        {"temperature": double(0.5, 0.9), "logits": double(-1.0, 2.0)},
        {"low": -0.1, "high": 1.1},
        {"moments_match_density": "the concrete law has no closed moments"},
    ),
    CLIPPED_NORMAL,
    LawCase(TruncatedExponential, {"rate": double(0.5, 8.0, 15.0)}),
    LawCase(UniformExponential, {"rate": double(2.0, 9.0), "uniform": double(0.05)[0]}),
    LawCase(PowerFunction, {"beta": double(0.8, 1.5, 2.0)}),
    LawCase(mirrored_power, {"beta": double(1.5, 2.0)}, name="Mirrored"),
    LawCase(exponential_gate, HALF_OPEN | {"rate": double(2.0, 8.0, 15.0)}),
    LawCase(uniform_gate, HALF_OPEN | {"rate": double(9.0)[0], "uniform": double(0.05, 0.1, 0.3)}),
    LawCase(power_gate, HALF_OPEN | {"beta": double(1.3, 1.6, 2.0)}),
    LawCase(user_gate, HALF_OPEN | {"rate": double(4.0)[0], "k": double(3.0)[0]}),
    LawCase(HardNormal, {"loc": double(-0.2, 0.4, 0.9), "scale": double(0.5)[0]}),
    MIXTURE,
    LawCase(empirical_rows, skip=IMPROPER | NO_PARAMETERS, name="EmpiricalNormal"),
    NOISE,
    LawCase(TruncatedLogUniform, constants={"low": -3.0}, skip=NO_PARAMETERS),
    LawCase(LogUniform, skip=IMPROPER | NO_PARAMETERS),
    LawCase(L0, {"penalty": double(0.5, 2.0)}, skip=IMPROPER),
    LawCase(L2, {"penalty": double(0.5, 2.0)}, skip=IMPROPER),
]


def expected_energy(q: Distribution, p: Penalty) -> Tensor:
    return expectation(q, p.energy)


def log_uniform_divergence(q: Normal, p: LogUniform) -> Tensor:
    """Integrated over log |w|, where 1/|w| is flat, one sign at a time."""
    log_w = torch.linspace(-40, 5, 20_001, dtype=torch.float64).unsqueeze(-1)
    w, step = log_w.exp(), 45 / 20_000
    ratio = [q.log_prob(x).exp() * (q.log_prob(x) - p.log_prob(x)) for x in (w, -w)]
    return (step * w * (ratio[0] + ratio[1])).sum(0)


def best_normal(q: Normal, p: EmpiricalNormal) -> Tensor:
    variance = q.mean.square() + q.variance
    if p.groups:
        variance = variance.mean(p.groups, keepdim=True)
    return kl_divergence(q, Normal(torch.zeros_like(q.mean), variance.sqrt()))


def energy_of_point(q: Delta, p: Penalty) -> Tensor:
    return p.energy(q.v)


def coin_divergence(q: Gate, p: Bernoulli) -> Tensor:
    return kl_divergence(Bernoulli(q.prob_active), p)


L0_PRIOR = LawCase(L0, {"penalty": double(0.5, 2.0, 3.0)})
L2_PRIOR = LawCase(L2, {"penalty": double(0.5, 2.0, 3.0)})
POINT = LawCase(Delta, {"v": double(-1.0, 0.0, 3.0)}, name="Delta")
NO_POINT_GRADIENT = dict.fromkeys(
    ("gradients", "elementwise"), "a count does not move with the point"
)

RULES = [
    RuleCase(
        NORMAL,
        LawCase(LogUniform, constants={"kl": "exact"}),
        log_uniform_divergence,
        compare="up to a constant",
        tolerance=1e-9,
        name="Normal-LogUniform exact",
    ),
    RuleCase(
        NORMAL,
        LawCase(LogUniform, constants={"kl": "fit"}),
        log_uniform_divergence,
        compare="up to a constant",
        tolerance=0.02,
        name="Normal-LogUniform fit",
    ),
    RuleCase(HARD_CONCRETE, L0_PRIOR, expected_energy),
    RuleCase(
        HARD_CONCRETE,
        LawCase(Bernoulli, {"probs": double(0.2, 0.5, 0.9)}),
        coin_divergence,
        infinite=(HARD_CONCRETE, LawCase(Bernoulli, {"probs": double(0.0, 1.0, 0.0)})),
    ),
    RuleCase(
        HARD_CONCRETE,
        LawCase(Bernoulli, {"logits": double(-2.0, 0.5, 30.0)}),
        coin_divergence,
        name="HardConcrete-Bernoulli by logits",
    ),
    RuleCase(
        HARD_CONCRETE,
        LawCase(HardConcrete, {"temperature": double(0.9)[0], "logits": double(1.0, 2.0, -3.0)}),
        equal=(HARD_CONCRETE, HARD_CONCRETE),
    ),
    RuleCase(
        CLIPPED_NORMAL,
        LawCase(clipped_normal, {"loc": double(0.1, 0.4), "scale": double(0.6, 0.7)}),
        equal=(CLIPPED_NORMAL, CLIPPED_NORMAL),
    ),
    RuleCase(CLIPPED_NORMAL, HARD_CONCRETE_PAIR),
    RuleCase(
        LawCase(HardNormal, {"loc": double(-0.2, 0.4), "scale": double(0.5, 0.1)}),
        LawCase(HardNormal, {"loc": double(0.5)[0], "scale": double(0.5)[0]}),
        tolerance=1e-5,
    ),
    RuleCase(
        LawCase(power_gate, HALF_OPEN | {"beta": double(2.0)[0]}),
        LawCase(Bernoulli, {"probs": double(0.2, 0.5, 0.9)}),
        coin_divergence,
        name="MixtureGate-Bernoulli",
    ),
    RuleCase(NORMAL, L2_PRIOR, expected_energy),
    RuleCase(HARD_CONCRETE, L2_PRIOR, expected_energy),
    RuleCase(POINT, L2_PRIOR, energy_of_point),
    RuleCase(
        NORMAL,
        LawCase(EmpiricalNormal),
        best_normal,
        equal=(CENTRED_NORMAL, LawCase(EmpiricalNormal)),
    ),
    RuleCase(
        NORMAL,
        LawCase(EmpiricalNormal, constants={"groups": -1}),
        best_normal,
        skip={"elementwise": "the weights of a group share a variance"},
        name="Normal-EmpiricalNormal by rows",
    ),
    RuleCase(NORMAL, MIXTURE, compare="bound"),
    RuleCase(
        NOISE,
        LawCase(TruncatedLogUniform, constants={"low": -6.0}),
        infinite=(NOISE, LawCase(TruncatedLogUniform, constants={"low": -4.0})),
    ),
    RuleCase(
        SCALE, LawCase(Gamma, {"concentration": double(0.5)[0], "rate": double(0.5, 1.0, 2.0)})
    ),
    RuleCase(
        SCALE,
        LawCase(InverseGamma, {"concentration": double(0.5)[0], "rate": double(0.5, 1.0, 2.0)}),
    ),
    RuleCase(SCALE, LawCase(HalfCauchy, {"scale": double(0.01, 1.0, 3.0)})),
    RuleCase(POINT, L0_PRIOR, energy_of_point, skip=NO_POINT_GRADIENT),
]
