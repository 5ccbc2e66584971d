"""Noise that is shared, and gradients that stop, each planted in a law of its own."""

import pytest
import torch
from pyro.distributions import Normal, Uniform
from torch import Tensor

from pyro_sparse.distributions import HardConcrete
from pyro_sparse.distributions.checks import Shape
from pyro_sparse.testing import LawCase, check_law

PAIR = torch.tensor([0.5, 0.3], dtype=torch.float64)
WHERE = {"loc": PAIR, "scale": PAIR}
GATE = {"logits": torch.tensor([-1.0, 2.0]).double()}


class SharesAcrossTheBatch(Normal):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = (*sample_shape, *(1 for _ in self.batch_shape))
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype)


class SharesAcrossRows(Normal):
    """Noise for each column of a matrix."""

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = (*sample_shape, 1, *self.batch_shape[1:])
        return self.loc + self.scale * torch.randn(shape, dtype=self.loc.dtype)


class ExpandsItsDraws(HardConcrete):
    """Noise for each entry of the last dimension, which is all there was before `expand`."""

    def expand(self, batch_shape: Shape, _instance: object = None) -> "ExpandsItsDraws":
        return ExpandsItsDraws(self.temperature, logits=self.logits.expand(batch_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        ones = (1 for _ in self.batch_shape[1:])
        noise = torch.rand((*sample_shape, *ones, self.batch_shape[-1]), dtype=torch.float64)
        return self.icdf(noise.expand(self._extended_shape(sample_shape)))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (LawCase(SharesAcrossTheBatch, WHERE), r"across the batch, \(2,\) \(p-value 0"),
        (
            LawCase(SharesAcrossRows, {"loc": torch.ones(3, 2).double(), "scale": PAIR}),
            r"across the batch, \(3, 2\)",
        ),
        (
            LawCase(SharesAcrossTheBatch, {"loc": PAIR[:1], "scale": PAIR[:1]}),
            r"across the dimension that expand makes, \(2, 1\)",
        ),
        (LawCase(ExpandsItsDraws, GATE), r"across the dimension that expand makes, \(2, 2\)"),
    ],
    ids=["batch", "rows", "one entry", "expand"],
)
def test_shared_noise(case: LawCase, message: str) -> None:
    with pytest.raises(AssertionError, match="share their noise " + message):
        check_law(case, "samples_are_independent")


class DetachedScale(Normal):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return Normal(self.loc, self.scale.detach()).rsample(sample_shape)


class DetachedSamples(Normal):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return super().rsample(sample_shape).detach()


class BiasedScale(Normal):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        scale = 1.3 * self.scale - 0.3 * self.scale.detach()
        return Normal(self.loc, scale).rsample(sample_shape)


class WithoutSamples(Normal):
    has_rsample = False


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (DetachedScale, "samples carry no gradient in scale"),
        (DetachedSamples, "samples carry no gradient in loc"),
        (BiasedScale, r"gradients of samples in scale average \[.*\], expected \[1.0, 0.6\]"),
        (WithoutSamples, "has_rsample is False"),
    ],
)
def test_gradients_of_samples(law: type[Normal], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_law(LawCase(law, WHERE), "samples_carry_gradients")


def with_a_parameter_too_many(loc: Tensor, scale: Tensor, other: Tensor) -> Normal:
    return Normal(loc, scale)


def test_gradients_in_what_plays_no_part() -> None:
    case = LawCase(with_a_parameter_too_many, {**WHERE, "other": PAIR})

    check_law(case, "samples_carry_gradients")


@pytest.mark.parametrize("count", [1, 2])
def test_gradients_where_the_support_moves(count: int) -> None:
    low, high = (end.double().expand(count) for end in (torch.tensor(-1.0), torch.tensor(2.0)))

    check_law(LawCase(Uniform, {"low": low, "high": high}), "samples_carry_gradients")


class OtherSamples(Normal):
    """Right draws with gradients, wrong ones without."""

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        return super().sample(sample_shape) + 0.1


class OtherReparametrisedSamples(Normal):
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return super().rsample(sample_shape) + 0.1


@pytest.mark.parametrize(
    ("law", "method"), [(OtherSamples, "sample"), (OtherReparametrisedSamples, "rsample")]
)
def test_both_ways_to_sample(law: type[Normal], method: str) -> None:
    with pytest.raises(AssertionError, match=f"draws of {method} do not follow log_prob"):
        check_law(LawCase(law, WHERE), "samples_match_density")
