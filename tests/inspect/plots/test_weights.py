from typing import Any

import pytest
import torch

from pyro_sparse.inspect.plots import architecture_bars, input_pixels, weights_before_after


def test_input_pixels_is_the_picture_of_the_gates():
    active = torch.tensor([0.0, 0.9, 0.8, 0.2, 0.1, 1.0])

    ax: Any = input_pixels(active, shape=(2, 3))

    (image,) = ax.images
    assert torch.equal(torch.tensor(image.get_array()), active.double().reshape(2, 3))
    assert ax.get_title(loc="left") == "Inputs: 3 of 6 pixels at P > 0.5"


def test_input_pixels_counts_those_of_a_mask():
    ax: Any = input_pixels(torch.tensor([True, False, False, True]))

    assert ax.get_title(loc="left") == "Inputs: 2 of 4 pixels used"


def test_input_pixels_refuses_what_is_no_picture():
    with pytest.raises(ValueError, match=r"6 inputs do not make a picture of 2 x 2.*shape="):
        input_pixels(torch.rand(6))

    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        input_pixels(torch.tensor([-3.0, 0.0, 1.0, 2.0]))


def test_weights_before_after_shows_both_and_blank_zeros():
    before = torch.tensor([[1.0, -2.0], [3.0, 4.0]])
    after = torch.tensor([[0.0, -2.0], [0.0, 0.0]])

    ax: Any = weights_before_after(before, after)

    picture = ax.images[0].get_array()
    assert picture[:, :2].tolist() == [[1, 2], [3, 4]]
    assert picture[:, -2:].tolist() == [[None, 2], [None, None]]
    assert "25.0 % kept" in ax.get_title(loc="left")


def test_weights_before_after_of_nothing_is_white(tmp_path):
    ax: Any = weights_before_after(torch.zeros(2, 3), torch.zeros(2, 3))

    ax.figure.savefig(tmp_path / "picture.png")
    assert ax.images[0].get_array().mask.all()
    assert "0.0 % kept" in ax.get_title(loc="left")


def test_weights_before_after_flattens_convolutions():
    ax: Any = weights_before_after(torch.randn(4, 3, 2, 2), torch.ones(4, 3, 2, 2))

    assert ax.images[0].get_array().shape == (4, 12 + 1 + 12)


def test_weights_before_after_refuses_unequal_shapes():
    with pytest.raises(ValueError, match=r"one shape.*\(2, 3\) and \(2, 2\)"):
        weights_before_after(torch.ones(2, 3), torch.ones(2, 2))


def test_architecture_bars_has_a_bar_a_layer_and_network():
    ax: Any = architecture_bars({"dense": [784, 300], "L0": [219, 76]}, ["input", "fc1"])

    assert [bar.get_width() for bar in ax.patches] == [784, 300, 219, 76]
    assert [text.get_text() for text in ax.texts] == ["784", "300", "219", "76"]


def test_architecture_bars_tells_of_layers_that_are_gone():
    ax: Any = architecture_bars({"dense": [784, 300], "L0": [0, 3]})
    ax.figure.draw_without_rendering()

    zero = next(text for text in ax.texts if text.get_text() == "0")
    start = ax.get_window_extent().x0
    assert start <= zero.get_window_extent().x0 < start + 20


def test_architecture_bars_refuses_networks_of_unequal_depth():
    with pytest.raises(ValueError, match=r"equally many layers.*'dense': 2, 'L0': 1"):
        architecture_bars({"dense": [4, 3], "L0": [2]})

    with pytest.raises(ValueError, match="names 1 layers, but the networks have 2"):
        architecture_bars({"dense": [4, 3]}, ["input"])
