"""The hard concrete gate: a stretched binary concrete law, clipped to the unit interval."""

__all__ = ["HardConcrete", "StretchedConcrete"]

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import (
    Shape,
    broadcast,
    check_sample,
    logits_from,
    require,
    settle,
    validates,
)
from pyro_sparse.distributions.rectified import Rectified


class StretchedConcrete(TorchDistribution):
    r"""Binary concrete law stretched from the unit interval to (low, high).

    .. math::
        x = \mathrm{low} + (\mathrm{high} - \mathrm{low})\,
            \sigma\!\left(\frac{\mathrm{logit}\,u + \mathrm{logits}}{\mathrm{temperature}}\right)

    The law under `HardConcrete`; not a gate by itself, as it leaves [0, 1].

    References:
        The Concrete Distribution (Maddison, Mnih, Teh, 2017), https://arxiv.org/abs/1611.00712

    Args:
        temperature: positive, broadcastable to `(*batch)`.
        logits: location, `(*batch)`.
        low: lower end.
        high: upper end.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "temperature": constraints.positive,
        "logits": constraints.real,
    }
    has_atoms = False
    has_rsample = True

    def __init__(
        self,
        temperature: Tensor,
        logits: Tensor,
        low: float = 0.0,
        high: float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature, self.logits = temperature, logits
        self.low, self.high = low, high

        shapes = {"temperature": temperature.shape, "logits": logits.shape}
        super().__init__(broadcast("StretchedConcrete", shapes), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> constraints.Constraint:
        """The stretched interval."""
        return constraints.interval(self.low, self.high)

    def expand(self, batch_shape: Shape, _instance: object = None) -> "StretchedConcrete":
        new = self._get_checked_instance(StretchedConcrete, _instance)
        batch_shape = torch.Size(batch_shape)

        new.temperature = self.temperature.expand(batch_shape if self.temperature.dim() else ())
        new.logits = self.logits.expand(batch_shape)
        new.low, new.high = self.low, self.high

        super(StretchedConcrete, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def logistic(self, value: Tensor) -> Tensor:
        """Maps a value to the standard logistic variable it came from."""
        return self.temperature * self._position(value).logit() - self.logits

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        noise = self.logistic(value)
        position = self._position(value)
        slope = self.temperature.log() - torch.log(position * (1 - position))
        return F.logsigmoid(noise) + F.logsigmoid(-noise) + slope - math.log(self.high - self.low)

    def cdf(self, value: Tensor) -> Tensor:
        return torch.sigmoid(self.logistic(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._stretch(value.logit())

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return self._stretch(uniform.logit_(eps=torch.finfo(uniform.dtype).tiny))

    def _position(self, value: Tensor) -> Tensor:
        return (value - self.low) / (self.high - self.low)

    def _stretch(self, noise: Tensor) -> Tensor:
        position = torch.sigmoid((noise + self.logits) / self.temperature)
        return position * (self.high - self.low) + self.low


class HardConcrete(Rectified):
    r"""Hard concrete gate, exactly 0 and exactly 1 with positive probability.

    .. math::
        s &= \sigma\!\left(\frac{\mathrm{logit}\,u + \mathrm{logits}}{\mathrm{temperature}}\right),
        \qquad u \sim \mathrm{Uniform}(0, 1) \\
        z &= \min(1, \max(0, s\,(\mathrm{high} - \mathrm{low}) + \mathrm{low})) \\
        P(z \ne 0) &= \sigma\!\left(\mathrm{logits}
            - \mathrm{temperature} \log\frac{-\mathrm{low}}{\mathrm{high}}\right)

    For gates under an `L0` penalty or a Bernoulli prior: samples are zeros in good part, and the
    penalty is differentiable. `logits` is the papers' log alpha; `probs` is its sigmoid and *not*
    the probability of an open gate, which is `prob_active`. The test-time gate is 0 already where
    P(z != 0) falls below 0.310 with the default constants, so closing gates by this rule and by
    `prob_active < 0.5` are two different decisions.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        temperature: positive; smaller is closer to a coin, broadcastable to `(*batch)`.
        probs: sigmoid of the location, `(*batch)`; give this or `logits`.
        logits: location, the papers' log alpha, `(*batch)`.
        low: lower end of the stretched interval, below 0 (the papers' gamma).
        high: upper end, above 1 (the papers' zeta).

    Example:
        >>> gate = HardConcrete(logits=torch.tensor([-5.0, 0.0, 2.0]))
        >>> gate.prob_active
        tensor([0.0323, 0.8318, 0.9734])
        >>> gate.deterministic
        tensor([0.0000, 0.5000, 0.9570])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "temperature": constraints.positive,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    base: StretchedConcrete

    def __init__(
        self,
        temperature: Tensor | float = 2 / 3,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        low: float = -0.1,
        high: float = 1.1,
        validate_args: bool | None = None,
    ) -> None:
        check = validates(validate_args)
        logits, temperature = logits_from("HardConcrete", probs, logits, check, temperature)
        if check:
            _check_constants(temperature, low, high)

        broadcast("HardConcrete", {"temperature": temperature.shape, "logits": logits.shape})
        base = StretchedConcrete(temperature, logits, low, high, validate_args=False)
        super().__init__(base, validate_args=False)
        settle(self, validate_args)

    def __repr__(self) -> str:
        return repr(self.base).replace("StretchedConcrete", "HardConcrete")

    def expand(self, batch_shape: Shape, _instance: object = None) -> "HardConcrete":
        return super().expand(batch_shape, self._get_checked_instance(HardConcrete, _instance))

    @property
    def temperature(self) -> Tensor:
        """Temperature, broadcastable to `(*batch)`."""
        return self.base.temperature

    @property
    def logits(self) -> Tensor:
        """Location, the papers' log alpha, broadcastable to `(*batch)`."""
        return self.base.logits

    @property
    def probs(self) -> Tensor:
        """Sigmoid of the location; not P(z != 0), `(*batch)`."""
        return torch.sigmoid(self.logits).expand(self.batch_shape)

    @property
    def low(self) -> float:
        """Lower end of the stretched interval."""
        return self.base.low

    @property
    def high(self) -> float:
        """Upper end of the stretched interval."""
        return self.base.high

    @property
    def active_logits(self) -> Tensor:
        """Log odds of a gate other than 0, `(*batch)`."""
        return self.logits - self.temperature * math.log(-self.low / self.high)

    @property
    def prob_active(self) -> Tensor:
        """Probability of a gate other than 0, `(*batch)`."""
        return torch.sigmoid(self.active_logits)

    @property
    def deterministic(self) -> Tensor:
        """The gate without noise and without temperature, `(*batch)`."""
        return (self.probs * (self.high - self.low) + self.low).clamp(0, 1)

    @property
    def log_prob_zero(self) -> Tensor:
        """Log probability of the atom at 0, `(*batch)`."""
        return F.logsigmoid(-self.active_logits)

    @property
    def log_prob_one(self) -> Tensor:
        """Log probability of the atom at 1, `(*batch)`."""
        shift = math.log((1 - self.low) / (self.high - 1))
        return F.logsigmoid(self.logits - self.temperature * shift)

    def survival(self, value: Tensor) -> Tensor:
        """Probability that the stretched concrete variable exceeds `value`."""
        return torch.sigmoid(-self.base.logistic(value))

    def interior_nodes(self) -> tuple[Tensor, Tensor]:
        """Nodes and weights over the open unit interval, even on the logistic scale."""
        width = self.high - self.low
        first, last = (math.log((x - self.low) / (self.high - x)) for x in (0.0, 1.0))

        nodes, weights = self._unit_nodes(64)
        position = torch.sigmoid(first + (last - first) * nodes)
        slope = width * (last - first) * position * (1 - position)
        return self.low + width * position, slope * weights


def _check_constants(temperature: Tensor, low: float, high: float) -> None:
    require(
        (temperature > 0) & temperature.isfinite(),
        temperature,
        "HardConcrete needs a finite temperature > 0",
        "The papers use 2/3.",
    )
    require(
        -math.inf < low < 0, low, "HardConcrete needs a finite low < 0", "The papers use -0.1."
    )
    require(
        1 < high < math.inf, high, "HardConcrete needs a finite high > 1", "The papers use 1.1."
    )
