"""Variances in a lower precision: the same means, noise of nearly the same size."""

import pyro
import pytest
import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from torch import Tensor, nn

from pyro_sparse import Local
from pyro_sparse.distributions import LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.local import variances_in
from pyro_sparse.nn import Classifier, bayesianize

LOC, SCALE = torch.randn(6, 4, 3, 3), torch.rand(6, 4, 3, 3)
X = torch.randn(2, 4, 8, 8)


def drawn(dtype: torch.dtype | None) -> Tensor:
    """A local sample whose noise is the same in every precision."""
    torch.manual_seed(0)
    with variances_in(dtype):
        return F.conv2d(X, Local(Normal(LOC, SCALE).to_event(4))())


def test_noise_is_of_nearly_the_same_size() -> None:
    full, half = drawn(None), drawn(torch.bfloat16)
    mean = F.conv2d(X, LOC)
    assert half.dtype is torch.float32 and not half.equal(full)
    torch.testing.assert_close(half - mean, full - mean, rtol=0.01, atol=1e-5)


def test_it_lasts_as_long_as_it_is_asked_for() -> None:
    before = drawn(None)
    with pytest.raises(RuntimeError, match="stop"), variances_in(torch.bfloat16):
        raise RuntimeError("stop")
    assert drawn(None).equal(before)


def test_a_bound_with_such_noise() -> None:
    x, y = torch.randn(8, 6), torch.randint(3, (8,))
    model = Classifier(bayesianize(nn.Linear(6, 3), weight=LogUniform()), num_data=80)
    guide = AutoSparse(model, init_scale=0.5)
    losses = []
    for dtype in (None, torch.bfloat16):
        pyro.set_rng_seed(0)
        bound = TraceSparse_ELBO(variance_dtype=dtype)(model, guide)
        loss = bound(x, y)
        loss.backward()
        losses.append(loss.item())
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.01)
    assert all(p.grad is not None and p.grad.dtype is p.dtype for p in bound.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.int32])
def test_what_cannot_hold_variances(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="bfloat16"), variances_in(dtype):
        pass
