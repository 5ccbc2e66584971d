"""What an operation does with ordinary samples, to hold local ones against.

Given its gates, an operation that is linear in its normal weights gives normal outputs. Their
mean and variance follow from the Jacobian in weight space, example by example, without any of the
formulas the package uses. A correct local sample has them, with residuals that are standard
normal and independent, and the same gradients in every parameter.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from pyro_sparse import Local
from pyro_sparse.distributions import HardConcrete
from pyro_sparse.testing.statistics import kolmogorov
from tests.common import TEST_FAILURE_RATE, assert_mean

Law: TypeAlias = Any  # a Normal for a weight or a bias, a KeptGate for a gate


class KeptGate(HardConcrete):
    """A gate law that remembers what was drawn from it."""

    drawn: Tensor

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        self.drawn = super().rsample(sample_shape)
        return self.drawn


def normal(*shape: int) -> Normal:
    """A normal with trained parameters in double precision."""
    loc = nn.Parameter(torch.randn(shape, dtype=torch.float64))
    return Normal(loc, nn.Parameter(0.2 + torch.rand(shape, dtype=torch.float64)))


def gate(*shape: int) -> KeptGate:
    """A gate that is often 0 and often 1, with trained parameters in double precision."""
    return KeptGate(logits=nn.Parameter(torch.randn(shape, dtype=torch.float64)))


def double(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def sample(law: Law) -> Any:
    """A sample of the law that is not yet drawn."""
    return Local(law).rsample()


def parameters(laws: Sequence[Law]) -> list[Tensor]:
    """The trained tensors of the laws."""
    return [t for q in laws for t in ((q.loc, q.scale) if isinstance(q, Normal) else (q.logits,))]


def run(call: Callable[..., Tensor], x: Tensor, laws: Sequence[Law]) -> Tensor:
    """The operation on samples that remember their laws."""
    return call(x, *(sample(law) for law in laws))


def moments(call: Callable[..., Tensor], x: Tensor, laws: Sequence[Law]) -> tuple[Tensor, Tensor]:
    """Mean and variance of the operation in weight space, given the gates that were drawn."""
    weights = [i for i, law in enumerate(laws) if isinstance(law, Normal)]
    locs = [laws[i].loc for i in weights]

    def per_example(example: Tensor, *gates: Tensor) -> tuple[Tensor, Tensor]:
        def of_weights(*values: Tensor) -> Tensor:
            given = iter(values), iter(gates)
            args = [next(given[0 if isinstance(law, Normal) else 1]) for law in laws]
            return call(example.unsqueeze(0), *args).squeeze(0)

        mean = of_weights(*locs)
        variance = torch.zeros_like(mean)
        if weights:
            jacobians = torch.func.jacrev(of_weights, tuple(range(len(weights))))(*locs)
            for i, jacobian in zip(weights, jacobians, strict=True):
                spread = jacobian.square() * laws[i].scale.square()
                variance = variance + spread.flatten(mean.ndim).sum(-1)
        return mean, variance

    return torch.vmap(per_example)(x, *(_rows(law, len(x)) for law in laws if _is_gate(law)))


def assert_weight_space(
    call: Callable[..., Tensor],
    x: Tensor,
    *laws: Law,
    local: bool = True,
    sources: int = 1,
) -> Tensor:
    """Asserts that local samples have the law and the gradients of ordinary ones.

    Args:
        call: `call(x, *samples)`, with examples along the first dimension of `x`.
        x: The activations, `(examples, *)`.
        *laws: Normals for weights and biases, and gates.
        local: Whether the weights' noise is expected to be local at all.
        sources: Number of independent draws that add up in one output. With more than one, the
            gradients agree in expectation only.
    """
    output = run(call, x, laws)
    mean, variance = moments(call, x, laws)
    assert output.shape == mean.shape

    noisy = variance.detach() > 1e-20
    deviation = variance.clamp_min(torch.finfo(torch.float64).tiny).sqrt()
    residual = ((output - mean) / deviation).detach() * noisy
    torch.testing.assert_close(output[~noisy], mean[~noisy])

    assert noisy.any() == (local and any(isinstance(law, Normal) for law in laws))
    if noisy.any():
        assert_standard_normal(residual[noisy])
        assert_independent((residual * noisy).reshape(len(x), -1))

    if sources == 1:
        rebuilt = mean + deviation * residual
        direction = torch.randn_like(output)
        found = torch.autograd.grad(output, parameters(laws), direction, retain_graph=True)
        wanted = torch.autograd.grad(rebuilt, parameters(laws), direction)
        for mine, theirs in zip(found, wanted, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)
    else:
        assert_expected_gradients(call, x[:5], laws)
    return output


def assert_expected_gradients(call: Callable[..., Tensor], x: Tensor, laws: Sequence[Law]) -> None:
    """Asserts that the gradients of a quadratic loss are those of its expectation."""
    errors = []
    for _ in range(200):
        found = run(call, x, laws).square().sum()
        mean, variance = moments(call, x, laws)
        wanted = (mean.square() + variance).sum()
        grads = torch.autograd.grad(found - wanted, parameters(laws))
        errors.append(torch.cat([grad.flatten() for grad in grads]))

    assert_mean(torch.stack(errors), 0.0)


def assert_standard_normal(values: Tensor) -> None:
    uniforms = torch.special.ndtr(values.flatten())

    assert kolmogorov(uniforms) > TEST_FAILURE_RATE


def assert_independent(residuals: Tensor) -> None:
    """Asserts that neighbouring examples are not correlated, nor neighbouring outputs."""
    for left, right in [
        (residuals[:-1], residuals[1:]),
        (residuals[:, :-1], residuals[:, 1:]),
    ]:
        products = (left * right).flatten()
        products = products[products != 0]
        if products.numel() > 50:
            z = products.mean().abs() * math.sqrt(products.numel()) / products.std()
            assert torch.special.erfc(z / math.sqrt(2)) > TEST_FAILURE_RATE


def _is_gate(law: Law) -> bool:
    return isinstance(law, KeptGate)


def _rows(law: Any, size: int) -> Tensor:
    per_example = law.drawn.ndim > len(law.batch_shape)
    return law.drawn if per_example else law.drawn.expand(size, *law.batch_shape)
