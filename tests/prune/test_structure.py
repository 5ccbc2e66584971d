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
