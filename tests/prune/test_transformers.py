"""Transformers from gates to the smaller network: torch's, torchvision's, and our own."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models.transformer import CharacterModel, SequenceClassifier
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.nn import bayesianize, gate_sites
from pyro_sparse.prune import compact, count, expected_macs, freeze, load, save
from pyro_sparse.prune.surgery import CompactModule
from tests.prune.nets import assert_same, widths, zero

OPTIONS: dict[str, Any] = {"dim_feedforward": 12, "dropout": 0.0}


def encoder(**options: Any) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 4, **OPTIONS, **options)
    return nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)


def vision() -> nn.Module:
    models = pytest.importorskip("torchvision.models", reason="install pyro-sparse[vision]")
    net = models.VisionTransformer(8, 4, 2, 4, 8, 12, num_classes=3)
    nn.init.normal_(net.heads.head.weight)
    return net


class Shy(nn.Module):
    """Makes positions and a mask from the shape that it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        self.positions = nn.Embedding(6, 8)
        self.layers = encoder(batch_first=True, norm_first=True)
        self.head = nn.Linear(8, 9)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.embed(x) + self.positions(torch.arange(length))
        return self.head(self.layers(x, mask, is_causal=True))


class Strict(Shy):
    """Checks a shape, which symbolic tracing cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] <= 6
        return super().forward(x)


def floats(*shape: int) -> Callable[[], Tensor]:
    return lambda: torch.randn(shape)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "batch first": (lambda: encoder(batch_first=True), floats(3, 5, 8)),
    "positions first": (encoder, floats(5, 3, 8)),
    "norm first": (lambda: encoder(batch_first=True, norm_first=True), floats(3, 5, 8)),
    "both": (lambda: nn.Transformer(8, 4, 1, 1, **OPTIONS), lambda: (torch.randn(5, 3, 8),) * 2),
    "classifier": (lambda: SequenceClassifier(6, 5, 3, width=8, hidden=12), floats(3, 5, 6)),
    "characters": (
        lambda: CharacterModel(9, 6, width=8, hidden=12),
        lambda: torch.randint(9, (3, 5)),
    ),
    "vision": (vision, floats(2, 3, 8, 8)),
    "shy": (Shy, lambda: torch.randint(9, (3, 5))),
    "strict": (Strict, lambda: torch.randint(9, (3, 5))),
}
everywhere = pytest.mark.parametrize("name", NETWORKS)
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")


def made(name: str) -> tuple[nn.Module, Any]:
    build, example = NETWORKS[name]
    net = build().eval()
    for parameter in net.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.5)

    return net, example()


def frozen(net: nn.Module, x: Any, kept: Callable[[str, int], Tensor]) -> nn.Module:
    model = bayesianize(net, gate=L0(1.0), gate_dim=gate_sites(net, x))
    guide = AutoSparse(model)
    laws = guide.laws().items()
    return freeze(model, guide, {site: kept(site, len(law.mean)) for site, law in laws})


@everywhere
def test_heads_and_hidden_units_are_proposed(name: str) -> None:
    net, x = made(name)

    sites = gate_sites(net, x)

    heads = [size for (_, dim), (size, _) in sites.units.items() if dim == "head"]
    hidden = [size for size, _ in sites.units.values() if size == 12]
    assert set(heads) == {4} and len(heads) == (3 if name == "both" else 2)
    assert len(hidden) == 2


@everywhere
def test_random_heads_and_units(name: str) -> None:
    net, x = made(name)
    choice = random.Random(name)
    masks: dict[str, Tensor] = {}

    def kept(site: str, size: int) -> Tensor:
        masks[site] = torch.tensor([choice.random() < 0.5 for _ in range(size)])
        masks[site][choice.randrange(size)] = True
        return masks[site]

    net = frozen(net, x, kept)
    smaller = compact(net, x)

    assert_same(net, smaller, x)
    check_sizes(smaller, masks)


def check_sizes(smaller: CompactModule, masks: dict[str, Tensor]) -> None:
    for site, mask in masks.items():
        path = site.removesuffix(".gate")
        if path.endswith("out"):
            attend = smaller.get_submodule(path.removesuffix("out") + "attend")
            assert attend.num_heads == int(mask.sum())
        elif len(mask) == 12:
            assert smaller.get_parameter(f"{path}.weight").shape[1] == int(mask.sum())


@everywhere
def test_one_left_everywhere(name: str) -> None:
    net, x = made(name)
    net = frozen(net, x, lambda _, size: torch.arange(size) == size - 1)

    smaller = compact(net, x)

    assert_same(net, smaller, x)
    heads = [m.num_heads for n, m in smaller.named_modules() if n.endswith("attend")]
    assert set(heads) == {1}


@everywhere
def test_nothing_dead(name: str) -> None:
    net, x = made(name)
    net = frozen(net, x, lambda _, size: torch.ones(size, dtype=torch.bool))

    left = compact(net, x).named_parameters()

    assert {n: p.shape for n, p in left} == {n: p.shape for n, p in net.named_parameters()}


@everywhere
def test_all_heads_of_a_layer_dead(name: str) -> None:
    """Its branch is a constant then, and nothing of the layer is left."""
    net, x = made(name)
    sites = gate_sites(net, x)
    first = next(path for path, dim in sites.items() if dim == "head")
    net = frozen(net, x, lambda site, n: torch.full((n,), site != f"{first}.gate"))

    smaller = compact(net, x)

    assert_same(net, smaller, x)
    assert not [name for name in widths(smaller) if name.startswith(first.removesuffix("out"))]


def test_whole_branches() -> None:
    """One gate for all of a branch, behind the layer that ends it."""
    net, x = made("classifier")
    ends = ["blocks.0.attention.out", "blocks.0.down", "blocks.1.attention.out", "blocks.1.down"]
    model = bayesianize(net, gate=L0(1.0), gate_dim=dict.fromkeys(ends, "layer"))
    kept = {f"{path}.gate": torch.tensor([path in ends[1:3]]) for path in ends}

    net = freeze(model, AutoSparse(model), kept)
    smaller = compact(net, x)

    assert_same(net, smaller, x)
    left = {name.rpartition(".")[0] for name in widths(smaller)}
    assert left == {"", "blocks.0", "blocks.1.attention"}


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", ["causal", "padded", "both", "hint"])
def test_masks(batch_first: bool, kind: str) -> None:
    net: nn.Module = encoder(batch_first=batch_first).eval()
    x = torch.randn(3, 5, 8) if batch_first else torch.randn(5, 3, 8)
    later = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.zeros(3, 5).masked_fill(torch.arange(5) > 3, -torch.inf)
    arguments = {
        "causal": (x, later),
        "padded": (x, None, padding),
        "both": (x, later, padding),
        "hint": (x, later, None, True),
    }[kind]
    net = frozen(net, x, lambda _, size: torch.arange(size) % 2 == 0)

    smaller = compact(net, arguments)

    assert_same(net, smaller, arguments)
    other = tuple(a * 2 if a is x else a for a in arguments)
    assert_same(net, smaller, other)
    assert widths(smaller)["layers.0.self_attn.q"][1] == 4


def test_zeros_in_attention_of_torch() -> None:
    """Compaction needs no conversion before."""
    net, x = made("norm first")
    zero(net.get_parameter("layers.0.self_attn.out_proj.weight"), slice(None), [0, 1, 4, 5])

    smaller = compact(net, x)

    assert_same(net, smaller, x)
    assert widths(smaller)["layers.0.self_attn.q"] == (8, 4)


def test_attention_of_ones_own_is_left_alone() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(8, 24)
            self.out = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            b, n, _ = x.shape
            q, k, v = self.qkv(x).reshape(b, n, 3, 4, 2).permute(2, 0, 3, 1, 4)
            seen = nn.functional.scaled_dot_product_attention(q, k, v)
            return x + self.out(seen.transpose(1, 2).reshape(b, n, 8))

    net = nn.Sequential(Own(), nn.LayerNorm(8), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))
    x = torch.randn(2, 5, 8)
    zero(net.get_parameter("0.out.weight"), slice(None), [0, 1])
    zero(net.get_parameter("4.weight"), slice(None), [0, 1, 2])

    smaller = compact(net, x)

    assert_same(net, smaller, x)
    assert widths(smaller) == widths(net) | {"0.out": (6, 8), "2": (8, 9), "4": (9, 3)}
    assert {path for path, _ in gate_sites(net, x).units} == {"0.qkv", "4"}


def test_macs_are_those_of_torchs_counter() -> None:
    net, x = made("classifier")
    net = frozen(net, x, lambda _, size: torch.arange(size) % 2 == 0)

    for one in (net, compact(net, x)):
        with FlopCounterMode(display=False) as counter:
            one(x)
        assert 2 * 3 * count(one, x).macs == counter.get_total_flops()


def test_expected_macs_are_those_of_the_compact_network() -> None:
    """Where every gate is open or closed for sure, all heads of a layer included."""
    net, x = made("classifier")
    model = bayesianize(net, gate=L0(1.0), gate_dim=gate_sites(net, x))
    guide = AutoSparse(model)
    for site in guide.laws():
        logits = guide.get_parameter(f"sites.{site}.base__logits")
        with torch.no_grad():
            logits.fill_(20.0)[::2] = -20.0
            logits[: 4 if site.startswith("blocks.0.attention") else 0] = -20.0

    expected = expected_macs(model, guide, x)

    smaller = count(compact(freeze(model, guide), x), x)
    for row in smaller.layers:
        if row.macs:
            assert expected[row.name].item() == pytest.approx(row.macs, rel=1e-3)
    assert torch.stack(list(expected.values())).sum().item() == pytest.approx(
        smaller.macs, rel=1e-3
    )


@pytest.mark.parametrize("name", ["positions first", "vision", "strict"])
def test_saved_and_loaded_into_a_fresh_original(name: str, tmp_path: Path) -> None:
    net, x = made(name)
    smaller = compact(frozen(net, x, lambda _, size: torch.arange(size) % 2 == 0), x)

    save(tmp_path / "net.safetensors", smaller)
    again = load(tmp_path / "net.safetensors", NETWORKS[name][0]().eval())

    assert_same(smaller, again, x)


@pytest.mark.parametrize("name", ["positions first", "characters"])
def test_exported(name: str, tmp_path: Path) -> None:
    net, x = made(name)
    smaller = compact(frozen(net, x, lambda _, size: torch.arange(size) % 2 == 0), x)

    torch.export.save(torch.export.export(smaller, (x,)), tmp_path / "net.pt2")

    assert_same(smaller, torch.export.load(tmp_path / "net.pt2").module(), x)


def test_onnx_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="install pyro-sparse[export]")
    runtime = pytest.importorskip("onnxruntime", reason="install pyro-sparse[export]")
    net, x = made("characters")
    smaller = compact(frozen(net, x, lambda _, size: torch.arange(size) % 2 == 0), x)

    torch.onnx.export(smaller, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})

    torch.testing.assert_close(torch.tensor(found), smaller(x), rtol=1e-4, atol=1e-5)
