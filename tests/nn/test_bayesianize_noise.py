"""Local noise of converted layers against draws of whole layers."""

from collections.abc import Callable

import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_sparse.distributions import L0, HardConcrete
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from tests.common import assert_mean

NORMAL = dist.Normal(0.0, 1.0)


class Halves(nn.Bilinear):
    """A bilinear form of the first and the other features of one input."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(*x.split([self.in1_features, self.in2_features], -1))


LAYERS: dict[str, tuple[nn.Module, Tensor]] = {
    "Linear": (nn.Linear(4, 3), torch.randn(4)),
    "Conv1d": (
        nn.Conv1d(4, 6, 3, groups=2, padding=1, padding_mode="circular"),
        torch.randn(4, 5),
    ),
    "Conv2d": (nn.Conv2d(2, 3, 3, stride=2), torch.randn(2, 5, 6)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 4, 2, groups=2, bias=False), torch.randn(4, 2, 3)),
    "Embedding": (nn.Embedding(5, 3), torch.tensor([3, 0])),
    "Linear, sequences": (nn.Linear(4, 3), torch.randn(2, 3, 4)),
    "Conv2d, depthwise": (nn.Conv2d(3, 6, 2, groups=3, dilation=2), torch.randn(3, 5, 4)),
    "Conv3d": (nn.Conv3d(2, 3, (1, 3, 3), padding="same"), torch.randn(2, 3, 2, 3)),
    "ConvTranspose3d": (nn.ConvTranspose3d(2, 3, 2, stride=2), torch.randn(2, 2, 1, 2)),
    "Bilinear": (Halves(2, 3, 4), torch.randn(5)),
}
CASES = [
    (name, dim)
    for name, (layer, _) in LAYERS.items()
    for dim in (None, "in", "out", "weight")
    if dim != "in" or not isinstance(layer, nn.Embedding | nn.Bilinear)
]
every_case = pytest.mark.parametrize(("name", "gate_dim"), CASES)


@every_case
def test_without_noise_and_with_open_gates_it_is_the_dense_layer(
    name: str, gate_dim: str | None
) -> None:
    layer, example = LAYERS[name]
    gate = L0(1.0) if gate_dim else None
    new = bayesianize(layer, weight=NORMAL, bias=NORMAL, gate=gate, gate_dim=gate_dim or "in")
    guide = AutoSparse(new, init_scale=1e-12, gate=HardConcrete(logits=50.0))
    x = torch.stack([example, example.flip(-1)])

    wanted = layer(x).detach()
    torch.testing.assert_close(
        replayed(new, guide)(x), wanted, rtol=0, atol=1e-6 * float(wanted.abs().max())
    )


@every_case
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
