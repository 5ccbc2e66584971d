"""Which laws conversion states, and which of them count only while a gate is open."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize
from tests.nn.networks import mlp, priors

NORMAL = dist.Normal(0.0, 1.0)


def test_laws_by_function() -> None:
    asked = []

    def weight(name: str, shape: torch.Size, group_size: int) -> Any:
        asked.append((name, tuple(shape), group_size))
        return dist.Normal(0.0, 1 / shape[1] ** 0.5) if name == "0.weight" else None

    def gate(name: str, shape: torch.Size, group_size: int) -> Any:
        asked.append((name, tuple(shape), group_size))
        return L0(torch.full(shape, 2.0)) if name == "0.gate" else None

    new = bayesianize(mlp(), weight=weight, gate=gate)

    assert asked == [
        ("0.gate", (4,), 6),
        ("0.weight", (6, 4), 6),
        ("2.gate", (6,), 3),
        ("2.weight", (3, 6), 1),
    ]
    assert list(priors(new)) == ["0.gate", "0.weight"]
    assert priors(new)["0.weight"].base.scale == 0.5
    assert (priors(new)["0.gate"].base.penalty == 2.0).all()


GROUPS: list[tuple[nn.Module, str, int, int]] = [
    (nn.Linear(4, 6), "in", 4, 6),
    (nn.Linear(4, 6), "out", 6, 4),
    (nn.Conv2d(4, 6, 3), "in", 4, 6 * 9),
    (nn.Conv2d(4, 6, 3), "out", 6, 4 * 9),
    (nn.Conv2d(4, 6, 3, groups=2), "in", 4, 3 * 9),
    (nn.Conv2d(4, 6, 3, groups=2), "out", 6, 2 * 9),
    (nn.ConvTranspose1d(4, 6, 3), "in", 4, 6 * 3),
    (nn.ConvTranspose1d(4, 6, 3, groups=2), "out", 6, 2 * 3),
    (nn.Embedding(7, 3), "out", 3, 7),
    (nn.Bilinear(2, 5, 3), "out", 3, 10),
    (nn.Conv2d(4, 6, 3, groups=2), "layer", 1, 6 * 2 * 9),
]


@pytest.mark.parametrize(("layer", "dim", "gates", "group"), GROUPS)
def test_penalties_count_the_weights_of_a_gate(
    layer: nn.Module, dim: str, gates: int, group: int
) -> None:
    def penalty(**options: Any) -> Tensor:
        net = bayesianize(layer, gate_dim=dim, **options)
        assert priors(net)["gate"].shape == (gates,)
        return priors(net)["gate"].base.penalty

    assert penalty(gate=L0(2.0)) == 2.0 * group
    assert penalty(gate=L0(2.0), per_gate=True) == 2.0
    assert penalty(gate=lambda name, shape, size: L0(2.0)) == 2.0
    assert gates * group == layer.get_parameter("weight").numel()


def test_penalties_of_single_weights_are_not_multiplied() -> None:
    new = bayesianize(nn.Linear(4, 6), gate=L0(2.0), gate_dim="weight")

    assert priors(new)["gate"].base.penalty == 2.0
    assert priors(new)["gate"].shape == (6, 4)


GATED: list[tuple[nn.Module, str, dict[str, Any], dict[str, Any]]] = [
    (nn.Linear(4, 3), "in", {"gated_view": (-1,)}, {}),
    (nn.Linear(4, 3), "out", {"gated_view": (-1, 1)}, {"gated_by": "gate"}),
    (nn.Linear(4, 3), "weight", {"gated_by": "gate"}, {}),
    (nn.Conv2d(4, 3, 2), "in", {"gated_view": (-1, 1, 1)}, {}),
    (nn.Conv2d(4, 3, 2), "out", {"gated_view": (-1, 1, 1, 1)}, {"gated_by": "gate"}),
    (nn.Conv2d(4, 4, 2, groups=2), "out", {"gated_view": (-1, 1, 1, 1)}, {"gated_by": "gate"}),
    (nn.ConvTranspose1d(4, 3, 2), "in", {"gated_view": (-1, 1, 1)}, {}),
    (nn.ConvTranspose1d(4, 3, 2), "out", {"gated_view": (-1, 1)}, {"gated_by": "gate"}),
    (nn.ConvTranspose1d(4, 4, 2, groups=2), "layer", {"gated_by": "gate"}, {"gated_by": "gate"}),
]


@pytest.mark.parametrize(("layer", "dim", "weight", "bias"), GATED)
@pytest.mark.parametrize("gate", [L0(1.0), dist.Bernoulli(0.2)])
def test_proper_priors_are_gated_in_the_objective(
    layer: nn.Module, dim: str, weight: dict, bias: dict, gate: Any
) -> None:
    made = priors(bayesianize(layer, weight=NORMAL, bias=NORMAL, gate=gate, gate_dim=dim))

    assert made["weight"].infer.items() >= weight.items()
    assert made["weight"].infer["gated_by"] == "gate"
    assert made["bias"].infer.items() >= bias.items() and bool(made["bias"].infer) == bool(bias)


def test_what_is_not_gated_in_the_objective() -> None:
    """Improper weights, gates that are scales, and groups that see other gates than their own."""
    for laws in (
        {"weight": LogUniform(), "gate": L0(1.0)},
        {"weight": NORMAL, "gate": LogUniform()},
        {"weight": NORMAL, "gate": NORMAL},
    ):
        assert not priors(bayesianize(nn.Linear(4, 3), **laws))["weight"].infer

    grouped = bayesianize(nn.Conv1d(4, 4, 2, groups=2), weight=NORMAL, gate=L0(1.0))
    assert not priors(grouped)["weight"].infer


def test_gated_divergence_by_hand() -> None:
    """Each column of the weight counts with the probability of its input's gate."""
    new = bayesianize(nn.Linear(4, 3), weight=NORMAL, gate=L0(2.0))
    model, elbo = Classifier(new, 50), TraceSparse_ELBO()
    guide = AutoSparse(model, init_scale=0.5)
    logits = torch.tensor([-3.0, -1.0, 0.0, 4.0])
    guide.get_parameter("sites.gate.base__logits").data = logits

    elbo.loss(model, guide, torch.randn(5, 4), torch.zeros(5, dtype=torch.long))

    active = HardConcrete(logits=logits).prob_active
    loc = guide.get_parameter("sites.weight.loc").detach()
    kl = (loc.square() + 0.25 - 1) / 2 - torch.tensor(0.5).log()
    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["weight"], (kl * active).sum())
    torch.testing.assert_close(elbo.parts.kl["gate"], (2.0 * 3 * active).sum())


def test_penalties_as_weight_priors() -> None:
    new = bayesianize(mlp(), weight=L2(torch.tensor(0.5)))

    assert (priors(new)["0.weight"].law.log_prob(torch.ones(6, 4))) == -0.25 * 24
