import pytest
import torch
from torch import nn

from models.lenet import lenet5, mlp
from pyro_sparse.prune import compact, count
from pyro_sparse.prune.layout import SparseLinear, to_sparse


def thin(net: nn.Module, *layers: str) -> nn.Module:
    """One weight in fifty left in these layers."""
    with torch.no_grad():
        for layer in layers:
            weight = net.get_parameter(f"{layer}.weight")
            weight.mul_(torch.rand_like(weight) < 0.02)

    return net


@pytest.mark.parametrize("shape", [(5, 40), (2, 3, 40), (40,)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_sparse_layer_computes_what_the_dense_one_does(
    shape: tuple[int, ...], bias: bool
) -> None:
    linear = nn.Linear(40, 30, bias=bias)
    thin(nn.ModuleDict({"0": linear}), "0")
    x = torch.randn(shape)

    torch.testing.assert_close(SparseLinear(linear)(x), linear(x))


def test_thin_layers_are_replaced_and_the_network_is_left_alone() -> None:
    net = thin(mlp(40, 60, 50, 10), "fc1", "fc3")

    sparse = to_sparse(net)

    kinds = [type(sparse.get_submodule(name)) for name in ("fc1", "fc2", "fc3")]
    assert kinds == [SparseLinear, nn.Linear, SparseLinear]
    assert isinstance(net.get_submodule("fc1"), nn.Linear)
    x = torch.randn(7, 40)
    torch.testing.assert_close(sparse(x), net(x))


def test_after_compaction() -> None:
    net = thin(lenet5((4, 8, 60)), "fc1")
    x = torch.randn(3, 1, 28, 28)

    sparse = to_sparse(compact(net, x), below=0.5)

    assert isinstance(sparse.get_submodule("fc1"), SparseLinear)
    torch.testing.assert_close(sparse(x), net(x))
    stored = torch.count_nonzero(net.get_parameter("fc1.weight"))
    counted = count(sparse, x)["fc1"]
    assert counted.macs == counted.nonzero_macs == stored
    assert counted.nonzeros == stored + sparse.get_parameter("fc1.bias").numel()


def test_a_single_layer() -> None:
    assert isinstance(to_sparse(nn.Linear(3, 2), below=1.0), nn.Linear)
    assert isinstance(to_sparse(thin(nn.Sequential(nn.Linear(90, 9)), "0")[0]), SparseLinear)  # type: ignore[index]


@pytest.mark.parametrize("below", [-0.1, 1.1])
def test_a_density_is_a_share(below: float) -> None:
    with pytest.raises(ValueError, match=rf"density in \[0, 1\], but got below={below}"):
        to_sparse(mlp(3, 2), below)
