"""The state of a training."""

import pytest
import torch

from pyro_sparse.infer.training import Training
from tests.infer.programs import program, train


def test_a_state_holds_all_that_changes() -> None:
    state = train(*program(), ema=0.9).state()

    parts = {"model", "guide", "optimizer", "scheduler", "scaler", "average"}
    assert state["parts"].keys() == parts
    assert state["position"] | {"seconds": 0} == {
        "epoch": 4,
        "batch": 0,
        "step": 12,
        "stopped": None,
        "seconds": 0,
        "seed": 7,
    }
    assert len(state["rows"]) == 4 and len(state["ranks"]) == 1
    assert state["elbo"] == 12


def test_a_state_loads_into_another_training() -> None:
    first, second = train(*program()), train(*program(seed=5), epochs=1)
    second.load_state(first.state(), "memory")

    assert second.rows == first.rows and second.step == 12
    for one, other in zip(first.programs.parameters(), second.programs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_number_of_processes_goes_on_with_new_noise() -> None:
    state = train(*program()).state()
    state["ranks"] *= 2
    second = train(*program(), epochs=1)
    torch.manual_seed(1)
    expected = torch.rand(1)

    torch.manual_seed(1)
    second.load_state(state, "memory")
    assert torch.equal(torch.rand(1), expected) and second.epoch == 4


def test_what_differs_is_named() -> None:
    training = train(*program(), epochs=1)
    state = training.state()
    state["identity"]["tensors"]["guide.sites.0.weight.loc"] = [7, 7]
    state["identity"]["tensors"]["guide.sites.extra"] = [1]

    with pytest.raises(ValueError) as caught:
        training.load_state(state, "run.pt")

    text = str(caught.value)
    assert "run.pt was written by another training; its tensors differ" in text
    assert "guide.sites.0.weight.loc ([7, 7] there, [6, 4] here)" in text
    assert "guide.sites.extra ([1] there, None here)" in text


def test_settings_are_what_processes_must_agree_on() -> None:
    training = train(*program(), epochs=1)

    assert isinstance(training, Training)
    assert {"tensors", "parts", "data", "seed"} <= training.settings().keys()
