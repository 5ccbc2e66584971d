"""What is said of losses that are no numbers."""

import re

import pytest
import torch

from pyro_sparse.infer.health import (
    DivergedError,
    finite_numbers,
    require_finite,
    require_sound,
)
from pyro_sparse.infer.parts import Parts
from tests.infer.programs import program, train


def test_numbers_pass() -> None:
    training = train(*program(), epochs=1)

    require_finite(training, 1.0)
    with finite_numbers(training, torch.ones(2)):
        pass


def test_sites_and_parameters_are_named() -> None:
    training = train(*program(), epochs=1)
    elbo: object = training.elbo
    elbo.parts = Parts(  # type: ignore[attr-defined]
        torch.tensor(torch.nan), kl={"w": torch.tensor(torch.inf), "z": torch.tensor(1.0)}
    )
    with torch.no_grad():
        training.guide.get_parameter("sites.3.weight.loc")[0] = torch.inf  # type: ignore[attr-defined]

    with pytest.raises(DivergedError) as caught:
        require_finite(training, float("nan"), saved="run.pt")

    text = str(caught.value)
    assert "step 4, in epoch 2" in text and "the divergence of w" in text and " z" not in text
    assert "the log-likelihood" in text and "the parameters guide.sites.3.weight.loc" in text
    assert "last checkpoint, run.pt" in text and "clip=1.0" in text


def test_parameters_and_sums_are_looked_at_between_steps() -> None:
    training = train(*program(), epochs=1)
    require_sound(training)

    training.sums[0] = torch.nan
    with pytest.raises(DivergedError, match="its terms are finite"):
        require_sound(training)

    training.sums.zero_()
    with torch.no_grad():
        training.guide.get_parameter("sites.0.weight.loc")[0] = torch.nan  # type: ignore[attr-defined]
    with pytest.raises(DivergedError, match=r"sites\.0\.weight\.loc.*run\.pt, is from before"):
        require_sound(training, "run.pt")


def test_other_errors_of_a_law_stay_what_they_are() -> None:
    training = train(*program(), epochs=1)

    with (
        pytest.raises(ValueError, match="something else"),
        finite_numbers(training, torch.ones(2)),
    ):
        raise ValueError("something else")


def test_data_that_is_no_number_is_found() -> None:
    training = train(*program(), epochs=1)
    batch: object = (torch.tensor([1.0, torch.nan]), torch.tensor([1, 2])), {}

    with pytest.raises(DivergedError, match="the data of this batch"):
        with finite_numbers(training, batch):
            raise ValueError("Expected parameter logits")


def test_data_alone_has_a_remedy_of_its_own() -> None:
    training = train(*program(), epochs=1)

    with pytest.raises(DivergedError, match="Find the examples") as caught:
        with finite_numbers(training, torch.tensor(torch.nan)):
            raise ValueError("Expected parameter logits")
    assert "learning rates" not in str(caught.value)


def test_parameters_that_are_too_large_are_named() -> None:
    """They are numbers, and what the network makes of them is not."""
    model, guide = program()
    with pytest.raises(DivergedError) as caught:
        train(model, guide, lr=1e25, optimizer=torch.optim.SGD, em=False)

    assert re.search(r"of which (model|guide)\.\S+ is as large as \S+e\+", str(caught.value))
