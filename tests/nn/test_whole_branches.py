"""Gates of whole residual branches: a closed one makes all of its layers disappear."""

import torch
from pyro import poutine
from torch import nn

from pyro_sparse.distributions import L0, EmpiricalNormal
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, freeze
from tests.prune.nets import FAMILIES, assert_same

BRANCHES = {f"blocks.{i}.bn2": "layer" for i in range(3)}


def test_a_closed_branch_disappears() -> None:
    family = FAMILIES["residual"]
    net, x = family.build().eval(), family.inputs()
    model = bayesianize(net, gate=L0(1.0), gate_dim=BRANCHES)
    kept = {f"{path}.gate": torch.tensor([path != "blocks.0.bn2"]) for path in BRANCHES}

    frozen = freeze(model, AutoSparse(model), kept)
    smaller = compact(frozen, x)

    assert_same(frozen, smaller, x)
    gone = dict(net.named_modules()).keys() - dict(smaller.named_modules()).keys()
    assert {"blocks.0.conv1", "blocks.0.bn1", "blocks.0.conv2", "blocks.0.bn2"} <= gone
    assert {"blocks.1.conv1", "blocks.2.conv2"} & gone == set()


def test_gates_of_layers_train() -> None:
    """With a proper prior of the weights, which counts where the one gate is open."""
    model = Classifier(
        bayesianize(nn.Linear(4, 3), weight=EmpiricalNormal(), gate=L0(1.0), gate_dim="layer"), 20
    )
    guide = AutoSparse(model)

    loss = TraceSparse_ELBO()(model, guide)(torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0]))
    loss.backward()

    for parameter in guide.parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all()
        assert parameter.grad.any()


def test_one_draw_an_example() -> None:
    model = bayesianize(nn.Conv2d(1, 3, 2, bias=False), gate=L0(1.0), gate_dim="layer")
    guide = AutoSparse(model, init_gate_prob=0.5)
    x = torch.randn(1, 1, 4, 4).expand(50, 1, 4, 4)

    ratios = outputs(model, guide, x) / nn.functional.conv2d(x, model.get_parameter("weight"))

    rows = ratios.flatten(1)
    torch.testing.assert_close(rows, rows[:, :1].expand_as(rows))
    assert len(rows[:, 0].unique()) > 10


def outputs(model: nn.Module, guide: AutoSparse, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad(), poutine.block():
        return poutine.replay(model, trace=poutine.trace(guide).get_trace())(x) + 0
