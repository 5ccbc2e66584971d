"""Local noise of converted layers against draws of whole layers."""

from collections.abc import Callable

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from tests.common import assert_mean

NORMAL = dist.Normal(0.0, 1.0)

LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "Linear": (nn.Linear(4, 3), torch.randn(4)),
    "Conv1d": (
        nn.Conv1d(4, 6, 3, groups=2, padding=1, padding_mode="circular"),
        torch.randn(4, 5),
    ),
    "Conv2d": (nn.Conv2d(2, 3, 3, stride=2), torch.randn(2, 5, 6)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 4, 2, groups=2, bias=False), torch.randn(4, 2, 3)),
    "Embedding": (nn.Embedding(5, 3), torch.tensor([3, 0])),
}


@pytest.mark.parametrize(
    ("name", "gate_dim"),
    [
        (name, dim)
        for name in LAYERS
        for dim in (None, "in", "out", "weight")
        if (name, dim) != ("Embedding", "in")
    ],
)
def test_local_noise_agrees_with_weight_space(name: str, gate_dim: str | None) -> None:
    """First and second moments of a layer's outputs, drawn locally and drawn as whole layers."""
    layer, example = LAYERS[name]
    gate = L0(1.0) if gate_dim else None
    new = bayesianize(layer, weight=NORMAL, bias=NORMAL, gate=gate, gate_dim=gate_dim or "in")
    once = gate_dim == "weight"  # drawn once for all examples
    draws = 150

    def outputs(shared: bool) -> Tensor:
        guide = AutoSparse(new, init_scale=0.5, init_gate_prob=0.4, shared=shared)
        guide.load_state_dict(state)
        program = replayed(new, guide)
        if shared or once:
            return torch.stack([program(example.unsqueeze(0))[0] for _ in range(draws)])
        return program(example.expand(draws, *example.shape))

    state = AutoSparse(new, init_scale=0.5, init_gate_prob=0.4).state_dict()
    with torch.no_grad():
        local, whole = outputs(False), outputs(True)
    assert_mean((local - whole).double(), 0.0)
    assert_mean((local.square() - whole.square()).double(), 0.0)


def replayed(net: nn.Module, guide: nn.Module) -> Callable[[Tensor], Tensor]:
    def program(x: Tensor) -> Tensor:
        with poutine.block():
            trace = poutine.trace(guide).get_trace()
            return poutine.replay(net, trace=trace)(x) + 0

    return program
