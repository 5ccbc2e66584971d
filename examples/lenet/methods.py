"""The systems of the papers, each as a row of settings: priors, posterior, and how to train."""

__all__ = ["METHODS", "NETS", "Method", "method_for"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from pyro.distributions import Bernoulli, HalfCauchy, Normal
from torch import nn

from examples.lenet.laws import GroupLasso
from examples.lenet.priors import PerUnit, PerWeight, groups, neurons
from models.lenet import lenet5, lenet_300_100
from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    HardNormal,
    LogUniform,
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    TruncatedLogUniform,
    UniformExponential,
)

NETS: dict[str, Callable[[], nn.Module]] = {
    "lenet_300_100": lenet_300_100,
    "lenet_5_caffe": lenet5,
}


@dataclass(frozen=True)
class Method:
    """One system. Penalties and divergences are in nats on the scale of the full data.

    Attributes:
        title: What the table calls it.
        structured: Whether whole units go, or single weights.
        epochs: Passes over the data.
        priors: Arguments of `bayesianize`.
        guide: Arguments of `AutoSparse`.
        lr: Learning rate, constant for half the steps, then falling linearly to 0.
        gate_lr: The same of gates.
        kl_weight: Factor of the divergences once they are warm.
        warm_up: Between which shares of the steps that factor rises from 0.
        pretrain: Epochs of an ordinary dense training before.
        dropout: Probability with which binary dropout closes a hidden unit in training.
        budget: Share of the weights to keep, in the place of a penalty.
    """

    title: str
    structured: bool = True
    epochs: int = 60
    priors: Mapping[str, Any] = field(default_factory=dict)
    guide: Mapping[str, Any] = field(default_factory=dict)
    lr: float = 2e-3
    gate_lr: float = 2e-2
    kl_weight: float = 1.0
    warm_up: tuple[float, float] = (0.0, 0.2)
    pretrain: int = 0
    dropout: float = 0.0
    budget: float | None = None


def _mixture(off: Any) -> dict[str, Any]:
    return {"gate": MixtureGate(logits=torch.tensor(2.0), off=off)}


METHODS = {
    "dense": Method("dense", False, 30, {"weight": L2(0.0)}),
    "dropout": Method("binary dropout", False, 60, {"weight": L2(0.0)}, dropout=0.5),
    "group_lasso": Method("group lasso", True, 60, {"weight": GroupLasso(0.3)}),
    "vd": Method(
        "sparse variational dropout",
        False,
        200,
        {"weight": LogUniform()},
        {"init_scale": 0.0067},
        lr=3e-3,
        warm_up=(0.03, 0.2),
    ),
    "vd_budget": Method(
        "sparse variational dropout, budget",
        False,
        120,
        {"weight": LogUniform()},
        {"init_scale": 0.0067},
        lr=3e-3,
        warm_up=(0.03, 0.2),
        budget=0.0095,
    ),
    "ebvd": Method(
        "empirical-Bayes variational dropout",
        False,
        100,
        {"weight": EmpiricalNormal()},
        {"init_scale": 0.0067},
        lr=3e-3,
        warm_up=(0.03, 0.2),
    ),
    "mixture_em": Method(
        "group Gaussian mixture, EM",
        False,
        60,
        {"weight": neurons},
        {"init_scale": 0.0067},
        warm_up=(0.05, 0.5),
        pretrain=15,
    ),
    "l0": Method(
        "L0 hard concrete",
        priors={"gate": L0(0.1), "weight": L2(30.0)},
        guide={"init_gate_prob": 0.8},
    ),
    "l0_sep": Method(
        "L0 hard concrete, separate lambdas",
        priors={
            "gate": PerWeight({"fc1": 0.2, "fc2": 1.6, "fc3": 20.0}),
            "weight": L2(30.0),
        },
        guide={"init_gate_prob": 0.8},
        warm_up=(0.0, 0.4),
    ),
    "budget": Method(
        "L0 hard concrete, budget",
        priors={"gate": L0(0.0), "weight": L2(30.0)},
        guide={"init_gate_prob": 0.8},
        budget=0.0359,
    ),
    "budget_mdr": Method(
        "mixture gates, power function, budget",
        priors={"gate": L0(0.0), "weight": L2(30.0)},
        guide=_mixture(PowerFunction(20.0)),
        budget=0.0359,
    ),
    "mdr_exp": Method(
        "mixture gates, exponential",
        priors={"gate": L0(0.1), "weight": L2(30.0)},
        guide=_mixture(TruncatedExponential(60.0)),
    ),
    "mdr_uniform": Method(
        "mixture gates, exponential-uniform",
        priors={"gate": L0(0.1), "weight": L2(30.0)},
        guide=_mixture(UniformExponential(100.0)),
    ),
    "mdr_power": Method(
        "mixture gates, power function",
        priors={"gate": L0(0.1), "weight": L2(30.0)},
        guide=_mixture(PowerFunction(20.0)),
    ),
    "stg": Method(
        "STG",
        priors={"gate": L0(0.1), "weight": L2(30.0)},
        guide={"gate": HardNormal(torch.tensor(0.5), torch.tensor(0.5))},
        gate_lr=2e-3,
    ),
    "spike_slab": Method(
        "spike and slab",
        priors={"weight": Normal(0.0, 0.1), "gate": Bernoulli(torch.tensor(0.01))},
        guide={"init_gate_prob": 0.8},
    ),
    "vib": Method(
        "empirical-Bayes gates (VIB)",
        priors={
            "gate": PerUnit({"fc1": 43.0, "fc2": 48.0, "fc3": 17.0}),
            "weight": L2(10.0),
        },
        epochs=100,
        warm_up=(0.0, 0.4),
    ),
    "vib_budget": Method(
        "empirical-Bayes gates (VIB), budget",
        priors={
            "gate": PerUnit({"fc1": 38.0, "fc2": 42.0, "fc3": 15.0}),
            "weight": L2(10.0),
        },
        epochs=70,
        warm_up=(0.0, 0.4),
        budget=0.0359,
    ),
    "sbp": Method(
        "structured Bayesian pruning, divergence x 8",
        priors={"gate": TruncatedLogUniform(-20.0, 0.0)},
        kl_weight=8.0,
    ),
    "sbp_small": Method(
        "structured Bayesian pruning, divergence x 15",
        priors={"gate": TruncatedLogUniform(-20.0, 0.0)},
        kl_weight=15.0,
        warm_up=(0.0, 0.4),
    ),
    "gnj": Method(
        "BC-GNJ",
        priors={"weight": Normal(0.0, 1.0), "gate": LogUniform()},
        gate_lr=1e-2,
    ),
    "ghs": Method(
        "BC-GHS, fixed global scale",
        priors={"weight": Normal(0.0, 1.0), "gate": HalfCauchy(torch.tensor(1e-5))},
        gate_lr=1e-2,
    ),
}

# what LeNet-5 wants otherwise: its convolutions have few weights and cost most of the MACs
LENET5: dict[str, dict[str, Any]] = {
    "budget": {"budget": 0.005},
    "budget_mdr": {"budget": 0.005},
    "vd_budget": {"budget": 0.0035},
    "vib": {
        "priors": {"gate": PerUnit({"conv1": 100.0, "conv2": 100.0, "fc1": 30.0, "fc2": 30.0})}
    },
    "vib_budget": {
        "priors": {"gate": PerUnit({"conv1": 50.0, "conv2": 50.0, "fc1": 15.0, "fc2": 15.0})},
        "budget": 0.005,
    },
    "l0_sep": {
        "priors": {"gate": PerWeight({"conv1": 10.0, "conv2": 0.5, "fc1": 0.1, "fc2": 10.0})}
    },
}


def method_for(net: str, name: str) -> Method:
    """A method's settings on a network, its gates where the papers have them."""
    method = METHODS[name]
    if net == "lenet_5_caffe":
        method = replace(method, **LENET5.get(name, {}))
    return replace(method, priors={**method.priors, "gate_dim": groups})
