import torch

from models.alexnet import alexnet


def test_shapes_and_size() -> None:
    net = alexnet(classes=7, hidden=32)

    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    assert sum(p.numel() for p in alexnet().parameters()) == 23_272_266
