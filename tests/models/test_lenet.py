import pytest
import torch
from torch import nn

from models.lenet import lenet5, lenet_300_100, mlp


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters() if p.dim() > 1)


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_published_sizes() -> None:
    assert weights(lenet_300_100()) == 266_200
    assert parameters(lenet_300_100()) == 266_610
    assert weights(lenet5()) == 430_500
    assert parameters(lenet5()) == 431_080


def test_layers_have_the_names_the_papers_use() -> None:
    names = [name for name, _ in mlp(64, 300, 100, 10).named_parameters()]
    assert names == [f"fc{i}.{kind}" for i in (1, 2, 3) for kind in ("weight", "bias")]

    names = [name for name, _ in lenet5().named_children()]
    assert [n for n in names if n[:2] in {"co", "fc"}] == ["conv1", "conv2", "fc1", "fc2"]


def test_images_go_in_as_they_come() -> None:
    assert mlp(64, 300, 100, 10)(torch.randn(5, 1, 8, 8)).shape == (5, 10)
    assert lenet_300_100(classes=3)(torch.randn(5, 784)).shape == (5, 3)
    assert lenet5((3, 5, 7), classes=4)(torch.randn(2, 1, 28, 28)).shape == (2, 4)


def test_the_last_layer_is_linear() -> None:
    net = mlp(4, 3)

    assert isinstance(net[-1], nn.Linear)
    assert (net(torch.randn(6, 4)) < 0).any()


@pytest.mark.parametrize("widths", [(), (3,), (3, 0, 2)])
def test_an_mlp_needs_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"at least two positive widths.*got \("):
        mlp(*widths)
