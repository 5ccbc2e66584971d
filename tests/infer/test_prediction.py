"""Uncertainty taken apart, by hand."""

import math

import pytest
import torch

from pyro_sparse.infer.prediction import Classification, Regression


def test_networks_that_are_sure_and_disagree_are_epistemic() -> None:
    prediction = Classification(probs=torch.tensor([[0.5, 0.5]]), aleatoric=torch.zeros(1))

    assert prediction.total.item() == pytest.approx(math.log(2))
    assert prediction.epistemic.item() == pytest.approx(math.log(2))


def test_networks_that_agree_are_aleatoric() -> None:
    probs = torch.tensor([[0.25, 0.75]])
    prediction = Classification(probs, torch.special.entr(probs).sum(-1))

    assert prediction.epistemic.item() == 0.0
    assert prediction.labels.tolist() == [1]


def test_rounding_gives_no_negative_information() -> None:
    prediction = Classification(torch.tensor([[1.0, 0.0]]), torch.tensor([1e-8]))

    assert prediction.epistemic.item() == 0.0


def test_variances_add() -> None:
    prediction = Regression(torch.zeros(2), torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.5]))

    assert prediction.variance.tolist() == [4.0, 2.5]
