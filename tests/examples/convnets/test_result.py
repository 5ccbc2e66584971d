"""What is written down of a training: numbers of the compact network, and pictures."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from examples.convnets.data import Images
from examples.convnets.methods import METHODS
from examples.convnets.pictures import draw_sizes, draw_training
from examples.convnets.program import Way, augmented, train
from examples.convnets.result import look, renew_norms, result, smaller
from models.resnet import ResNet


@pytest.fixture
def images() -> Images:
    """Red or blue decides the label."""
    x = torch.randint(128, (256, 3, 32, 32), dtype=torch.uint8)
    y = torch.arange(256) % 2
    x[:, 0] += (100 * y).to(torch.uint8)[:, None, None]
    middle = torch.full((3, 1, 1), 90.0)
    return Images("colours", 2, x, y, x, y, middle, middle / 2)


def test_a_result_is_that_of_the_compact_network(images: Images, tmp_path: Path) -> None:
    net = ResNet(2, classes=2, width=4)
    method = replace(METHODS["budget"], epochs=4, budget=0.6, gate_lr=0.1)
    files = (tmp_path / "a", tmp_path / "dense")
    looks = [lambda t: look(smaller(t, images)[1], t, images)]
    training = train(method, "resnet20", net, images, 0, files, looks)
    seen = smaller(training, images)

    about = {"net": "resnet20", "data": "cifar10", "method": "budget"}
    row = about | result(training, method, net, images, Way(), seen)

    assert row["macs"] <= 0.6 * row["dense_macs"]
    assert row["difference"] < 1e-5
    assert row["history"][-1]["error"] == row["error"]
    assert row["images"] == 256
    assert row["faster"] > 0
    assert sum(row["layers"].values()) == row["dense_weights"]
    draw_training(row, tmp_path / "training.png")
    draw_sizes([row], tmp_path / "sizes.png")
    assert (tmp_path / "training.png").stat().st_size > 10_000
    assert (tmp_path / "sizes.png").stat().st_size > 10_000


def test_norms_get_the_statistics_of_shifted_images(images: Images) -> None:
    """The black borders are a part of what the training saw; its noise stays as it was."""
    norm = nn.BatchNorm2d(3, momentum=0.3)
    net = nn.Sequential(norm, nn.Dropout(0.9)).eval()
    torch.manual_seed(1)
    wanted = torch.rand(())
    torch.manual_seed(1)

    renew_norms(net, images)

    assert torch.equal(torch.rand(()), wanted)
    x, _ = augmented(images, channels_last=False)[list(range(256)) * 20]
    torch.testing.assert_close(norm.running_mean, x.mean((0, 2, 3)), rtol=0, atol=0.03)
    torch.testing.assert_close(norm.running_var, x.var((0, 2, 3)), rtol=0.05, atol=0)
    assert (x.mean((0, 2, 3)) - images.standardised(images.x).mean((0, 2, 3))).max() < -0.1
    assert norm.momentum == 0.3 and not norm.training
