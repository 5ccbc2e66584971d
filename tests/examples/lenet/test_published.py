"""The published rows: their arithmetic, and that every one names a network and a source."""

import pytest
import torch

from examples.lenet.methods import NETS
from examples.lenet.published import DENSE, MARKS, PUBLISHED, Published
from pyro_sparse.prune import count


@pytest.mark.parametrize("net", NETS)
def test_dense_architectures_have_all_weights(net: str) -> None:
    found = count(NETS[net](), torch.zeros(1, 1, 28, 28))
    row = Published(net, "", "", 0.0, "", found.architecture)

    assert row.weights == found.weights == DENSE[net]


@pytest.mark.parametrize(
    ("net", "architecture", "weights"),
    [
        ("lenet_300_100", "97-71-33", 9_560),
        ("lenet_300_100", "278-98-13", 28_648),
        ("lenet_5_caffe", "5-10-76-16", 2_751),
        ("lenet_5_caffe", "9-18-65-25", 6_150),
    ],
)
def test_weights_of_an_architecture(net: str, architecture: str, weights: int) -> None:
    assert Published(net, "", "", 0.0, "", architecture).weights == weights


def test_marks_are_the_best_published_points() -> None:
    for mark in MARKS:
        rivals = [
            row.weights
            for row in PUBLISHED
            if row.net == mark.net
            and row.structured == mark.structured
            and row.error <= mark.error
        ]
        assert min(rivals) == pytest.approx(mark.weights)


def test_every_row_has_a_source() -> None:
    assert all("http" in row.source and row.net in DENSE for row in PUBLISHED)
