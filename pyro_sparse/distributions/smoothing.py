"""What the components of a mixture gate share: laws that pile up at 0."""

__all__ = ["Reflection", "Smoothing"]

from abc import abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Self

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from pyro_sparse.distributions.checks import Shape
from pyro_sparse.distributions.implicit import attach, bisect, implicit, moves, stop


@dataclass(frozen=True)
class Reflection:
    """Draws seen from both ends of the interval, with what implicit gradients need, no gradients.

    Args:
        near: the draw, its distance from 0.
        far: 1 - near, to full relative precision.
        near_cdf: cdf at `near`.
        far_survival: 1 - cdf at `far`, to full relative precision.
        spread: 1 / density at `near`.
        ratio: density at `far` over density at `near`.
        near_slopes: derivative of the cdf at `near` in each moving parameter, by name.
        far_slopes: the same at `far`.
    """

    near: Tensor
    far: Tensor
    near_cdf: Tensor
    far_survival: Tensor
    spread: Tensor
    ratio: Tensor
    near_slopes: dict[str, Tensor]
    far_slopes: dict[str, Tensor]


class Smoothing(TorchDistribution):
    r"""Base of the laws that a mixture gate mixes with their own mirror image.

    Beside the contract of torch, a smoothing law draws samples together with everything the
    implicit gradient of the mixture needs (`reflect`), in forms that survive single precision,
    where the mirror image of most samples rounds to 1. The constructor takes the parameters in
    the order of `arg_constraints`.

    References:
        DVAE++: Discrete Variational Autoencoders with Overlapping Transformations (Vahdat,
        Macready, Bian, Khoshaman, Andriyash, 2018), https://arxiv.org/abs/1802.04920
    """

    has_atoms = False
    has_rsample = True
    support = constraints.unit_interval

    @abstractmethod
    def reflect(self, shape: Size, like: Tensor, moving: Collection[str]) -> Reflection:
        """Draws of a shape in the precision and place of `like`, seen from both ends.

        `moving` names the parameters whose slopes are wanted.
        """

    @abstractmethod
    def cdf(self, value: Tensor) -> Tensor:
        """Probability of a draw up to `value`."""

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        parameters = self.parameters()
        moving = [name for name, parameter in parameters.items() if moves(parameter)]

        family: Callable[..., Smoothing] = type(self)
        law = family(*map(stop, parameters.values()), validate_args=False)
        draws = law.reflect(shape, next(iter(parameters.values())), moving)
        value = draws.near
        for name in moving:
            value = attach(value, -draws.near_slopes[name] * draws.spread, parameters[name])

        return value

    def icdf(self, value: Tensor) -> Tensor:
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape))
        root = bisect(self.cdf, stop(value))
        return implicit(root, self.cdf(root) - value, self.log_prob(root))

    def expand(self, batch_shape: Shape, _instance: object = None) -> Self:
        family: Callable[..., Self] = type(self)
        wide = (value.expand(torch.Size(batch_shape)) for value in self.parameters().values())
        new = family(*wide, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name, in the order of the constructor."""
        return {name: getattr(self, name) for name in self.arg_constraints}
