import math

import numpy as np
import pytest
import torch

import pyro_sparse.inspect as c


def test_scores_by_hand():
    probs = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2]])
    labels = torch.tensor([0, 1, 2])

    scores = c.calibration_scores(probs, labels, bins=10)

    assert scores["error"] == pytest.approx(1 / 3)
    assert scores["nll"] == pytest.approx(-math.log(0.7 * 0.8 * 0.2) / 3)
    assert scores["brier"] == pytest.approx((0.14 + 0.06 + 0.98) / 3)
    assert scores["ece"] == pytest.approx((0.3 + 0.2 + 0.5) / 3, abs=1e-6)


def test_honest_predictions_are_calibrated():
    probs = torch.distributions.Dirichlet(torch.full((5,), 0.5)).sample((40_000,))
    labels = torch.distributions.Categorical(probs).sample()

    assert c.calibration_scores(probs, labels)["ece"] < 0.01
    assert c.calibration_scores(probs, labels.roll(1))["ece"] > 0.2


def test_a_probability_of_zero_is_bounded():
    scores = c.calibration_scores(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))

    assert scores["nll"] == pytest.approx(-math.log(torch.finfo(torch.float32).tiny))


def test_ece_is_the_area_between_the_bins_and_the_diagonal():
    probs = torch.distributions.Dirichlet(torch.ones(4)).sample((3_000,))
    labels = torch.randint(4, (3_000,))

    confidence, accuracy, share = c.reliability(probs, labels, bins=12)

    gap = float((share * (confidence - accuracy).abs()).sum())
    assert gap == pytest.approx(c.calibration_scores(probs, labels, bins=12)["ece"], abs=1e-6)
    assert float(share.sum()) == pytest.approx(1)


def test_ood_scores_by_hand():
    inside = torch.arange(20.0)
    outside = torch.tensor([18.5, 100.0, 0.5, 1e9])

    scores = c.ood_detection(inside, outside)

    # Of 80 pairs the outside is larger in 19 + 20 + 1 + 20; 19 of the 20 inside lie at
    # or below 18, and of the outside only 0.5 does.
    assert scores["auroc"] == pytest.approx(60 / 80)
    assert scores["fpr95"] == pytest.approx(1 / 4)


def test_ood_of_the_same_data_is_chance():
    scores = c.ood_detection(torch.ones(5), torch.ones(7))

    assert scores == {"auroc": 0.5, "fpr95": 1.0}


def test_large_scores_keep_their_order():
    scores = c.ood_detection(torch.tensor([1000.0, 1001.0]), torch.tensor([1002.0]))

    assert scores["auroc"] == 1.0


def test_risk_coverage_declines_the_least_certain_first():
    probs = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55]])
    labels = torch.tensor([0, 1, 1, 1])

    coverage, risk = c.risk_coverage(probs, labels)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])

    _, risk = c.risk_coverage(probs, labels, uncertainty=torch.tensor([3.0, 0.0, 1.0, 2.0]))
    assert risk.tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        (torch.rand(3), torch.zeros(3), "examples, classes"),
        (torch.full((3, 2), 0.5), torch.zeros(2), r"\(3, 2\) and \(2,\)"),
        (torch.zeros(0, 2), torch.zeros(0), "examples, classes"),
        (torch.randn(3, 2), torch.zeros(3), "apply softmax"),
        (torch.full((3, 2), 0.5), torch.full((3,), 2), r"labels must lie in \[0, 1\]"),
    ],
)
def test_bad_predictions_are_named(probs, labels, message):
    for score in (c.calibration_scores, c.reliability, c.risk_coverage):
        with pytest.raises(ValueError, match=message):
            score(probs, labels)


def test_bad_scores_are_named():
    with pytest.raises(
        ValueError, match=r"outside must be a non-empty vector of finite.* and 1 of"
    ):
        c.ood_detection(torch.rand(3), torch.tensor([float("nan")]))


@pytest.mark.parametrize("doubt", [torch.rand(2), torch.rand(4, 1), torch.full((4,), torch.nan)])
def test_uncertainty_is_one_number_an_example(doubt):
    with pytest.raises(ValueError, match=r"one number an example, \(4,\), but its shape is"):
        c.risk_coverage(torch.full((4, 2), 0.5), torch.zeros(4), doubt)


@pytest.mark.parametrize("score", [c.calibration_scores, c.reliability])
def test_there_are_bins(score):
    with pytest.raises(ValueError, match="bins must be at least 1, but it is 0"):
        score(torch.full((4, 2), 0.5), torch.zeros(4), bins=0)


def test_arrays_are_converted_first():
    with pytest.raises(TypeError, match="they are ndarray and Tensor; convert with"):
        c.calibration_scores(np.full((4, 2), 0.5), torch.zeros(4))  # type: ignore[arg-type]
