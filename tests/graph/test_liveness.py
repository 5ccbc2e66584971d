import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.graph.liveness import analyse
from pyro_sparse.graph.trace import trace
from tests.prune.nets import Dense, Residual, compacted, widths, zero


class Overwriting(nn.Module):
    """Reads a tensor again after it was written to."""

    def __init__(self, write: int) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.last = nn.Linear(4, 2)
        self.write = write

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        if self.write == 0:
            F.relu_(x)
        elif self.write == 1:
            x[:, 0] = 7.0
        else:
            x.mul_(2.0)

        return self.last(x)


class Aside(nn.Module):
    """A layer whose result is thrown away, and one reached only through a dead layer."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(4)
        self.first = nn.Linear(3, 4)
        self.dead = nn.Linear(4, 4)
        self.last = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.last(torch.cat([x, x[:, :1], self.dead(self.norm(h))], 1))


def test_a_tensor_written_to_keeps_its_constants_to_itself() -> None:
    for write in range(3):
        net = Overwriting(write)
        zero(net.first.weight, [0, 1])
        nn.init.constant_(net.first.bias, -1.0)

        compacted(net, torch.randn(5, 3))


class Late(nn.Module):
    """Writes into an operand of a sum after the sum was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.dead = nn.Linear(4, 4)
        self.last = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        added = h + self.dead(h)
        F.relu_(h)
        return self.last(added) + h[:, :2]


def test_a_sum_does_not_change_with_its_operand() -> None:
    net = Late()
    zero(net.dead.weight)
    zero(net.dead.bias)

    smaller = compacted(net, torch.randn(5, 3))

    assert "dead" not in dict(smaller.named_modules())


def test_what_only_a_dead_operand_reads_disappears() -> None:
    net = Aside()
    zero(net.dead.weight)

    smaller = compacted(net, torch.randn(5, 3))

    assert widths(smaller) == {"last": (4, 2)}


def test_dead_layers_off_the_only_path_are_no_error() -> None:
    net = Dense()
    zero(net.layers[1][2].weight)  # type: ignore[index]

    assert "layers.1.2" not in widths(compacted(net, torch.randn(2, 2, 6, 6)))


def test_a_dead_branch_disappears_with_all_that_computes_it() -> None:
    net = Residual()
    zero(net.get_parameter("blocks.2.bn2.weight"))
    zero(net.get_parameter("blocks.2.bn2.bias"))

    smaller = compacted(net, torch.randn(2, 2, 8, 8))

    assert not any(name.startswith("blocks.2.") for name, _ in smaller.named_parameters())


def test_rounding_reaches_every_layer_of_a_class() -> None:
    net = Residual()
    zero(net.stem.weight, [1, 3])
    zero(net.stem.bias, [1, 3])
    for name in ("bn2.weight", "bn2.bias"):
        zero(net.get_parameter(f"blocks.0.{name}"), [1, 3])

    assert widths(compacted(net, torch.randn(2, 2, 8, 8)))["blocks.0.conv2"] == (6, 4)
    rounded = widths(compacted(net, torch.randn(2, 2, 8, 8), round_to=5))
    assert rounded["stem"] == (2, 5) and rounded["blocks.0.conv2"] == (6, 5)


def test_the_plan_of_an_untouched_network_is_empty() -> None:
    plan, values = analyse(trace(Residual(), torch.randn(2, 2, 8, 8)))

    assert not values
    assert not any(plan.to_dict().values())
