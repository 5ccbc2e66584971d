r"""Where posteriors start: means and scales that follow from the shape of a weight."""

__all__ = ["fan_in", "fan_in_scale"]

import math
from collections.abc import Callable

import torch
from torch import Tensor


def fan_in(gain: float = math.sqrt(2)) -> Callable[[str, torch.Size], Tensor]:
    r"""Initial weights :math:`w \sim \mathcal{N}(0, g^2 / n)` for `n` inputs, and biases of 0.

    For networks whose own values shall not be kept.

    References:
        | Delving Deep into Rectifiers (He et al., 2015)
        | https://arxiv.org/abs/1502.01852

    Args:
        gain: The gain `g`, sqrt(2) before ReLUs; see `torch.nn.init.calculate_gain`.

    Returns:
        A function for `AutoSparse(init=...)`.

    Example:
        >>> fan_in()("fc.weight", torch.Size([3, 800])).shape
        torch.Size([3, 800])
    """

    _check_positive("gain", gain)

    def initial(name: str, shape: torch.Size) -> Tensor:
        if len(shape) < 2:
            return torch.zeros(shape)
        return torch.randn(shape) * (gain / math.sqrt(_inputs(shape)))

    return initial


def fan_in_scale(factor: float) -> Callable[[str, torch.Size], float]:
    r"""Initial standard deviations :math:`f / \sqrt n` for `n` inputs.

    With a constant scale, the noise that reaches a unit grows with the number of its inputs;
    with this one it is the same in every layer.

    References:
        Delving Deep into Rectifiers (He et al., 2015),
        https://arxiv.org/abs/1502.01852

    Args:
        factor: The factor `f`: the noise of a unit's pre-activation, for inputs of unit size.

    Returns:
        A function for `AutoSparse(init_scale=...)`.

    Example:
        >>> fan_in_scale(0.1)("conv.weight", torch.Size([8, 4, 5, 5]))
        0.01
    """

    _check_positive("factor", factor)
    return lambda name, shape: factor / math.sqrt(_inputs(shape))


def _inputs(shape: torch.Size) -> int:
    return max(math.prod(shape[1:]), 1)


def _check_positive(name: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"The {name} is a positive number, got {value}.")
