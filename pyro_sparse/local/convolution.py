r"""Local samples in convolutions and transposed convolutions."""

__all__: list[str] = []

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from pyro_sparse.local.deferred import handles
from pyro_sparse.local.slots import Operation, apply_locally


def _register(function: Callable, positions: int) -> None:
    @handles(function)
    def _convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return function(x, w, b, stride, padding, dilation, groups)

        operation = Operation(call, 1, 0, positions, groups, tiled=1)
        return apply_locally(operation, input, weight, bias)


def _register_transposed(function: Callable, positions: int) -> None:
    @handles(function)
    def _convolution(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Tensor:
        def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
            return function(x, w, b, stride, padding, output_padding, groups, dilation)

        operation = Operation(call, 0, 1, positions, groups, tiled=1)
        return apply_locally(operation, input, weight, bias)


_register(F.conv1d, 1)
_register(F.conv2d, 2)
_register(F.conv3d, 3)
_register_transposed(F.conv_transpose1d, 1)
_register_transposed(F.conv_transpose2d, 2)
_register_transposed(F.conv_transpose3d, 3)
