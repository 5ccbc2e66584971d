"""Conversion: what is made, what is kept, what is refused."""

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from pyro import condition
from torch import Tensor, nn

from models.lenet import lenet5
from pyro_sparse.distributions import L0, EmpiricalNormal, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize
from tests.nn.networks import Nested, Repeated, Tied, mlp, old, priors

NORMAL = dist.Normal(0.0, 1.0)


def test_the_original_is_left_as_it_is() -> None:
    net = Nested()
    before, classes = old(copy.deepcopy(net)), [type(module) for module in net.modules()]
    x = torch.randn(5, 4)
    wanted = copy.deepcopy(net)(x)

    used = lambda name, module: isinstance(module, nn.Linear) and "noise" not in name  # noqa: E731
    new = bayesianize(net, weight=NORMAL, bias=NORMAL, gate=L0(1.0), select=used)
    loss = TraceSparse_ELBO().differentiable_loss(
        (model := Classifier(new, 50)), AutoSparse(model), x, torch.zeros(5, dtype=torch.long)
    )
    loss.backward()

    assert [type(module) for module in net.modules()] == classes
    assert old(net).keys() == before.keys()
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.grad is None
    torch.testing.assert_close(net(x), wanted, rtol=0, atol=0)
    assert not {id(t) for t in net.state_dict(keep_vars=True).values()} & {
        id(t) for t in new.state_dict(keep_vars=True).values()
    }


@pytest.mark.parametrize("make", [mlp, Nested, Repeated, lambda: nn.Linear(4, 3)])
def test_with_the_old_values_it_is_the_old_network(make: Callable[[], nn.Module]) -> None:
    net, x = make(), torch.randn(5, 4)
    new = bayesianize(net, weight=LogUniform(), bias=LogUniform())

    torch.testing.assert_close(condition(new, old(net))(x), net(x), rtol=0, atol=0)


def test_convolutional_networks() -> None:
    net, x = lenet5(), torch.randn(2, 1, 28, 28)
    new = bayesianize(net, weight=LogUniform(), gate=L0(1.0))

    given = {**old(net), **{n: torch.ones(p.shape) for n, p in priors(new).items() if "gate" in n}}
    torch.testing.assert_close(condition(new, given)(x), net(x), rtol=0, atol=1e-6)


def test_sites_are_named_by_path() -> None:
    new = bayesianize(Nested(), weight=NORMAL, bias=NORMAL, gate=L0(1.0))

    assert list(priors(new)) == [
        f"{path}.{name}"
        for path in ("blocks.0", "blocks.1.0", "heads.mean", "heads.noise")
        for name in ("gate", "weight", "bias")
        if (path, name) != ("heads.noise", "bias")
    ]
    assert list(priors(bayesianize(nn.Linear(2, 2), weight=NORMAL))) == ["weight"]


def test_what_is_not_selected_stays_a_parameter() -> None:
    new = bayesianize(Nested(), weight=NORMAL, select=lambda name, module: "heads" in name)

    parameters = {name for name, _ in new.named_parameters()}
    assert parameters >= {
        "blocks.0.weight",
        "norm.weight",
        "norm.bias",
        "shift",
        "heads.mean.bias",
    }
    assert not any("heads" in name and "weight" in name for name in parameters)
    assert {name for name, _ in new.named_buffers()} >= {"scale", "norm.running_mean"}


def test_select_by_type() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 2), nn.Flatten(), nn.Linear(6, 2))

    new = bayesianize(net, weight=NORMAL, select=lambda name, module: type(module) is nn.Conv1d)

    assert list(priors(new)) == ["0.weight"]


def test_pretrained_values_are_kept_and_no_parameter_is_left_over() -> None:
    net = mlp()
    new = bayesianize(net, weight=NORMAL)

    torch.testing.assert_close(priors(new)["0.weight"].initial, old(net)["0.weight"])
    assert {name for name, _ in new.named_parameters()} == {"0.bias", "2.bias"}
    assert "0.priors.weight.initial" not in new.state_dict()


def test_tied_parameters_are_drawn_once_for_all_uses() -> None:
    net = Tied()
    new: Any = bayesianize(net, weight=NORMAL)

    assert list(priors(new)) == ["embedding.weight"]
    assert new.output.sources["weight"] is new.embedding.sources["weight"]
    assert priors(new)["embedding.weight"].shared

    x = torch.tensor([[0, 1], [4, 2]])
    given = {"embedding.weight": net.embedding.weight.detach()}
    torch.testing.assert_close(condition(new, given)(x), net(x))


def test_tied_parameters_are_not_gated_by_the_gate_of_one_use() -> None:
    new = bayesianize(Tied(), weight=NORMAL, gate=L0(1.0), gate_dim="out")

    assert priors(new)["embedding.weight"].infer == {}


@pytest.mark.parametrize(
    ("net", "x"),
    [(Tied(), torch.tensor([[0, 1], [4, 2]])), (Repeated(), torch.randn(2, 4))],
)
def test_parameters_used_twice_train(net: nn.Module, x: Tensor) -> None:
    model = Classifier(bayesianize(net, weight=LogUniform(), bias=NORMAL), 20)
    guide, elbo = AutoSparse(model), TraceSparse_ELBO()

    elbo.differentiable_loss(model, guide, x, torch.tensor([0, 2])).backward()

    assert all(p.grad is not None and p.grad.isfinite().all() for p in guide.parameters())


@pytest.mark.parametrize("prior", [dist.Normal(0.0, 1.0), LogUniform(), EmpiricalNormal()])
def test_the_padding_of_an_embedding_stays_what_it_is(prior: Any) -> None:
    embedding = nn.Embedding(5, 3, padding_idx=1)
    nn.init.ones_(embedding.weight)
    net = bayesianize(nn.Sequential(embedding, nn.Flatten(), nn.Linear(6, 2)), weight=prior)
    model = Classifier(net, num_data=2)
    guide = AutoSparse(model)
    x = torch.tensor([[0, 1], [1, 3]])

    loss = TraceSparse_ELBO().differentiable_loss(model, guide, x, torch.tensor([0, 1]))
    loss.backward()

    for name, parameter in guide.named_parameters():
        if ".0.weight." in name:
            assert parameter.grad is not None
            assert not parameter.grad[1].any() and parameter.grad[[0, 2, 3, 4]].all()


def test_the_padding_of_a_tied_embedding_learns_where_it_is_no_padding() -> None:
    net = nn.Sequential(nn.Embedding(5, 3, padding_idx=1), nn.Linear(3, 5))
    net[1].weight = net[0].weight
    (prior,) = priors(bayesianize(net, weight=NORMAL)).values()

    assert prior.counted is None


def test_tied_parameters_are_converted_together() -> None:
    with pytest.raises(ValueError, match=r"'output\.weight' is tied to 'embedding\.weight'"):
        bayesianize(Tied(), weight=NORMAL, select=lambda name, m: isinstance(m, nn.Embedding))


def test_gates_where_a_function_says() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3))

    def after_norms(name: str, module: nn.Module) -> str | None:
        return "out" if isinstance(module, nn.BatchNorm2d) else None

    new = bayesianize(net, weight=LogUniform(), gate=L0(1.0), gate_dim=after_norms)

    assert list(priors(new)) == ["0.weight", "1.gate", "3.weight"]
    assert {name for name, _ in new.named_parameters()} == {
        "0.bias",
        "1.weight",
        "1.bias",
        "3.bias",
    }
    given = {**old(net), "1.gate": torch.tensor([0.0, 1.0, 0.0, 1.0])}
    new.eval()
    x = torch.randn(2, 1, 6, 6)
    net.eval()
    units = given["1.gate"].reshape(-1, 1, 1)
    wanted = net[3]((net[1](net[0](x)) * units).relu())
    torch.testing.assert_close(condition(new, given)(x), wanted)


def test_training_and_evaluation_stay_what_they_are() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    new: Any = bayesianize(net, weight=LogUniform())
    given, x = old(net), torch.randn(50, 4) + 3

    assert all(module.training for module in new.modules())
    condition(new, given)(x)
    assert new[1].num_batches_tracked == 1 and net[1].num_batches_tracked == 0

    new.eval()
    net[1].load_state_dict(new[1].state_dict())
    torch.testing.assert_close(condition(new, given)(x), net.eval()(x))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_of_each_layer_is_kept(dtype: torch.dtype) -> None:
    new = bayesianize(mlp().to(dtype), weight=NORMAL, bias=LogUniform(), gate=L0(1.0))
    guide = AutoSparse(new)

    for tensors in (new.parameters(), new.buffers(), guide.parameters(), guide.buffers()):
        assert {tensor.dtype for tensor in tensors} <= {dtype}


def test_moving_the_network_moves_the_priors() -> None:
    new = bayesianize(mlp(), weight=NORMAL, gate=L0(1.0)).double()
    model = Classifier(new, 20)
    guide, elbo = AutoSparse(model), TraceSparse_ELBO()

    x, y = torch.randn(5, 4).double(), torch.zeros(5, dtype=torch.long)
    loss = elbo.differentiable_loss(model, guide, x, y)

    assert loss.dtype == torch.float64
    assert {p.base.log_prob(torch.ones(()).double()).dtype for p in priors(new).values()} == {
        torch.float64
    }


def saved(net: Any) -> Any:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "again",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), saved],
    ids=["deepcopy", "pickle", "torch.save"],
)
def test_copies_of_network_and_guide_together(again: Callable[[Any], Any]) -> None:
    model = Classifier(bayesianize(Tied(), weight=NORMAL, gate=L0(1.0), gate_dim="out"), 20)
    pair = model, AutoSparse(model)
    x, y, elbo = torch.tensor([[0, 1], [4, 2]]), torch.tensor([0, 2]), TraceSparse_ELBO()

    def loss(model: nn.Module, guide: nn.Module) -> Tensor:
        torch.manual_seed(5)
        return elbo.loss(model, guide, x, y)

    other = again(pair)

    torch.testing.assert_close(loss(*other), loss(*pair))
    other[0].net.embedding.priors["weight"].scale.fill_(9.0)
    assert other[1].priors()["embedding.weight"].scale == 9.0
    assert pair[1].priors()["embedding.weight"].scale == 1.0


def test_a_checkpoint_of_a_network_loads_into_a_fresh_one() -> None:
    made = [bayesianize(mlp(), weight=dist.Normal(0.0, s), gate=L0(s)) for s in (1.0, 3.0)]

    made[0].load_state_dict(made[1].state_dict())

    assert priors(made[0])["0.weight"].base.scale == 3.0
    assert priors(made[0])["2.gate"].base.penalty == 9.0


def test_attention_gets_projections_of_its_own() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    before = layer.state_dict().keys()
    new = bayesianize(layer, weight=LogUniform())
    x = torch.randn(2, 5, 8)

    given: dict[str, Any] = {site: prior.initial for site, prior in priors(new).items()}
    attention = [f"self_attn.{part}.weight" for part in ("q", "k", "v", "out")]
    assert list(given) == [*attention, "linear1.weight", "linear2.weight"]
    assert layer.state_dict().keys() == before
    for mode in (True, False):
        new.train(mode), layer.train(mode)
        torch.testing.assert_close(condition(new, given)(x), layer(x))
        with torch.no_grad():
            torch.testing.assert_close(condition(new, given)(x), layer(x))


def test_a_dictionary_says_where_gates_are() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
    new = bayesianize(net, gate=L0(1.0), gate_dim={"0": "in", "1": "out"})

    assert {site: tuple(prior.shape) for site, prior in priors(new).items()} == {
        "0.gate": (4,),
        "1.gate": (6,),
    }
