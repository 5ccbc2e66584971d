"""Convolutions against weight space: strides, padding, dilation, groups and gated sides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.local.weight_space import assert_weight_space, double, gate, normal, run, sample


@dataclass(frozen=True)
class Case:
    """A convolution, the shape of one example and the shape of its weight."""

    function: Callable[..., Tensor]
    example: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def transposed(self) -> bool:
        return "transpose" in self.function.__name__

    @property
    def groups(self) -> int:
        return self.options.get("groups", 1)

    @property
    def channels(self) -> int:
        return self.weight[1] * self.groups if self.transposed else self.weight[0]

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return self.function(x, weight, bias, **self.options)


CASES = {
    "1d": Case(F.conv1d, (2, 7), (3, 2, 3)),
    "1d same": Case(F.conv1d, (2, 6), (3, 2, 3), {"padding": "same"}),
    "1d dilated": Case(F.conv1d, (2, 9), (3, 2, 3), {"dilation": 2, "stride": 2, "padding": 1}),
    "2d": Case(F.conv2d, (2, 5, 4), (3, 2, 3, 2)),
    "2d strided": Case(F.conv2d, (2, 5, 6), (3, 2, 3, 3), {"stride": (2, 1), "padding": (1, 0)}),
    "2d groups": Case(F.conv2d, (4, 4, 4), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "2d depthwise": Case(F.conv2d, (3, 4, 4), (6, 1, 3, 3), {"groups": 3}),
    "2d pointwise": Case(F.conv2d, (2, 3, 3), (4, 2, 1, 1)),
    "3d": Case(F.conv3d, (2, 3, 4, 3), (2, 2, 2, 2, 2), {"padding": 1, "stride": 2}),
    "transposed 1d": Case(F.conv_transpose1d, (2, 5), (2, 3, 3)),
    "transposed 1d strided": Case(
        F.conv_transpose1d, (2, 4), (2, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}
    ),
    "transposed 2d": Case(F.conv_transpose2d, (2, 3, 3), (2, 3, 2, 3), {"dilation": 2}),
    "transposed 2d groups": Case(
        F.conv_transpose2d, (4, 3, 2), (4, 3, 3, 3), {"groups": 2, "stride": 2}
    ),
    "transposed 3d": Case(F.conv_transpose3d, (2, 2, 3, 2), (2, 2, 2, 2, 2), {"stride": 2}),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@every_case
@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
def test_local_weight(case: Case, bias: bool) -> None:
    laws = [normal(*case.weight)] + [normal(case.channels)] * bias

    assert_weight_space(case, double(50, *case.example), *laws)


def in_shape(case: Case) -> tuple[int, ...]:
    positions = (1,) * (len(case.weight) - 2)
    return (case.weight[0], 1, *positions) if case.transposed else (case.weight[1], *positions)


def out_shape(case: Case) -> tuple[int, ...]:
    positions = (1,) * (len(case.weight) - 2)
    return (case.weight[1], *positions) if case.transposed else (case.weight[0], 1, *positions)


@every_case
@pytest.mark.parametrize("side", ["inputs", "outputs", "both"])
def test_gated_weight(case: Case, side: str) -> None:
    def call(x: Tensor, weight: Tensor, *gates: Tensor) -> Tensor:
        for z in gates:
            weight = weight * z
        return case(x, weight)

    shapes = {"inputs": [in_shape(case)], "outputs": [out_shape(case)]}
    shapes["both"] = shapes["inputs"] + shapes["outputs"]

    gates = [gate(*shape) for shape in shapes[side]]
    assert_weight_space(call, double(40, *case.example), normal(*case.weight), *gates)


@pytest.mark.parametrize("name", ["1d", "2d groups", "3d", "transposed 2d"])
def test_gated_kernel_is_drawn_once(name: str) -> None:
    case = CASES[name]
    kernel = gate(*case.weight[2:])
    drawn = assert_weight_space(
        lambda x, w, z: case(x, w * z), double(40, *case.example), normal(*case.weight), kernel
    )

    assert kernel.drawn.shape == case.weight[2:]
    assert drawn.shape[1] == case.channels


@pytest.mark.parametrize("name", ["2d", "2d groups", "transposed 2d groups"])
def test_gated_outputs_and_a_bias(name: str) -> None:
    case = CASES[name]

    assert_weight_space(
        lambda x, w, b, z: case(x, w * z, b),
        double(40, *case.example),
        normal(*case.weight),
        normal(case.channels),
        gate(*out_shape(case)),
        sources=2,
    )


@pytest.mark.parametrize("name", ["2d", "2d groups"])
def test_gated_bias(name: str) -> None:
    case = CASES[name]

    assert_weight_space(
        lambda x, w, b, z: case(x, w, b * z),
        double(40, *case.example),
        normal(*case.weight),
        normal(case.channels),
        gate(case.channels),
        sources=2,
    )


@pytest.mark.parametrize("name", ["1d", "2d strided", "transposed 1d strided"])
def test_keywords(name: str) -> None:
    case = CASES[name]

    assert_weight_space(
        lambda x, w, b: case.function(bias=b, weight=w, input=x, **case.options),
        double(40, *case.example),
        normal(*case.weight),
        normal(case.channels),
    )


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_modes_of_modules(mode: Any) -> None:
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode, bias=False).double()
    del layer._parameters["weight"]

    def call(x: Tensor, weight: Tensor, z: Tensor) -> Tensor:
        layer.__dict__["weight"] = weight
        return layer(x * z)

    assert_weight_space(call, double(40, 2, 4, 5), normal(3, 2, 3, 3), gate(2, 1, 1))


def test_one_example_without_a_batch() -> None:
    law, units = normal(3, 2, 3), gate(2, 1)
    output = run(lambda x, w, z: F.conv1d(x, w * z), double(2, 7), [law, units])

    assert output.shape == (3, 5)
    assert units.drawn.shape == (2, 1)


def test_positional_options() -> None:
    x, weight = double(3, 4, 7, 7), sample(normal(6, 2, 3, 3))

    assert F.conv2d(x, weight, None, 2, 1, 1, 2).shape == (3, 6, 4, 4)
    with pytest.raises(RuntimeError, match="groups"):
        F.conv2d(x, sample(normal(6, 2, 3, 3)), None, 1, 0, 1, 3)


def test_gates_of_groups_repeat_over_the_groups() -> None:
    """The weight of a grouped convolution holds the channels of one group; all groups see it."""
    x, weight = double(5, 4, 6), nn.Parameter(double(6, 2, 3))
    units = gate(2, 1)

    output = run(lambda x, z: F.conv1d(x, weight * z, groups=2), x, [units])

    gated = x * units.drawn.repeat(1, 2, 1)
    torch.testing.assert_close(output, F.conv1d(gated, weight, groups=2))
