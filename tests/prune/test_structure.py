"""What a network's structure makes of the chances of its gates."""

import pytest
import torch
from torch import Tensor, nn

from models.lenet import lenet5, mlp
from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize
from pyro_sparse.prune import compact, count, freeze
from pyro_sparse.prune.structure import Structure
from tests.prune.nets import Grouped, Residual


class Skipping(nn.Module):
    """The input goes past a layer, too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(13, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(torch.cat([x, self.a(x).relu()], 1)).relu())


class Depthwise(nn.Module):
    """The first half of an inverted residual."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 1, bias=False)
        self.d = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.n = nn.BatchNorm2d(8)
        self.c = nn.Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.n(self.d(self.a(x))).relu())


class Squeezing(nn.Module):
    """Channels are scaled by what the whole map says."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.n = nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8)
        self.f, self.g = nn.Linear(8, 4), nn.Linear(4, 8)
        self.c = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.n(self.a(x)).relu()
        scale = self.g(self.f(h.mean((2, 3))).relu()).sigmoid()
        return self.c(h * scale.unsqueeze(-1).unsqueeze(-1))


class Shifting(nn.Module):
    """A parameter is added to all units, and a number that varies to those of another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.shift = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x) + self.shift) + x[:, :1])


def gated(net: nn.Module, **options: str) -> tuple[nn.Module, AutoSparse]:
    model = bayesianize(net, gate=L0(1.0), **options)  # type: ignore[arg-type]
    return model, AutoSparse(model, init_gate_prob=0.99)


def sizes(structure: Structure, chances: dict[str, Tensor]) -> dict[str, float]:
    """Weights layer by layer."""
    dense = {row.name: float(row.weights) for row in structure.dense.layers if row.weights}
    for use in structure.uses(chances):
        share = use.share()
        dense[use.layer] *= 1.0 if share is None else share.item()
    return dense


@pytest.mark.parametrize("side", ["in", "out"])
def test_closed_gates_cost_what_the_compact_network_does(side: str) -> None:
    model, guide = gated(mlp(12, 15, 10, 4), gate_dim=side)
    x = torch.randn(2, 12)
    structure = Structure(model, guide, x)
    kept = {site: torch.rand(law.shape()) < 0.5 for site, law in guide.laws().items()}
    if side == "out":
        # Closed outputs of a network are zeros, but no fewer.
        kept["fc3.gate"] = torch.ones(4) > 0

    found = sizes(structure, {site: mask.float() for site, mask in kept.items()})

    small = compact(freeze(model, guide, kept), x, allow_empty=True)
    assert found == pytest.approx({row.name: row.weights for row in count(small, x).layers})


def test_convolutions_and_what_is_flattened_behind_them() -> None:
    model, guide = gated(lenet5((6, 8, 20)))
    x = torch.randn(1, 1, 28, 28)
    structure = Structure(model, guide, x)
    kept = {site: torch.rand(law.shape()) < 0.7 for site, law in guide.laws().items()}
    kept["conv1.gate"] = torch.ones(1) > 0

    found = sizes(structure, {site: mask.float() for site, mask in kept.items()})

    small = compact(freeze(model, guide, kept), x, allow_empty=True)
    rows = {row.name: row.weights for row in count(small, x).layers if row.weights}
    assert found == pytest.approx(rows)


@pytest.mark.parametrize(
    ("build", "shape", "sites"),
    [
        (Skipping, (2, 5), {"a": "out", "c": "in"}),
        (Depthwise, (2, 3, 4, 4), {"n": "out"}),
        (Depthwise, (2, 3, 4, 4), {"a": "out"}),
        (Depthwise, (2, 3, 4, 4), {"d": "in"}),
        (Squeezing, (2, 1, 6, 6), {"n": "out", "g": "in"}),
        (Shifting, (2, 5), {"a": "out"}),
    ],
)
def test_structures_cost_what_the_compact_network_does(
    build: type[nn.Module], shape: tuple[int, ...], sites: dict[str, str]
) -> None:
    model = bayesianize(build(), gate=L0(1.0), gate_dim=sites)
    guide = AutoSparse(model, init_gate_prob=0.99)
    x = torch.randn(shape)
    kept = {site: torch.rand(law.shape()) < 0.5 for site, law in guide.laws().items()}

    found = sizes(Structure(model, guide, x), {site: m.float() for site, m in kept.items()})

    small = compact(freeze(model, guide, kept), x)
    weights = {layer.name: layer.weights for layer in count(small, x).layers}
    assert found == pytest.approx({name: weights[name] for name in found})


@pytest.mark.parametrize(
    ("build", "shape", "site", "left"),
    [
        (Squeezing, (2, 1, 6, 6), "g", {"a": 72, "c": 16}),
        (Shifting, (2, 5), "b", {"a": 40, "c": 16}),
    ],
)
def test_what_varies_by_another_operand_is_left(
    build: type[nn.Module], shape: tuple[int, ...], site: str, left: dict[str, int]
) -> None:
    """A factor that is 1/2 where it is closed, and a sum with something that always varies."""
    model = bayesianize(build(), gate=L0(1.0), gate_dim={site: "out"})
    structure = Structure(model, AutoSparse(model), torch.randn(shape))

    found = sizes(structure, {f"{site}.gate": torch.tensor([1.0, *[0.0] * 7])})

    assert {name: found[name] for name in left} == left


@pytest.mark.parametrize("build, shape", [(Residual, (1, 2, 6, 6)), (Grouped, (1, 2, 9, 9))])
def test_open_gates_leave_everything(build: type[nn.Module], shape: tuple[int, ...]) -> None:
    model, guide = gated(build())
    structure = Structure(model, guide, torch.randn(shape))
    ones = {site: torch.ones(law.shape()) for site, law in guide.laws().items()}

    assert sizes(structure, ones) == pytest.approx(sizes(structure, {}))
    assert sizes(structure, {}) == {r.name: r.weights for r in structure.dense.layers if r.weights}


def test_single_weights_count_where_both_their_ends_do() -> None:
    model = bayesianize(mlp(5, 4, 3), weight=LogUniform(), gate=L0(1.0))
    guide = AutoSparse(model)
    structure = Structure(model, guide, torch.randn(1, 5))
    first, second = torch.rand(5), torch.rand(4)
    kept = torch.rand(4, 5)

    use, last = structure.uses({"fc1.gate": first, "fc2.gate": second})

    assert structure.weights == {"fc1": ["fc1.weight"], "fc2": ["fc2.weight"]}
    expected = torch.einsum("oi,i,o->", kept, first, second)
    torch.testing.assert_close(use.nonzeros(kept), expected)
    torch.testing.assert_close(last.nonzeros(torch.ones(3, 4)), 3 * second.sum())


def test_single_weights_of_grouped_and_transposed_convolutions() -> None:
    net = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(6, 4, 3, groups=2))
    model, guide = gated(net)
    structure = Structure(model, guide, torch.randn(1, 4, 8, 8))
    first, second = torch.rand(4), torch.rand(6)

    convolution, transposed = structure.uses({"0.gate": first, "1.gate": second})

    kept = torch.rand(6, 2, 3, 3)
    rows = first.view(2, 1, 2).expand(2, 3, 2).reshape(6, 2, 1, 1)
    expected = (kept * rows * second.view(6, 1, 1, 1)).sum()
    torch.testing.assert_close(convolution.nonzeros(kept), expected)
    kept = torch.rand(6, 2, 3, 3)
    torch.testing.assert_close(transposed.nonzeros(kept), (kept * second.view(6, 1, 1, 1)).sum())


def test_chances_have_gradients() -> None:
    model, guide = gated(lenet5((3, 4, 5)))
    structure = Structure(model, guide, torch.randn(1, 1, 28, 28))
    chances = {s: torch.rand(law.shape()).requires_grad_() for s, law in guide.laws().items()}

    total = sum(share for use in structure.uses(chances) if (share := use.share()) is not None)
    assert isinstance(total, Tensor)
    grads = torch.autograd.grad(total, list(chances.values()))

    assert all(bool((grad > 0).all()) for grad in grads)
