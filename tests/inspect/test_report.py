"""The report of a network, against its parts."""

import pickle
import sys
from typing import Any

import pandas as pd
import pyro
import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.inspect import report
from pyro_sparse.nn import Classifier, Regressor, bayesianize, by_name, layers
from pyro_sparse.prune import count, freeze, masks
from tests.inspect.conftest import Trained


def test_rows_are_the_layers(trained: Trained) -> None:
    table = report(trained.model, trained.guide, trained.x[:3])

    kept = masks(trained.guide)
    costs = count(freeze(trained.model, trained.guide), trained.x[:3])
    assert list(table.index) == ["fc1", "fc2", "total"]
    for layer in ("fc1", "fc2"):
        gate = trained.guide.laws()[f"{layer}.gate"].law.prob_active
        row = table.loc[layer]
        assert row["groups"] == gate.numel()
        assert row["groups_kept"] == kept[f"{layer}.gate"].sum()
        assert row["prob_active"] == pytest.approx(gate.mean().item())
        assert row["macs"] == costs[layer].macs
        assert row["macs_kept"] == row["weights_kept"] == costs[layer].nonzero_macs
        assert row["noise"] == "per example, none"


def test_divergences_are_those_of_the_bound(trained: Trained) -> None:
    table = report(trained.model, trained.guide, trained.x[:3])

    elbo = TraceSparse_ELBO()
    elbo.loss(trained.model, trained.guide, trained.x, trained.y)
    assert elbo.parts is not None
    for layer in ("fc1", "fc2"):
        expected = sum(kl.item() for site, kl in elbo.parts.kl.items() if site.startswith(layer))
        assert table.loc[layer, "kl"] == pytest.approx(expected, rel=1e-5)


def test_the_total_adds_up(trained: Trained) -> None:
    table = report(trained.model, trained.guide, trained.x[:3])

    layers = table.drop("total")
    for column in ("groups", "groups_kept", "kl", "weights", "weights_kept", "macs", "macs_kept"):
        assert table.loc["total", column] == pytest.approx(layers[column].sum())
    weighted = (layers["prob_active"] * layers["groups"]).sum() / layers["groups"].sum()
    assert table.loc["total", "prob_active"] == pytest.approx(weighted)


def test_layers_without_gates_and_plain_layers() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = Regressor(
        bayesianize(net, weight=LogUniform(), select=lambda name, module: name == "2"), 10
    )

    table = report(model, AutoSparse(model, init_scale=0.5), torch.randn(3, 4))

    assert table["groups"].isna().all()
    assert table["kl"].isna().tolist() == [True, False, False]
    assert table["noise"].tolist() == ["not converted", "local", ""]
    assert table.loc["total", "macs"] == 36


class Attentive(nn.Module):
    """What conversion leaves alone: keys of attention's own, a norm, a matrix of the network's."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 3)
        self.matrix = nn.Parameter(torch.randn(4, 4))
        self.last = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x, _ = self.attention(x, x, x)
        return self.last(self.fc(self.norm(x) @ self.matrix).mean(1))


def test_what_was_not_converted_is_listed() -> None:
    select = layers & ~by_name("last")
    model = Classifier(bayesianize(Attentive(), weight=LogUniform(), select=select), 10)

    table = report(model, AutoSparse(model, init_scale=0.5), torch.randint(9, (3, 5)))

    assert table["noise"].to_dict() == {
        "embed": "local",
        "fc": "local",
        "norm": "",
        "last": "not converted",
        "attention": "not converted",
        "attention.out_proj": "not converted",
        "(net)": "not converted",
        "total": "",
    }
    assert table.loc["attention", "weights"] == 56 and table.loc["(net)", "weights"] == 16
    assert table["kl"].isna()["attention"]


def test_gates_alone() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    model = Classifier(bayesianize(net, gate=L0(1.0), gate_dim={"2": "in"}), 10)

    table = report(model, AutoSparse(model), torch.randn(3, 4))

    assert table["noise"].to_dict() == {"0": "parameters", "2": "per example", "total": ""}


def test_a_network_that_is_one_layer() -> None:
    model = Classifier(bayesianize(nn.Linear(4, 2), weight=LogUniform(), gate=L0(1.0)), 10)

    table = report(model, AutoSparse(model), torch.randn(3, 4))

    assert list(table.index) == ["(net)", "total"]


def test_it_prints_in_one_block(trained: Trained) -> None:
    lines = str(report(trained.model, trained.guide, trained.x[:3])).splitlines()

    assert len(lines) == 4
    assert lines[0].split()[:3] == ["groups", "groups_kept", "prob_active"]
    assert "NA" not in "".join(lines) and "nan" not in "".join(lines)


def test_it_is_a_frame(trained: Trained) -> None:
    table = report(trained.model, trained.guide, trained.x[:3])

    assert isinstance(table, pd.DataFrame)
    assert type(table[["kl"]]) is pd.DataFrame
    assert pickle.loads(pickle.dumps(table)).equals(pd.DataFrame(table))


def test_samples_that_are_drawn_once() -> None:
    model = Classifier(bayesianize(nn.Linear(4, 2), weight=Normal(0.0, 1.0)), 10)

    table = report(model, AutoSparse(model, shared=True), torch.randn(3, 4))

    assert table.loc["(net)", "noise"] == "once"


def test_nothing_changes(trained: Trained) -> None:
    before = {name: value.clone() for name, value in trained.guide.state_dict().items()}
    trained.model.train()

    report(trained.model, trained.guide, trained.x[:3])

    assert trained.model.training
    assert all(torch.equal(before[n], v) for n, v in trained.guide.state_dict().items())
    with pyro.poutine.trace() as tracer:
        report(trained.model, trained.guide, trained.x[:3])
    assert not [n for n, s in tracer.trace.nodes.items() if s["type"] == "sample"]


def test_without_pandas_the_extra_is_named(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(ImportError, match=r"pip install 'pyro-sparse\[arviz\]'"):
        report(trained.model, trained.guide, trained.x[:3])


def test_a_notebook_shows_the_numbers_as_the_print_does(trained: Trained) -> None:
    table: Any = report(trained.model, trained.guide, trained.x[:3])

    shown = table._repr_html_()
    assert f"<td>{table.loc['fc1', 'prob_active']:.3f}</td>" in shown
    assert "<td></td>" in shown and "NaN" not in shown and "<NA>" not in shown


@pytest.mark.parametrize("model", [lambda x: x, nn.Linear(3, 2)], ids=["function", "module"])
def test_other_programs_have_no_report(trained: Trained, model: nn.Module) -> None:
    with pytest.raises(TypeError, match=r"network made by bayesianize, got (<lambda>|Linear)"):
        report(model, trained.guide, trained.x[:3])


class Twice(nn.Module):
    """Two layers with a gated hidden layer between them; a value decides the way, if asked to."""

    def __init__(self, dynamic: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 8), nn.Linear(8, 2)
        self.dynamic = dynamic

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.second(x.relu() if self.dynamic and x.sum() > 1e9 else x.tanh())


@pytest.mark.parametrize(("dynamic", "kept"), [(False, 12), (True, 24)])
def test_what_is_kept_is_what_compaction_leaves(dynamic: bool, kept: int) -> None:
    """Closed inputs of a layer shrink the layer before it, where the network can be followed."""
    net = bayesianize(Twice(dynamic), gate=L0(1.0), select=lambda name, _: name == "second")
    model = Classifier(net, num_data=10)
    guide = AutoSparse(model)
    with torch.no_grad():
        guide.get_parameter("sites.second.gate.base__logits")[:4] = -10.0

    table = report(model, guide, torch.randn(4, 3))
    assert table.loc["first", "weights_kept"] == kept
    assert table.loc["second", "weights_kept"] == 8
