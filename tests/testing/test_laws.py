"""Each check must catch a law that is wrong in the way it looks for."""

import pytest
import torch
from pyro.distributions import Normal
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
    "shapes": ForgetsToExpand,
    "sample_shapes": WrongSampleShape,
    "pickles": CannotTravel,
    "precision": OtherPrecision,
    "device": StaysAtHome,
    "density_integrates_to_one": HeavyDensity,
    "cdf_matches_density": WrongCdf,
    "icdf_inverts_cdf": WrongIcdf,
    "samples_match_density": OtherSamples,
    "moments_match_density": WrongMean,
    "gradients": DetachedDensity,
    "samples_carry_gradients": BiasedGradient,
    "gate_contract": WrongActive,
}


@pytest.mark.parametrize("check", LAW_CHECKS)
def test_each_check_catches_its_mutant(check: str) -> None:
    with pytest.raises((AssertionError, RuntimeError)):
        check_law(LawCase(MUTANTS[check], PARAMETERS), check)


@pytest.mark.parametrize("check", LAW_CHECKS)
def test_a_law_of_torch_passes(check: str) -> None:
    parameters = {"loc": torch.zeros(2).double(), "scale": torch.ones(2).double()}
    case = LawCase(Normal, parameters, skip={"icdf_inverts_cdf": "no finite support"})

    check_law(case, check)


def test_skipped_checks_do_not_run() -> None:
    check_law(LawCase(HeavyDensity, PARAMETERS, skip=dict.fromkeys(LAW_CHECKS, "a reason")))
