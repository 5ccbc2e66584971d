import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.lenet import mlp
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.trace import trace
from pyro_sparse.prune import compact
from pyro_sparse.prune.surgery import CompactModule, Gather, operate
from tests.prune.nets import Residual, compacted, zero


class Early(nn.Module):
    """Once the branch is gone, writing in place would write into the input."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        h = self.branch(x)
        h += x
        h = self.relu(h)
        F.relu(h, inplace=True)
        return self.last(h.mul_(2.0))


def test_gather() -> None:
    gather = Gather(-2, torch.tensor([2, 0]))

    assert gather(torch.arange(6).reshape(1, 3, 2)).tolist() == [[[4, 5], [0, 1]]]
    assert str(gather) == "Gather(2 along axis -2)"
    assert list(gather.state_dict()) == ["index"]


def test_the_input_is_never_written_to() -> None:
    net = Early()
    zero(net.branch.weight)
    zero(net.branch.bias)
    x = torch.randn(5, 4)
    smaller = compacted(net, x)

    before = x.clone()
    smaller(x)

    assert torch.equal(x, before)
    assert "branch" not in dict(smaller.named_modules())


def test_a_constant_branch_becomes_a_buffer() -> None:
    net = Early()
    zero(net.branch.weight)

    smaller = compacted(net, torch.randn(5, 4))

    (buffer,) = smaller.buffers()
    assert torch.equal(buffer, net.branch.bias)


def test_gathers_sit_beside_their_layers() -> None:
    net = nn.Sequential(mlp(4, 3, 2))
    zero(net.get_parameter("0.fc1.weight"), slice(None), [1])

    smaller = compacted(net, torch.randn(5, 4))

    assert smaller.get_buffer("0.fc1_inputs.index").tolist() == [0, 2, 3]


def test_frozen_parameters_stay_frozen() -> None:
    net = Residual().requires_grad_(False)
    zero(net.stem.weight, [1])
    zero(net.head.weight, slice(None), [0, 1])

    assert not any(p.requires_grad for p in compact(net, torch.randn(2, 2, 8, 8)).parameters())


def test_a_plan_for_another_network() -> None:
    plan = Plan(gathers={"fc9": (-1, [0])})

    with pytest.raises(
        ValueError, match="speaks of an operation 'fc9' that this network does not"
    ):
        operate(trace(mlp(4, 3), torch.randn(1, 4)), plan, {}, "Net")


def test_an_empty_plan_changes_nothing() -> None:
    net = Residual().eval()
    x = torch.randn(2, 2, 8, 8)

    same = operate(trace(net, x), Plan(), {}, "Residual")

    assert isinstance(same, CompactModule) and same.plan == Plan()
    assert torch.equal(same(x), net(x))
    assert str(same).startswith("Residual(\n  (stem): Conv2d(")
