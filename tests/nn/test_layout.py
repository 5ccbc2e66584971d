"""Where the units of each layer are."""

import pytest
import torch
from torch import nn

from pyro_sparse.nn.layout import Layout, layout_of

LAYOUTS = [
    (nn.Linear(4, 3), Layout(1, 0), 4, 3),
    (nn.Conv1d(4, 6, 3, groups=2), Layout(1, 0, 1, 2, tiled=1), 4, 6),
    (nn.Conv2d(4, 6, 3), Layout(1, 0, 2, 1, tiled=1), 4, 6),
    (nn.Conv3d(4, 8, 3, groups=4), Layout(1, 0, 3, 4, tiled=1), 4, 8),
    (nn.ConvTranspose1d(4, 6, 3), Layout(0, 1, 1, 1, tiled=1), 4, 6),
    (nn.ConvTranspose2d(4, 6, 3, groups=2), Layout(0, 1, 2, 2, tiled=1), 4, 6),
    (nn.ConvTranspose3d(4, 6, 3), Layout(0, 1, 3, 1, tiled=1), 4, 6),
    (nn.Embedding(5, 3), Layout(None, 1), None, 3),
    (nn.Bilinear(2, 5, 3), Layout(None, 0), None, 3),
]


@pytest.mark.parametrize(
    ("layer", "layout", "inputs", "outputs"), LAYOUTS, ids=lambda x: type(x).__name__
)
def test_units(layer: nn.Module, layout: Layout, inputs: int | None, outputs: int) -> None:
    found = layout_of(layer)
    weight = layer.get_parameter("weight")

    assert found == layout
    assert layout.units(weight, layout.out_dim) == outputs
    if inputs is not None and layout.in_dim is not None:
        assert layout.units(weight, layout.in_dim) == inputs


@pytest.mark.parametrize(
    "module", [nn.BatchNorm1d(3), nn.LayerNorm(3), nn.ReLU(), nn.Sequential(nn.Linear(2, 2))]
)
def test_modules_without_units(module: nn.Module) -> None:
    assert layout_of(module) is None


def test_subclasses_are_what_they_derive_from() -> None:
    class Scaled(nn.Linear):
        pass

    assert layout_of(Scaled(2, 3)) == Layout(1, 0)
    assert Layout(1, 0).units(torch.zeros(3, 2), 1) == 2
