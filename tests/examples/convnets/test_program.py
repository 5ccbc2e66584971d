"""Trainings of CIFAR's program: every method has a bound, and one that stopped goes on bitwise."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from examples.convnets.data import Images
from examples.convnets.methods import METHODS
from examples.convnets.nets import NETS
from examples.convnets.program import Way, augmented, build, train
from models.resnet import ResNet
from pyro_sparse.infer import TraceSparse_ELBO, Training


def images(count: int = 20, classes: int = 10) -> Images:
    x = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8)
    y = torch.arange(count) % classes
    middle = torch.full((3, 1, 1), 127.0)
    return Images("random", classes, x, y, x, y, middle, middle / 2)


def small() -> nn.Module:
    return ResNet(1, width=4)


@pytest.mark.parametrize(
    "channels_last, layout", [(False, torch.contiguous_format), (True, torch.channels_last)]
)
def test_batches_are_standardised_in_the_layout_asked_for(
    channels_last: bool, layout: torch.memory_format
) -> None:
    x, _ = augmented(images(), channels_last)[[0, 1]]

    assert x.is_contiguous(memory_format=layout)
    assert x.min() >= -2 and x.max() <= 258 / 127  # bytes 0 and 255


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_bound_with_finite_gradients(name: str) -> None:
    data = images(4)
    model, guide = build(METHODS[name], "resnet20", small(), data)
    bound = TraceSparse_ELBO()(model, guide)

    bound(data.standardised(data.x), data.y).backward()

    gradients = [p.grad for p in bound.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_gates_sit_behind_the_first_norm_of_each_block() -> None:
    _, guide = build(METHODS["l0"], "resnet20", ResNet(2, width=4), images(4))
    sizes = {site: law.shape() for site, law in guide.laws().items() if site.endswith("gate")}

    blocks = [(stage, block) for stage in (1, 2, 3) for block in (0, 1)]
    assert sizes == {f"stage{s}.{b}.bn1.gate": (2 * 2**s,) for s, b in blocks}


def test_a_unit_costs_the_weights_that_make_it() -> None:
    _, guide = build(METHODS["l0"], "resnet20", small(), images(4))

    for stage, inputs in ((1, 4), (2, 4), (3, 8)):
        penalty = guide.priors()[f"stage{stage}.0.bn1.gate"].penalty
        torch.testing.assert_close(penalty.max().item(), NETS["resnet20"].penalty * 9 * inputs)


class Interrupted(Exception):
    """Stands for a crash."""


@pytest.mark.parametrize("name", ["budget", "vd"])
def test_a_training_that_stopped_goes_on_to_the_same_numbers(name: str, tmp_path: Path) -> None:
    data = images(260)
    method = replace(METHODS[name], epochs=3)

    def crash(training: Training) -> None:
        if training.epoch == 2:
            raise Interrupted

    def run(folder: str, *looks: Any) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        path = tmp_path / folder
        training = train(method, "resnet20", small(), data, 0, (path, path), looks)
        assert isinstance(training.model, nn.Module)
        return {
            **training.guide.state_dict(),  # type: ignore[attr-defined]
            **training.model.state_dict(),
        }

    whole = run("whole")
    with pytest.raises(Interrupted):
        run("stopped", crash)
    resumed = run("stopped")

    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


@pytest.mark.parametrize(
    "way",
    [
        Way(autocast=True, channels_last=True),
        pytest.param(Way(True, True, True), marks=pytest.mark.slow),
    ],
)
def test_the_way_of_a_gpu_learns_too(way: Way, tmp_path: Path) -> None:
    method = replace(METHODS["budget"], epochs=4)
    files = (tmp_path / "budget", tmp_path / "dense")

    training = train(method, "resnet20", small(), images(256), 0, files, way=way)

    assert training.rows[-1]["nll"] < training.rows[0]["nll"]
    weight = training.guide.get_parameter("sites.stage1.0.conv1.weight.value")  # type: ignore[attr-defined]
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_a_dense_start_is_where_the_training_begins(tmp_path: Path) -> None:
    method = replace(METHODS["budget"], epochs=1, pretrain=1, lr=1e-12)

    files = (tmp_path / "budget", tmp_path / "dense")
    training = train(method, "resnet20", small(), images(130), 0, files)

    start = torch.load(files[1], weights_only=False)["parts"]["guide"]
    found = training.guide.state_dict()  # type: ignore[attr-defined]
    torch.testing.assert_close(
        found["sites.stage1.0.conv1.weight.value"], start["sites.stage1.0.conv1.weight.value"]
    )
