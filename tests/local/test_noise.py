"""Noise of pre-activations: its law is tested with the operations; here what is kept of it."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from pyro_sparse.local.noise import noise
from tests.common import assert_mean
from tests.local.weight_space import double, normal, sample


def trained(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_mean_and_variance() -> None:
    draws = noise(torch.zeros(20_000, 3).double(), torch.tensor([0.0, 1.0, 4.0]).double())

    assert_mean(draws[:, 1:], 0.0)
    assert_mean(draws[:, 1:].square(), torch.tensor([1.0, 4.0]).double())
    assert not draws[:, 0].any()


def test_noise_lies_in_memory_as_the_activations_do() -> None:
    """And is drawn in that order, in which torch is fast."""
    maps = torch.zeros(2, 5, 4, 3).contiguous(memory_format=torch.channels_last)

    torch.manual_seed(0)
    draws = noise(maps, torch.ones(()))
    torch.manual_seed(0)
    rows = noise(torch.zeros(2, 4, 3, 5), torch.ones(()))

    assert draws.stride() == maps.stride()
    assert torch.equal(draws.permute(0, 2, 3, 1), rows)


def test_the_derivative_is_that_of_the_draw() -> None:
    variance = trained(0.5, 2.0, 0.0)
    drawn = noise(torch.zeros(7, 3).double(), variance)
    (found,) = torch.autograd.grad(drawn, variance, direction := double(7, 3))

    wanted = (direction * drawn).sum(0).detach() / (2 * variance.detach())
    torch.testing.assert_close(found[:2], wanted[:2])
    assert found[2] == 0


def test_variances_below_zero_are_none() -> None:
    """Fast convolutions round to them."""
    variance = trained(-1e-9, 1e-310)
    drawn = noise(torch.zeros(7, 2).double(), variance)
    (found,) = torch.autograd.grad(drawn.sum(), variance)

    assert not drawn[:, 0].any() and not found.any()


def test_one_tensor_is_kept() -> None:
    kept = []

    def note(saved: Tensor) -> Tensor:
        kept.append(saved.shape)
        return saved

    with saved_tensors_hooks(note, lambda saved: saved):
        noise(torch.zeros(7, 3), torch.rand(7, 3, requires_grad=True))

    assert kept == [(7, 3)]


def test_differentiating_twice_is_an_error() -> None:
    variance = trained(0.5)
    (found,) = torch.autograd.grad(
        noise(torch.zeros(1).double(), variance).square(), variance, create_graph=True
    )

    with pytest.raises(RuntimeError, match="once_differentiable"):
        found.backward()


def test_functional_derivatives() -> None:
    def spread(variance: Tensor) -> Tensor:
        return noise(torch.zeros(4).double(), variance).square().sum()

    rows = torch.vmap(torch.func.grad(spread), randomness="different")(double(5, 4).square())

    # The derivative of v e^2 is e^2, which has a mean of 1 and differs between rows.
    assert (rows > 0).all() and len(rows.unique()) == 20


@pytest.mark.parametrize("checkpointed", [False, True])
def test_checkpointing_decides_what_is_kept(checkpointed: bool) -> None:
    x, law = nn.Parameter(double(5, 4)), normal(3, 4)
    weight = sample(law)

    def layer(x: Tensor) -> Tensor:
        return F.linear(x, weight)

    if checkpointed:
        output = checkpoint(layer, x * 1, use_reentrant=False)
    else:
        output = layer(x * 1)
    output.square().sum().backward()

    assert law.scale.grad is not None and law.scale.grad.isfinite().all()
    assert x.grad is not None and x.grad.all()
