"""Arrays filled draw by draw."""

import numpy as np
import torch

from pyro_sparse.inspect.recorder import Recorder


def test_draws_have_a_chain_in_front() -> None:
    recorder = Recorder(3)
    draws = torch.randn(3, 2, 5)

    for index, draw in enumerate(draws):
        recorder.add("posterior", "w", index, draw)

    assert np.array_equal(recorder.groups["posterior"]["w"], draws.numpy()[None])


def test_thinning_keeps_every_other_draw() -> None:
    recorder = Recorder(5)

    for index in range(5):
        recorder.add("posterior", "w", index, torch.tensor(index), every=2)

    assert recorder.groups["posterior"]["w"].tolist() == [[0, 2, 4]]


def test_constants_are_kept_as_they_are() -> None:
    recorder = Recorder(5)
    recorder.keep("constant_data", "z", torch.tensor([True, False]))

    assert recorder.groups["constant_data"]["z"].tolist() == [True, False]


def test_small_floats_are_widened_and_gradients_dropped() -> None:
    recorder = Recorder(1)
    recorder.add("posterior", "w", 0, torch.ones(2, dtype=torch.bfloat16, requires_grad=True))

    assert recorder.groups["posterior"]["w"].dtype == np.float32
