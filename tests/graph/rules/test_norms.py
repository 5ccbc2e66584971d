import torch
from torch import nn

from tests.prune.nets import compacted, widths, zero


def normed(dims: int, **options: bool) -> nn.Sequential:
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dims](5, **options)
    conv = {1: nn.Conv1d, 2: nn.Conv2d}[dims]
    if norm.running_mean is not None and norm.running_var is not None:
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var)

    return nn.Sequential(conv(2, 5, 3), norm, nn.ReLU(), conv(5, 3, 3))


def test_a_closed_norm_needs_no_input() -> None:
    for dims in (1, 2):
        net = normed(dims)
        zero(net[1].weight, [0, 3])
        nn.init.normal_(net.get_parameter("1.bias"))

        smaller = compacted(net, torch.randn(4, 2, *[6] * dims))

        assert widths(smaller) == {"0": (2, 3), "3": (3, 3)}
        norm = smaller.get_submodule("1")
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        assert norm.num_features == len(smaller.get_buffer("1.running_var")) == 3


def test_a_closed_unit_before_a_norm_leaves_a_constant() -> None:
    net = normed(2)
    zero(net[0].weight, [1])

    assert widths(compacted(net, torch.randn(4, 2, 6, 6))) == {"0": (2, 4), "3": (4, 3)}


def test_norms_without_parameters_or_statistics() -> None:
    for options in ({"affine": False}, {"track_running_stats": False}):
        net = normed(2, **options)
        zero(net[0].weight, [1])

        assert widths(compacted(net, torch.randn(4, 2, 6, 6))) == {"0": (2, 4), "3": (4, 3)}


def test_norms_of_features() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))
    zero(net[1].weight, [4])

    assert widths(compacted(net, torch.randn(4, 3))) == {"0": (3, 4), "3": (4, 2)}


def test_slopes_go_with_their_channels() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.PReLU(5), nn.Linear(5, 2), nn.PReLU(), nn.Linear(2, 2))
    zero(net[0].weight, [1, 2])
    nn.init.constant_(net.get_parameter("0.bias"), -1.0)
    nn.init.uniform_(net.get_parameter("1.weight"))

    smaller = compacted(net, torch.randn(4, 3))

    assert smaller.get_parameter("1.weight").shape == (3,)
    assert smaller.get_submodule("1").num_parameters == 3
