"""Numbers of laws with every kind of support, and gradients that stop."""

import pytest
import torch
from pyro.distributions import HalfCauchy, Laplace, LogNormal, Normal, Uniform
from torch import Tensor

from pyro_sparse.testing import LawCase, check_law

PAIR = torch.tensor([0.5, 0.3]).double()
WHERE = {"loc": PAIR, "scale": PAIR}


@pytest.mark.parametrize(
    "case",
    [
        LawCase(Normal, WHERE),
        LawCase(Laplace, WHERE),
        LawCase(LogNormal, WHERE),
        LawCase(HalfCauchy, {"scale": PAIR}),
        LawCase(Uniform, {"low": -PAIR[:1], "high": PAIR[1:]}),
        LawCase(Uniform, {"low": -PAIR[:1].expand(2), "high": PAIR[1:].expand(2)}),
    ],
    ids=str,
)
def test_inverse_of_a_right_law(case: LawCase) -> None:
    check_law(case, "icdf_inverts_cdf")


class ShortInverse(Normal):
    def icdf(self, value: Tensor) -> Tensor:
        return super().icdf(value - 0.005)


class LongInverse(Normal):
    def icdf(self, value: Tensor) -> Tensor:
        return super().icdf(value + 0.005)


def test_inverses_of_wrong_laws() -> None:
    with pytest.raises(AssertionError, match=r"cdf\(icdf\(u\)\) is below u, by 0.005"):
        check_law(LawCase(ShortInverse, WHERE), "icdf_inverts_cdf")

    with pytest.raises(AssertionError, match=r"(?s)cdf\(icdf\(u\)\) = u.*difference: 0.005"):
        check_law(LawCase(LongInverse, WHERE), "icdf_inverts_cdf")


class WrongVariance(Normal):
    @property
    def variance(self) -> Tensor:
        return self.scale


def test_variance() -> None:
    with pytest.raises(AssertionError, match="the variance is that of the density"):
        check_law(LawCase(WrongVariance, WHERE), "moments_match_density")


class DetachedMean(LogNormal):
    @property
    def mean(self) -> Tensor:
        return super().mean.detach()


class HalfDetachedMean(LogNormal):
    @property
    def mean(self) -> Tensor:
        return LogNormal(self.loc, self.scale.detach()).mean


@pytest.mark.parametrize(
    ("law", "parameter"), [(DetachedMean, "loc"), (HalfDetachedMean, "scale")]
)
def test_detached_mean(law: type[LogNormal], parameter: str) -> None:
    with pytest.raises(AssertionError, match=f"the gradient of mean in {parameter} is not"):
        check_law(LawCase(law, WHERE), "gradients")

    check_law(LawCase(law, WHERE, skip={"moments_match_density": "a reason"}), "gradients")
