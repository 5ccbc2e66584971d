"""The mixture gate: two overlapping components, one near 0 and one near 1."""

__all__ = ["MixtureGate"]

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints

from pyro_sparse.distributions.checks import (
    Shape,
    broadcast,
    check_sample,
    logits_from,
    settle,
    validates,
)
from pyro_sparse.distributions.component import require_component
from pyro_sparse.distributions.gate import Gate
from pyro_sparse.distributions.implicit import attach, bisect, implicit, in_blocks, moves, stop
from pyro_sparse.distributions.mirrored import Mirrored
from pyro_sparse.distributions.smoothing import Smoothing
from pyro_sparse.distributions.truncated_exponential import TruncatedExponential


class MixtureGate(Gate):
    r"""Mixture gate of mixture-distributed regularisation, a coin with smooth sides.

    .. math::
        p(z) = (1 - q)\, \mathrm{off}(z) + q\, \mathrm{on}(z), \qquad q = \sigma(\mathrm{logits})

    For gates whose components are any two laws on [0, 1] with a density and a cdf. Samples carry
    the implicit gradient of every parameter, of the components too, but no second derivatives.
    The law has *no* atoms: a sample is never exactly 0, `prob_active` is the probability q of the
    active component, and zeros come from the test-time rule, 0 where q < 1/2 and the mixture mean
    elsewhere. (That rule is ours: the paper's own estimator was not available to us.)

    References:
        Learning Sparse Neural Networks Through Mixture-Distributed Regularization (Huang, Chen,
        Wu, 2020), https://doi.org/10.1109/CVPRW50498.2020.00355

    Args:
        probs: probability q of the active component, `(*batch)`; give this or `logits`.
        logits: log odds of the active component, `(*batch)`.
        off: the component near 0, broadcastable to `(*batch)`.
        on: the component near 1; `Mirrored(off)` by default.

    Example:
        >>> gate = MixtureGate(probs=torch.tensor([0.3, 0.8]), off=TruncatedExponential(8.0))
        >>> gate.mean
        tensor([0.3499, 0.7252])
        >>> gate.deterministic
        tensor([0.0000, 0.7252])
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_atoms = False

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        off: Distribution | None = None,
        on: Distribution | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if off is None:
            raise ValueError(
                "MixtureGate needs a component near 0, got none. "
                "Give e.g. `off=UniformExponential(10.0)`."
            )

        check = validates(validate_args)
        if check:
            require_component("MixtureGate", off)
        if check and on is not None:
            require_component("MixtureGate", on)

        (self.logits,) = logits_from("MixtureGate", probs, logits, check)
        self.off, self._on = off, on

        shapes = {"logits": self.logits.shape, "off": off.batch_shape, "on": self.on.batch_shape}
        super().__init__(broadcast("MixtureGate", shapes), validate_args=False)
        settle(self, validate_args)

    def __repr__(self) -> str:
        on = "" if self._on is None else f", on: {self._on}"
        return f"MixtureGate(logits: {tuple(self.logits.shape)}, off: {self.off}{on})"

    def expand(self, batch_shape: Shape, _instance: object = None) -> "MixtureGate":
        new = self._get_checked_instance(MixtureGate, _instance)
        batch_shape = torch.Size(batch_shape)

        # The components broadcast as they are; one rate for all gates stays one number.
        new.logits = self.logits.expand(batch_shape)
        new.off, new._on = self.off, self._on

        super(MixtureGate, new).__init__(batch_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    @property
    def on(self) -> Distribution:
        """The component near 1."""
        return Mirrored(self.off, validate_args=False) if self._on is None else self._on

    @property
    def active_logits(self) -> Tensor:
        """Log odds of the active component, `(*batch)`."""
        return self.logits.expand(self.batch_shape)

    @property
    def prob_active(self) -> Tensor:
        """Probability q of the active component, `(*batch)`; not P(z != 0), which is 1."""
        return torch.sigmoid(self.active_logits)

    @property
    def probs(self) -> Tensor:
        """Probability q of the active component, `(*batch)`."""
        return self.prob_active

    @property
    def deterministic(self) -> Tensor:
        """0 where the inactive component prevails, else the mean, `(*batch)`."""
        mean = self.mean
        return torch.where(self.logits < 0, torch.zeros_like(mean), mean)

    @property
    def mean(self) -> Tensor:
        """Expectation of the gate, `(*batch)`."""
        return self._mixed(self.off.mean, self.on.mean)

    @property
    def variance(self) -> Tensor:
        """Variance within the components and between them, `(*batch)`."""
        within = self._mixed(self.off.variance, self.on.variance)
        between = (self.on.mean - self.off.mean).square()
        return within + torch.sigmoid(self.logits) * torch.sigmoid(-self.logits) * between

    def cdf(self, value: Tensor) -> Tensor:
        return self._mixed(self.off.cdf(value), self.on.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        """Gate whose cdf is `value`; in closed form for truncated exponentials."""
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        if self._on is None and isinstance(self.off, TruncatedExponential):
            return _exponential_icdf(value, self.logits, self.off.rate)

        root = bisect(self.cdf, stop(value))
        return implicit(root, self.cdf(root) - value, self.log_prob(root))

    def log_prob(self, value: Tensor) -> Tensor:
        check_sample(self, value)

        # A draw that has rounded to an end counts as the nearest number inside, since a
        # component may have an infinite density there.
        limits = torch.finfo(value.dtype)
        value = value.clamp(limits.tiny, 1 - limits.eps / 2)

        off = F.logsigmoid(-self.logits) + self.off.log_prob(value)
        on = F.logsigmoid(self.logits) + self.on.log_prob(value)
        return torch.logaddexp(off, on)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        if self._on is None and isinstance(self.off, Smoothing):
            return self._reflected(self.off, shape)

        active = torch.rand_like(self.logits.expand(shape)) < torch.sigmoid(self.logits)
        off, on = self.off.expand(self.batch_shape), self.on.expand(self.batch_shape)
        value = stop(torch.where(active, on.sample(sample_shape), off.sample(sample_shape)))
        return implicit(value, self.cdf(value), self.log_prob(value))

    def _mixed(self, off: Tensor, on: Tensor) -> Tensor:
        return torch.sigmoid(-self.logits) * off + torch.sigmoid(self.logits) * on

    def _reflected(self, off: Smoothing, shape: Size) -> Tensor:
        """Draws from a component and its mirror image, with the slope in each parameter."""
        parameters = {"logits": self.logits} | off.parameters()
        moving = [name for name, parameter in parameters.items() if moves(parameter)]

        compute = partial(_reflect, type(off), moving)
        value, *slopes = in_blocks(compute, shape, [stop(p) for p in parameters.values()])
        for name, slope in zip(moving, slopes, strict=True):
            value = attach(value, slope, parameters[name])

        return value


def _reflect(
    family: Callable[..., Smoothing],
    moving: list[str],
    shape: Size,
    logits: Tensor,
    *parameters: Tensor,
) -> tuple[Tensor, ...]:
    """Draws and their slopes, each draw seen from the end of its own component."""
    draws = family(*parameters, validate_args=False).reflect(shape, logits, moving)
    q, not_q = torch.sigmoid(logits), torch.sigmoid(-logits)
    active = torch.rand_like(draws.near) < q

    own, other = torch.where(active, q, not_q), torch.where(active, not_q, q)
    weight = draws.spread / (own + other * draws.ratio)
    slopes = []

    for name in moving:
        if name == "logits":
            slopes.append((draws.near_cdf - draws.far_survival) * weight * (q * not_q))
            continue

        outward = (other * draws.far_slopes[name] - own * draws.near_slopes[name]) * weight
        slopes.append(torch.where(active, -outward, outward))

    return torch.where(active, draws.far, draws.near), *slopes


def _exponential_icdf(u: Tensor, logits: Tensor, rate: Tensor) -> Tensor:
    r"""Solves the mixture of a truncated exponential and its mirror image for the gate.

    With :math:`t = e^{-\lambda z}` the cdf is a quadratic :math:`a t^2 + b t + c = 0`, a > 0 > c.
    The textbook root cancels in single precision; this one has a sum of positive terms only.
    """
    log_a, log_minus_c = F.logsigmoid(-logits), F.logsigmoid(logits) - rate
    q = torch.sigmoid(logits)
    b = u + torch.exp(-rate) * (q - u) - torch.sigmoid(-logits)

    tiny = torch.finfo(u.dtype).tiny
    total = b.abs() + (b.square() + 4 * torch.exp(log_a + log_minus_c)).clamp(min=tiny).sqrt()
    total = (total / 2).log()
    log_t = torch.where(b > 0, log_minus_c - total, total - log_a)
    return (-log_t / rate).clamp(0, 1)
