"""The systems of the papers, each as a row of settings: priors, posterior, and how to train."""

__all__ = ["METHODS", "Method"]

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from examples.lenet.priors import neurons
from pyro_sparse.distributions import (
    LogUniform,
    MixtureGate,
    PowerFunction,
    TruncatedExponential,
    UniformExponential,
)


@dataclass(frozen=True)
class Method:
    """One system. Penalties and divergences are in nats on the scale of the full data.

    Attributes:
        title: What the table calls it.
        structured: Whether whole units go, or single weights.
        epochs: Passes over the data.
        weight: Prior of the weights; None for the usual weight decay.
        decay: That weight decay, for an example.
        gated: Whether units have gates, where `gate_sites` proposes them.
        penalised: Whether each weight behind a gate costs the network's penalty.
        budget: Share of the multiply-adds to keep, in the place of a penalty.
        guide: Arguments of `AutoSparse`.
        noise: First standard deviation of the noise that weights of positive variance bring to a
            unit, for inputs of unit size.
        adam: Whether Adam trains the weights; otherwise SGD with Nesterov's momentum.
        lr: Learning rate of the weights; None for 1e-3 of Adam, and the network's own of SGD.
        scale_lr: Adam's of the variances of weights.
        gate_lr: Adam's of the gates, of whose gradients SGD makes too small steps.
        kl_weight: Factor of the divergences once they are warm.
        warm_up: Between which shares of the steps that factor rises from 0.
        pretrain: Epochs of an ordinary dense training before.
        dropout: Whether the network has binary dropout.
    """

    title: str
    structured: bool = True
    epochs: int = 200
    weight: Any = None
    decay: float = 5e-4
    gated: bool = True
    penalised: bool = False
    budget: float | None = None
    guide: Mapping[str, Any] = field(default_factory=dict)
    noise: float = 0.1
    adam: bool = False
    lr: float | None = None
    scale_lr: float = 1e-2
    gate_lr: float = 2e-2
    kl_weight: float = 1.0
    warm_up: tuple[float, float] = (0.0, 0.2)
    pretrain: int = 0
    dropout: bool = False


def _mixture(off: Any) -> dict[str, Any]:
    return {"gate": MixtureGate(logits=torch.tensor(2.0), off=off)}


CONCRETE = {"init_gate_prob": 0.9}

METHODS = {
    "dense": Method("dense", False, gated=False),
    "dropout": Method("binary dropout", False, gated=False, dropout=True),
    "l0": Method("L0 hard concrete", penalised=True, guide=CONCRETE),
    "mdr_exp": Method(
        "mixture gates, exponential", penalised=True, guide=_mixture(TruncatedExponential(10.0))
    ),
    "mdr_uniform": Method(
        "mixture gates, exponential-uniform",
        penalised=True,
        guide=_mixture(UniformExponential(12.0)),
    ),
    "mdr_power": Method(
        "mixture gates, power function", penalised=True, guide=_mixture(PowerFunction(20.0))
    ),
    "budget": Method("L0 hard concrete, budget", budget=0.5, guide=CONCRETE),
    "budget_mdr": Method(
        "mixture gates, power function, budget", budget=0.5, guide=_mixture(PowerFunction(20.0))
    ),
    "vd": Method(
        "sparse variational dropout",
        False,
        weight=LogUniform(),
        gated=False,
        adam=True,
        warm_up=(0.1, 0.5),
    ),
    "mixture_em": Method(
        "group Gaussian mixture, EM",
        False,
        weight=neurons,
        gated=False,
        adam=True,
        warm_up=(0.1, 0.5),
        pretrain=20,
    ),
}
