"""What gates and noise do in weight, bias and input slots, whatever the operation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pyro.distributions import Delta, Laplace
from torch import Tensor, nn
from torch.distributions import Normal

from pyro_sparse import Local
from pyro_sparse.distributions import HardConcrete
from pyro_sparse.local.slots import Operation, apply_locally
from tests.common import assert_mean
from tests.local.weight_space import KeptGate, assert_weight_space, double, gate, normal, sample

ROWS = Operation(F.linear, in_dim=1, out_dim=0)
IMAGES = Operation(F.conv2d, in_dim=1, out_dim=0, positions=2, tiled=1)


def test_ordinary_slots_are_left_alone() -> None:
    x, weight, bias = double(5, 4), double(3, 4), double(3)

    torch.testing.assert_close(apply_locally(ROWS, x, weight, bias), F.linear(x, weight, bias))


def test_an_operation_of_ones_own() -> None:
    """Anything linear in its weight: here a product with the first dimension contracted."""

    def call(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        return torch.einsum("bi,io->bo", x, w) if b is None else x @ w + b

    columns = Operation(call, in_dim=0, out_dim=1)

    assert_weight_space(
        lambda x, w, z: apply_locally(columns, x, w * z, None),
        double(300, 4),
        normal(4, 3),
        gate(4, 1),
    )


SHARING: dict[str, tuple[tuple[int, ...], Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "input gates": ((4,), lambda x, w, z: F.linear(x, w * z)),
    "output gates": ((3, 1), lambda x, w, z: F.linear(x, w * z)),
    "one gate": ((), lambda x, w, z: F.linear(x, w * z)),
    "gated inputs": ((4,), lambda x, w, z: F.linear(x * z, w)),
    "gated outputs": ((3,), lambda x, w, z: F.linear(x, w) * z + 0),
}


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("noisy", [False, True], ids=["parameter", "local weight"])
def test_outputs_that_share_a_gate_stay_correlated(name: str, noisy: bool) -> None:
    """The covariance of the outputs against draws in weight space; local noise adds none."""
    shape, call = SHARING[name]
    x, law, weights = double(4), KeptGate(logits=double(*shape)), normal(3, 4)
    scale = weights.scale.detach() if noisy else torch.zeros(3, 4).double()
    weight = nn.Parameter(weights.loc.detach())

    w = sample(Normal(weight, scale)) if noisy else weight
    outputs = call(x.expand(20_000, 4), w, sample(law)).detach()

    z = law.rsample(torch.Size([20_000])).detach()
    drawn = weight.detach() + scale * torch.randn(20_000, 3, 4).double()
    wanted = torch.vmap(lambda w, z: call(x.unsqueeze(0), w, z).squeeze(0))(drawn, z)

    assert_same_moments(outputs, wanted)


def assert_same_moments(left: Tensor, right: Tensor) -> None:
    """Asserts equal means and equal second moments of every pair of outputs."""

    def moments(draws: Tensor) -> Tensor:
        pairs = draws.unsqueeze(-1) * draws.unsqueeze(-2)
        return torch.cat([draws, pairs.flatten(1)], 1)

    assert_mean(moments(left) - moments(right), 0.0)


def test_input_gates_correlate_outputs_as_the_formula_says() -> None:
    """Cov[y] = W diag(x^2 Var[z]) W^T for y = W (z x)."""
    x, weight, law = double(4), nn.Parameter(double(3, 4)), HardConcrete(logits=double(4))

    outputs = F.linear(x.expand(20_000, 4), weight * sample(law)).detach()

    centred = outputs - F.linear(x * law.mean, weight).detach()
    covariance = (weight * (x.square() * law.variance)) @ weight.T
    assert_mean(centred.unsqueeze(-1) * centred.unsqueeze(-2), covariance.detach())


LAYERS: dict[str, tuple[Callable[..., Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "linear": (F.linear, (5, 4), (3, 4)),
    "linear, more dimensions": (F.linear, (5, 2, 4), (3, 4)),
    "conv1d": (F.conv1d, (5, 2, 7), (3, 2, 3)),
    "conv2d": (F.conv2d, (5, 2, 6, 5), (3, 2, 3, 2)),
    "conv3d": (F.conv3d, (2, 2, 4, 3, 4), (3, 2, 2, 2, 2)),
    "conv_transpose1d": (F.conv_transpose1d, (5, 2, 4), (2, 3, 3)),
    "conv_transpose2d": (F.conv_transpose2d, (5, 2, 3, 4), (2, 3, 3, 2)),
    "conv_transpose3d": (F.conv_transpose3d, (2, 2, 2, 3, 2), (2, 3, 2, 2, 2)),
    "linear, one output": (lambda x, w, b: F.linear(x, w), (5, 4), (4,)),
    "bilinear": (lambda x, w, b: F.bilinear(x, x.square(), w, b), (5, 4), (3, 4, 4)),
    "einsum": (lambda x, w, b: torch.einsum("bi,io->bo", x, w) + b, (5, 4), (4, 3)),
    "embedding": (lambda x, w, b: F.embedding((x > 0).long(), w), (5, 4), (2, 3)),
}
POINTS = {
    "no scale": lambda value: Normal(value, torch.zeros_like(value), validate_args=False),
    "a point mass": lambda value: Delta(value),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("gated", [False, True], ids=["no gates", "open gates"])
def test_without_variance_and_with_open_gates_it_is_the_dense_layer(
    name: str, point: str, gated: bool
) -> None:
    call, example, shape = LAYERS[name]
    x, weight, bias = torch.randn(example), torch.randn(shape), torch.randn(3)

    w, b = sample(POINTS[point](weight)), sample(POINTS[point](bias))
    if gated:
        units = shape[0] if "transpose" in name else shape[1] if "conv" in name else shape[-1]
        z = sample(HardConcrete(logits=torch.full((units,), 50.0)))
        w = w * (to_inputs(z, name, len(shape)) if "conv" in name else z)

    wanted = call(x, weight, bias)
    torch.testing.assert_close(
        call(x, w, b), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max())
    )


def to_inputs(z: Tensor, name: str, dims: int) -> Tensor:
    dim = 0 if "transpose" in name else 1
    return z.reshape(-1, *(1,) * (dims - dim - 1))


def test_no_gradient_is_lost_or_infinite_without_variance() -> None:
    loc, scale = nn.Parameter(double(3, 4)), nn.Parameter(torch.zeros(3, 4).double())

    F.linear(double(5, 4), sample(Normal(loc, scale, validate_args=False))).sum().backward()

    assert loc.grad is not None and scale.grad is not None
    assert loc.grad.abs().min() > 0 and scale.grad.isfinite().all()


def test_small_scales_are_not_biased() -> None:
    law = Normal(torch.zeros(1, 1), torch.full((1, 1), 1e-12))

    draws = F.linear(torch.ones(20_000, 1), sample(law)).double()

    assert_mean(draws.square() * 1e24, 1.0)


@pytest.mark.parametrize(
    "law", [Laplace(double(3, 4), 1.0), gate(3, 4)], ids=["Laplace", "gate law"]
)
def test_weights_that_are_not_normal_are_drawn_once(law: Any) -> None:
    weight, x = Local(law, role="weight").rsample(), double(5, 4)

    output = F.linear(x, weight)

    torch.testing.assert_close(output, F.linear(x, weight.clone()))


def test_a_bias_drawn_before() -> None:
    bias, x, weight = sample(normal(3)), double(5, 4), double(3, 4)
    number = bias.clone()

    torch.testing.assert_close(F.linear(x, weight, bias), F.linear(x, weight, number))


def test_a_gate_of_single_weights_is_drawn_once() -> None:
    law, x = gate(3, 4), double(50, 4)
    assert_weight_space(lambda x, w, z: F.linear(x, w * z), x, normal(3, 4), law)

    assert law.drawn.shape == (3, 4)


def test_the_same_gate_twice_is_its_square() -> None:
    law, x, weight = gate(4), double(6, 4), nn.Parameter(double(3, 4))
    units = sample(law)

    torch.testing.assert_close(
        F.linear(x * units, weight * units), F.linear(x * law.drawn.square(), weight)
    )


def test_weights_and_outputs_gated_by_one_gate() -> None:
    """Weight and bias of a unit share its draw, so that a closed unit is exactly 0."""
    units = HardConcrete(logits=torch.tensor([-50.0, 50.0]))
    z = sample(units)

    output = F.linear(
        torch.randn(5, 3),
        sample(Normal(torch.randn(2, 3), 1.0)) * z.unsqueeze(-1),
        sample(Normal(torch.randn(2), 1.0)) * z,
    )

    assert (output[:, 0] == 0).all() and (output[:, 1] != 0).all()


@pytest.mark.parametrize("gated", [False, True], ids=["no gates", "gates"])
@pytest.mark.parametrize("name", ["linear", "conv2d", "conv_transpose1d"])
def test_half_precision_under_autocast(name: str, gated: bool) -> None:
    call, (_, *example), shape = LAYERS[name]
    law = Normal(torch.randn(shape), 0.1 + torch.rand(shape))
    x = torch.randn(1, *example)

    units = shape[0] if "transpose" in name else shape[1]
    law_of_gates = HardConcrete(logits=torch.randn(units))
    z = sample(law_of_gates)
    gates = z if name == "linear" else to_inputs(z, name, len(shape))

    with torch.autocast("cpu", torch.bfloat16):
        w = sample(law) * gates if gated else sample(law)
        output = call(x.expand(5000, *example), w)
    assert output.dtype == torch.bfloat16

    keep = (
        to_inputs(law_of_gates.mean, name, len(shape)) if name != "linear" else law_of_gates.mean
    )
    mean = call(x, law.loc * keep) if gated else call(x, law.loc)
    torch.testing.assert_close(
        output.float().mean(0, keepdim=True), mean, rtol=0.03, atol=0.05 * float(mean.abs().max())
    )
    if not gated:
        deviation = call(x.square(), law.variance).sqrt()
        found = output.float().std(0, keepdim=True)
        torch.testing.assert_close(found, deviation, rtol=0.06, atol=0.0)


def test_gradients_in_half_precision_arrive_in_full() -> None:
    loc = nn.Parameter(torch.randn(3, 4))
    law = Normal(loc, 0.1)

    with torch.autocast("cpu", torch.bfloat16):
        loss = F.linear(torch.randn(5, 4), sample(law)).float().square().sum()
    loss.backward()

    assert loc.grad is not None and loc.grad.dtype == torch.float32
    assert loc.grad.abs().min() > 0
