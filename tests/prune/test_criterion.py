import math

import pytest
import torch
from pyro.distributions import Bernoulli, Delta, LogNormal, Normal
from torch import Tensor
from torch.distributions import Distribution, Gamma

from pyro_sparse.distributions import (
    L0,
    EmpiricalNormal,
    GroupGaussianMixture,
    HardConcrete,
    LogUniform,
    TruncatedLogNormal,
    TruncatedLogUniform,
)
from pyro_sparse.prune import criterion as page
from pyro_sparse.prune.criterion import (
    auto,
    by_role,
    deterministic_gate,
    dropout_rate,
    log_alpha,
    log_mode,
    nonzero,
    prob_active,
    register_criterion,
    resolve,
    snr,
    whole_groups,
)

STANDARD = Normal(0.0, 1.0)


def gate(*logits: float) -> HardConcrete:
    return HardConcrete(logits=torch.tensor(logits))


def normal(*log_alphas: float) -> Normal:
    """Normals of mean 2 with these log(sigma^2 / mu^2)."""
    return Normal(torch.tensor(2.0), 2 * (torch.tensor(log_alphas) / 2).exp())


def test_two_gate_criteria_disagree_where_the_papers_do() -> None:
    # Between log alpha = -ln 11, P(active) = .310, and P(active) = 1/2 at -1.5986.
    law = gate(-2.40, -2.39, -1.60, -1.59)

    assert deterministic_gate()(law, "gate", L0(1.0)).tolist() == [False, True, True, True]
    assert prob_active(0.5)(law, "gate", L0(1.0)).tolist() == [False, False, False, True]


def test_log_alpha_and_dropout_rate_are_two_scales_of_one_order() -> None:
    law = normal(2.99, 3.01, 4.59, 4.60)

    assert log_alpha(3.0)(law, "weight", LogUniform()).tolist() == [True, False, False, False]
    assert dropout_rate(0.99)(law, "weight", LogUniform()).tolist() == [True, True, True, False]
    assert dropout_rate(0.9526)(law, "weight", LogUniform()).tolist() == [True, False] + 2 * [
        False
    ]


def test_a_weight_of_mean_zero_goes() -> None:
    assert not log_alpha(3.0)(Normal(0.0, 1e-20), "weight", LogUniform())


def test_snr_of_a_log_normal() -> None:
    # 1 / sqrt(e^(s^2) - 1) is 1 at s^2 = log 2.
    law = LogNormal(torch.tensor([0.0, 5.0]), math.log(2) ** 0.5 * torch.tensor([0.99, 1.01]))

    assert snr(1.0)(law, "gate", Gamma(0.5, 1.0)).tolist() == [True, False]


def test_log_mode() -> None:
    law = LogNormal(torch.tensor([1.0, 1.0]), torch.tensor([0.5, 2.0]))

    assert log_mode(-1.0)(law, "gate", Gamma(0.5, 1.0)).tolist() == [True, False]


def test_gate_criteria_keep_all_weights() -> None:
    law = Normal(torch.zeros(2, 3), 1.0)

    for criterion in (deterministic_gate(), prob_active(1.0)):
        assert criterion(law, "weight", STANDARD).tolist() == [[True] * 3] * 2


@pytest.mark.parametrize(
    ("law", "role", "prior", "kept"),
    [
        (gate(-2.4, 0.0), "gate", L0(1.0), [False, True]),
        (normal(2.9, 3.1), "weight", LogUniform(), [True, False]),
        (normal(2.9, 3.1), "weight", EmpiricalNormal(), [True, False]),
        (normal(4.5, 4.6), "weight", GroupGaussianMixture(0.5, 1.0, 0.1), [True, False]),
        (normal(2.9, 30.0), "weight", STANDARD, [True, True]),
        (normal(-0.1, 0.1), "gate", LogUniform(), [True, False]),
        (
            TruncatedLogNormal(torch.tensor(-2.0), torch.tensor([0.5, 5.0])),
            "gate",
            TruncatedLogUniform(),
            [True, False],
        ),
        (LogNormal(0.0, torch.tensor([0.8, 0.9])), "gate", Gamma(0.5, 1.0), [True, False]),
        (Delta(torch.tensor([0.0, 1e-9])), "weight", STANDARD, [False, True]),
    ],
)
def test_auto(law: Distribution, role: str, prior: Distribution, kept: list[bool]) -> None:
    assert auto()(law, role, prior).tolist() == kept


def test_registered_rows_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_TABLE", page._TABLE.copy())

    def none(law: Distribution, role: str, prior: Distribution) -> Tensor:
        return torch.zeros(law.batch_shape, dtype=torch.bool)

    register_criterion(HardConcrete, none, prior=Bernoulli)

    assert not auto()(gate(5.0), "gate", Bernoulli(0.5)).any()
    assert auto()(gate(5.0), "gate", L0(1.0)).all()


def test_by_role() -> None:
    criterion = by_role(weight=log_alpha(0.0), gate="prob_active")

    assert not criterion(normal(0.5), "weight", LogUniform()).any()
    assert not criterion(gate(-2.0), "gate", L0(1.0)).any()


def test_a_neuron_goes_when_all_its_weights_do() -> None:
    prior = GroupGaussianMixture(0.5, 1.0, 0.1)
    scale = 2 * (torch.tensor([[0.0, 9.0, 9.0], [9.0, 9.0, 9.0]]) / 2).exp()
    law = Normal(torch.tensor(2.0), scale)

    rows = whole_groups()(law, "weight", prior)
    assert rows.tolist() == [[True] * 3, [False] * 3]
    columns = whole_groups("dropout_rate", -2)(law, "weight", prior)
    assert columns.tolist() == [[True, False, False]] * 2


def test_whole_groups_leave_gates_and_biases_as_they_are() -> None:
    criterion = whole_groups(log_alpha(3.0))

    assert criterion(normal(2.9, 3.1), "weight", LogUniform()).tolist() == [True, False]
    gates = whole_groups("deterministic_gate")(gate(-2.4, 0.0), "gate", L0(1.0))
    assert gates.tolist() == [False, True]


def test_resolve() -> None:
    assert not resolve("log_alpha")(normal(3.1), "weight", LogUniform()).any()
    assert resolve(mine := nonzero()) is mine

    with pytest.raises(ValueError, match=r"one of auto, deterministic_gate, .* but got 'magnet'"):
        resolve("magnet")


def test_log_alpha_refuses_gates() -> None:
    with pytest.raises(TypeError, match=r"HardConcrete.*the opposite.*Use deterministic_gate"):
        log_alpha()(gate(0.0), "gate", L0(1.0))

    with pytest.raises(TypeError, match="needs a normal posterior, but got Delta"):
        dropout_rate()(Delta(torch.ones(2)), "weight", STANDARD)


def test_gate_criteria_refuse_scales_that_are_no_gate_laws() -> None:
    for criterion in (deterministic_gate(), prob_active()):
        with pytest.raises(TypeError, match=r"posterior is Normal\. Use criterion='auto'"):
            criterion(normal(0.0), "gate", LogUniform())

    with pytest.raises(TypeError, match="log-normal posterior, but got Normal"):
        log_mode(0.0)(normal(0.0), "gate", LogUniform())


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_thresholds_that_are_no_probability(threshold: float) -> None:
    for factory in (prob_active, dropout_rate):
        with pytest.raises(ValueError, match=rf"threshold in \[0, 1\], but got {threshold}"):
            factory(threshold)
