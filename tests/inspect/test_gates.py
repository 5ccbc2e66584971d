"""The table of gates, and what counts as one."""

import sys

import pyro
import pytest
import torch
from pyro.distributions import LogNormal, Normal
from torch import nn

from pyro_sparse.distributions import L0, L2, HardConcrete, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.inspect import gate_table
from pyro_sparse.inspect.gates import check_trained, gate_columns, log_alpha_of, role_of
from pyro_sparse.local import Local
from pyro_sparse.nn import Classifier, bayesianize
from tests.inspect.conftest import Trained


def test_a_row_for_every_group(trained: Trained) -> None:
    table = gate_table(trained.guide)

    law = trained.guide.laws()["fc1.gate"].law
    first = table[table["site"] == "fc1.gate"]
    assert len(table) == 6 + 8
    assert first["index"].tolist() == list(range(6))
    assert first["prob_active"].tolist() == pytest.approx(law.prob_active.tolist())
    assert first["log_alpha"].tolist() == pytest.approx(law.logits.tolist())
    assert first["deterministic"].tolist() == pytest.approx(law.deterministic.tolist())
    assert first["keep"].tolist() == (law.deterministic != 0).tolist()


def test_the_criterion_can_be_chosen(trained: Trained) -> None:
    table = gate_table(trained.guide, criterion="prob_active")

    assert table["keep"].tolist() == (table["prob_active"] >= 0.5).tolist()


def test_gates_of_a_guide_written_by_hand() -> None:
    def guide(size: int) -> None:
        pyro.sample("z", Local(HardConcrete(logits=torch.zeros(size, 2))).to_event(2))
        pyro.sample("s", Local(Normal(torch.ones(2), 0.5), role="gate").to_event(1))
        pyro.sample("w", Normal(0.0, 1.0))

    table = gate_table(guide, 3)

    assert table["site"].tolist() == ["z"] * 6 + ["s"] * 2
    assert table["index"].tolist()[:3] == [(0, 0), (0, 1), (1, 0)]
    scales = table[table["site"] == "s"]
    assert scales["prob_active"].isna().all()
    assert scales["log_alpha"].tolist() == pytest.approx([-1.386294] * 2)
    assert scales["deterministic"].tolist() == [1.0, 1.0]


def test_a_guide_without_gates() -> None:
    model = Classifier(bayesianize(nn.Linear(3, 2), weight=L2(1.0)), 10)

    with pytest.raises(ValueError, match=r"no gates; its sites are \['weight'\]"):
        gate_table(AutoSparse(model))


def test_a_guide_that_was_never_trained() -> None:
    model = Classifier(bayesianize(nn.Linear(3, 2), weight=LogUniform(), gate=L0(1.0)), 10)
    guide = AutoSparse(model)

    with pytest.raises(ValueError, match="never trained"):
        gate_table(guide)

    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))

    assert len(gate_table(guide)) == 3


def test_nothing_is_known_of_the_training_of_other_guides() -> None:
    check_trained(lambda: None)
    check_trained(AutoSparse(Classifier(bayesianize(nn.Linear(3, 2), weight=L2(1.0)), 10)))


def test_log_alpha_of_each_law() -> None:
    normal = Normal(torch.tensor([2.0, -0.5]), torch.tensor([1.0, 2.0]))

    found = log_alpha_of(normal)
    assert found is not None
    assert torch.allclose(found, torch.tensor([0.25, 16.0]).log())

    gate = log_alpha_of(HardConcrete(logits=torch.tensor([0.5])).expand([3]))
    assert gate is not None and gate.tolist() == [0.5] * 3
    assert log_alpha_of(LogNormal(0.0, 1.0)) is None


def test_columns_of_a_law_without_log_alpha_are_empty() -> None:
    columns = gate_columns(LogNormal(torch.zeros(2), torch.ones(2)))

    assert columns["log_alpha"].isnan().all() and columns["prob_active"].isnan().all()
    assert torch.allclose(columns["deterministic"], torch.tensor(0.5).exp())


def test_roles() -> None:
    gate = HardConcrete(logits=torch.zeros(2))

    assert role_of(gate.mask(True).to_event(1)) == "gate"
    assert role_of(Local(Normal(torch.zeros(2), 1.0)).to_event(1)) == "weight"
    assert role_of(Local(Normal(torch.zeros(2), 1.0), role="gate")) == "gate"
    assert role_of(Normal(0.0, 1.0)) is None


def test_without_pandas_the_extra_is_named(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pip install 'pyro-sparse\[arviz\]'"):
        gate_table(trained.guide)
