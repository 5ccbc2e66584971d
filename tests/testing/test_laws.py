"""Each check must catch a law that is wrong in the way it looks for."""

from dataclasses import replace

import pytest
import torch
from pyro.distributions import HalfCauchy, LogNormal, Normal, Uniform
from torch import Tensor

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.testing import LAW_CHECKS, LawCase, check_law

PARAMETERS = {
    "temperature": torch.tensor(0.6).double(),
    "logits": torch.tensor([-1.0, 2.0]).double(),
}


class ForgetsToExpand(HardConcrete):
    def expand(self, batch_shape: Shape, _instance: object = None) -> HardConcrete:
        return HardConcrete(self.temperature, logits=self.logits.expand(batch_shape))


class WrongSampleShape(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return super().rsample(())


class CannotTravel(HardConcrete):
    def __reduce__(self) -> tuple:
        return HardConcrete, (0.5, None, self.logits)


class OtherPrecision(HardConcrete):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).double()


class StaysAtHome(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return torch.rand(self._extended_shape(torch.Size(sample_shape)))


class AcceptsAnything(HardConcrete):
    def log_prob(self, value: Tensor) -> Tensor:
        return HardConcrete(self.temperature, logits=self.logits, validate_args=False).log_prob(
            value
        )


class SharesNoise(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        uniform = torch.rand((*sample_shape, *(1 for _ in self.batch_shape)))
        return self.icdf(uniform.to(self.logits).expand(self._extended_shape(sample_shape)))


class HeavyDensity(HardConcrete):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value) + 0.01


class WrongCdf(HardConcrete):
    def cdf(self, value: Tensor) -> Tensor:
        return super().cdf(value) ** 1.1


class WrongIcdf(HardConcrete):
    def icdf(self, value: Tensor) -> Tensor:
        return super().icdf(value**1.1)


class OtherSamples(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return HardConcrete(0.7, logits=self.logits).rsample(sample_shape)


class WrongMean(HardConcrete):
    @property
    def mean(self) -> Tensor:
        return self.deterministic


class DetachedDensity(HardConcrete):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value).detach() + 0 * self.logits


class BiasedGradient(HardConcrete):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        draw = super().rsample(sample_shape)
        return 1.2 * draw - 0.2 * draw.detach()


class WrongActive(HardConcrete):
    @property
    def prob_active(self) -> Tensor:
        return self.probs


MUTANTS = {
    "shapes": (ForgetsToExpand, "expand makes a HardConcrete of a ForgetsToExpand"),
    "sample_shapes": (WrongSampleShape, r"\(\(3, 2\)\) has shape \(2,\), expected \(3, 2, 2\)"),
    "pickles": (CannotTravel, "pickle keeps log_prob"),
    "precision": (OtherPrecision, "log_prob is torch.float64"),
    "device": (StaysAtHome, "sample is on cpu, the parameters are on meta"),
    "support": (AcceptsAnything, r"log_prob of -1, outside the support \[0, 1\]"),
    "density_integrates_to_one": (HeavyDensity, r"(?s)mass 1.*difference: 0.01"),
    "cdf_matches_density": (WrongCdf, "the cdf is the integral of the density"),
    "icdf_inverts_cdf": (WrongIcdf, r"cdf\(icdf\(u\)\) is below u, by 0.0"),
    "samples_match_density": (OtherSamples, r"draws of sample do not follow log_prob \(p-value"),
    "samples_are_independent": (SharesNoise, r"share their noise across the batch, \(2,\)"),
    "moments_match_density": (WrongMean, "the mean is that of the density"),
    "gradients": (DetachedDensity, "the gradient of log_prob in temperature is not"),
    "samples_carry_gradients": (BiasedGradient, r"gradients of samples in \w+ average"),
    "gate_contract": (WrongActive, r"sigmoid\(active_logits\) = prob_active"),
}


@pytest.mark.parametrize("check", LAW_CHECKS)
def test_each_check_catches_its_mutant(check: str) -> None:
    law, message = MUTANTS[check]

    with pytest.raises(AssertionError, match=message):
        check_law(LawCase(law, PARAMETERS), check)


PAIR = torch.tensor([0.7, 1.3]).double()
WITHOUT_MOMENTS = dict.fromkeys(
    ("moments_match_density", "samples_carry_gradients"), "the moments are infinite"
)
LAWS_OF_TORCH = [
    LawCase(Normal, {"loc": PAIR, "scale": PAIR}),
    LawCase(Normal, {"loc": PAIR[0], "scale": PAIR[1]}, name="one Normal"),
    LawCase(LogNormal, {"loc": PAIR - 1, "scale": PAIR / 4}),
    LawCase(HalfCauchy, {"scale": PAIR}, skip=WITHOUT_MOMENTS),
    LawCase(Uniform, {"low": -PAIR[:1].expand(2), "high": PAIR[1:].expand(2)}),
]


@pytest.mark.parametrize("check", LAW_CHECKS)
@pytest.mark.parametrize("case", LAWS_OF_TORCH, ids=str)
def test_a_law_of_torch_passes(case: LawCase, check: str) -> None:
    check_law(case, check)


def test_all_checks_run_by_default() -> None:
    with pytest.raises(AssertionError, match="mass 1"):
        check_law(LawCase(HeavyDensity, PARAMETERS))


def test_skipped_checks_do_not_run() -> None:
    check_law(LawCase(HeavyDensity, PARAMETERS, skip=dict.fromkeys(LAW_CHECKS, "a reason")))


def test_unknown_checks() -> None:
    case = LawCase(HardConcrete, PARAMETERS)

    with pytest.raises(ValueError, match=r"known name, got shape. Known are shapes, sample_shap"):
        check_law(case, "shape")
    with pytest.raises(ValueError, match=r"names of checks, got moments. Known are shapes, "):
        check_law(replace(case, skip={"moments": "a reason"}), "shapes")


@pytest.mark.parametrize("name", [None, "shapes"])
def test_parameters_in_single_precision(name: str | None) -> None:
    case = LawCase(HardConcrete, PARAMETERS | {"logits": torch.zeros(2)})

    with pytest.raises(ValueError, match=r"HardConcrete needs logits in double .* torch.float32"):
        check_law(case, name)


def test_a_support_that_differs_within_the_batch() -> None:
    case = LawCase(Uniform, {"low": -PAIR, "high": PAIR})

    with pytest.raises(ValueError, match=r"Uniform needs a support with the same ends .* -1.3 "):
        check_law(case)
