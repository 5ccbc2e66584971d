"""The data of the LeNets: shapes, ranges, and labels that are drawn at random."""

import torch

from examples.lenet.data import load, with_random_labels
from examples.support.data import Data
from tests.common import mnist_root


def test_mnist_is_read_as_pictures_between_0_and_1() -> None:
    data = load("mnist", mnist_root(), torch.device("cpu"), limit=50)

    assert data.x.shape == data.x_test.shape == (50, 1, 28, 28)
    assert (data.x.min(), data.x.max()) == (0.0, 1.0)
    assert data.y[:5].tolist() == [5, 0, 4, 1, 9]


def test_a_share_of_the_training_labels_is_drawn_at_random() -> None:
    x, y = torch.zeros(20_000, 1), torch.full((20_000,), 3)
    data = with_random_labels(Data(x, y, x, y), 0.5, seed=1)

    # a random label is the old one in a tenth of the cases
    assert abs((data.y != 3).double().mean() - 0.45) < 0.02
    assert torch.equal(data.y_test, y)
    assert torch.equal(data.y, with_random_labels(Data(x, y, x, y), 0.5, seed=1).y)
