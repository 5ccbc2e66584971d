"""Defects of precision and validation, each planted in a law of its own."""

from typing import Any

import pytest
import torch
from pyro.distributions import Exponential, Uniform
from torch import Tensor

from pyro_sparse.distributions import HardConcrete, HardNormal
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.testing import LawCase, check_law

LOGITS = {"logits": torch.tensor([-1.0, 2.0]).double()}
PAIR = torch.tensor([0.5, 2.0]).double()


class DoubleSamples(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return super().rsample(sample_shape).double()


class DoubleMean(HardConcrete):
    @property
    def mean(self) -> Tensor:
        return super().mean.double()


class DoubleActive(HardConcrete):
    @property
    def prob_active(self) -> Tensor:
        return super().prob_active.double()


class CoarseMean(HardConcrete):
    @property
    def mean(self) -> Tensor:
        return super().mean + (0.1 if self.logits.dtype == torch.float32 else 0.0)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (DoubleSamples, "sample is torch.float64 under parameters of torch.float32"),
        (DoubleMean, "mean is torch.float64 under"),
        (DoubleActive, "prob_active is torch.float64 under"),
        (CoarseMean, r"(?s)mean in single precision is near.*difference: 0.1"),
    ],
)
def test_precision(law: type[HardConcrete], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_law(LawCase(law, LOGITS), "precision")


def test_precision_does_not_ask_what_is_skipped() -> None:
    check_law(LawCase(DoubleMean, LOGITS, skip={"moments_match_density": "why"}), "precision")
    check_law(LawCase(DoubleSamples, LOGITS, skip={"sample_shapes": "why"}), "precision")


class AcceptsAnything(Exponential):
    def log_prob(self, value: Tensor) -> Tensor:
        return self.rate.log() - self.rate * value


class LooksAtOneEnd(Uniform):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.clamp(max=self.low + (self.high - self.low) / 2))


class Forgets(HardNormal):
    """Hands everything on but the argument that asks for validation."""

    def __init__(self, loc: Tensor, validate_args: bool | None = None) -> None:
        super().__init__(loc)


class RefusesAll(Exponential):
    def log_prob(self, value: Tensor) -> Tensor:
        raise ValueError


def relaxed(loc: Tensor) -> HardNormal:
    return HardNormal(loc, validate_args=False)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (LawCase(AcceptsAnything, {"rate": PAIR}), r"log_prob of -1, outside .* \[0, inf\]"),
        (
            LawCase(LooksAtOneEnd, {"low": PAIR[:1], "high": PAIR[1:]}),
            r"log_prob of 3, outside the support \[0.5, 2\], raises no ValueError",
        ),
        (LawCase(Forgets, {"loc": PAIR}), "log_prob of -1, outside"),
        (LawCase(relaxed, {"loc": PAIR}), "log_prob of -1, outside"),
        (LawCase(RefusesAll, {"rate": PAIR}), r"log_prob refuses \[0.2, 0.7\], inside the"),
    ],
    ids=str,
)
def test_support(case: LawCase, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_law(case, "support")


def usual(loc: Tensor) -> HardNormal:
    return HardNormal(loc)


@pytest.mark.parametrize("build", [HardNormal, usual, lambda **given: HardNormal(**given)])
def test_a_law_that_validates(build: Any) -> None:
    check_law(LawCase(build, {"loc": PAIR}), "support")
