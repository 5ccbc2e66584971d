import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from models.lenet import lenet5, mlp
from models.resnet import resnet20
from pyro_sparse.nn.folding import make_affine
from pyro_sparse.prune import compact, count, storage
from pyro_sparse.prune.storage import load, save
from pyro_sparse.prune.surgery import CompactModule
from tests.common import ROOT
from tests.prune.nets import FAMILIES, Asking, assert_same, sprinkle, zero


def small_lenet() -> CompactModule:
    net = lenet5((8, 10, 30))
    zero(net.get_parameter("conv2.weight"), slice(3, None))
    zero(net.get_parameter("fc1.weight"), slice(None), slice(20, 48, 3))
    zero(net.get_parameter("fc1.weight"), slice(9, None))
    return compact(net, torch.randn(2, 1, 28, 28))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.safetensors"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_original_becomes_what_was_saved(family: str, path: Path) -> None:
    kind = FAMILIES[family]
    smaller = compact(sprinkle(kind.build().eval(), seed=1), kind.inputs(), allow_empty=True)

    save(path, smaller)
    again = load(path, kind.build().eval())

    assert again.plan == smaller.plan
    assert str(again) == str(smaller)
    assert again.state_dict().keys() == smaller.state_dict().keys()
    assert_same(smaller, again, kind.inputs())


def test_dead_branches_and_constants(path: Path) -> None:
    net = resnet20(width=4).eval()
    zero(net.get_parameter("stage1.1.bn2.weight"))
    zero(net.get_parameter("stage2.1.bn2.weight"))
    zero(net.get_parameter("stage2.1.bn2.bias"))
    nn.init.normal_(net.get_parameter("stage1.1.bn2.bias"))
    x = torch.randn(2, 3, 16, 16)
    smaller = compact(net, x)
    assert smaller.plan.constants and smaller.plan.aliases

    save(path, smaller)

    assert_same(net, load(path, resnet20(width=4)).eval(), x)


def test_a_trained_compact_network_can_be_saved(path: Path) -> None:
    smaller = small_lenet()
    with torch.no_grad():
        for parameter in smaller.parameters():
            parameter.add_(torch.randn_like(parameter))

    save(path, smaller)

    assert_same(smaller, load(path, lenet5((8, 10, 30)).eval()), torch.randn(2, 1, 28, 28))


def test_precision_and_mode_are_those_of_the_fresh_original(path: Path) -> None:
    save(path, small_lenet())

    again = load(path, lenet5((8, 10, 30)).double().eval())

    assert {p.dtype for p in again.parameters()} == {torch.double}
    assert not any(module.training for module in again.modules())


def test_a_network_that_was_exported(path: Path) -> None:
    net = Asking().eval()
    zero(net.fc.weight, [0, 1])
    smaller = compact(net, torch.randn(2, 2, 8, 8))

    save(path, smaller)

    assert_same(net, load(path, Asking().eval()), torch.randn(3, 2, 8, 8))


def test_tied_parameters_are_stored_once_and_stay_tied(path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
            self.second.weight = self.first.weight
            self.last = nn.Linear(64, 9)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.second(self.first(x)))

    net = Tied()
    zero(net.last.weight, slice(None), [1])
    save(path, compact(net, torch.randn(2, 64)))

    again = load(path, Tied())

    assert again.get_parameter("first.weight") is again.get_parameter("second.weight")
    assert path.stat().st_size < 1.5 * 4 * (64 * 64 + 64 * 9 + 4 * 64)


def test_what_gates_untied_stays_apart(path: Path) -> None:
    class Language(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.out = nn.Embedding(7, 6), nn.Linear(6, 7)
            self.out.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(self.embed(x).tanh())

    net = Language()
    net.out.weight = nn.Parameter(net.embed.weight.detach().clone())
    net.out.weight.data[:, 1:] *= torch.rand(5)
    x = torch.randint(7, (2, 3))
    save(path, compact(net, x))

    assert_same(net, load(path, Language()).eval(), x)


def test_norms_that_got_a_weight_for_their_gate(path: Path) -> None:
    def build() -> nn.Sequential:
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, affine=False), nn.Linear(4, 2))

    net = build().eval()
    make_affine(net[1])
    zero(net[1].weight, [0])
    x = torch.randn(2, 3)
    save(path, compact(net, x))

    assert_same(net, load(path, build()).eval(), x)


class Together(nn.Module):
    """Its inputs come in containers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.last = nn.Linear(4, 6), nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, given: dict[str, list[torch.Tensor]]) -> torch.Tensor:
        first, second = given["u"][0], given["u"][1]
        return self.last((self.a(first) + self.b(second)).relu())


def test_inputs_in_containers(path: Path) -> None:
    net = Together().eval()
    zero(net.last.weight, slice(None), [0])
    x = ({"u": [torch.randn(2, 4), torch.randn(2, 4)]},)
    smaller = compact(net, x)
    assert smaller.get_parameter("a.weight").shape == (5, 4)

    save(path, smaller)

    assert_same(net, load(path, Together()).eval(), x)
    assert count(smaller, x).macs == 50


def test_arguments_that_cannot_be_written_down(path: Path) -> None:
    class Chosen(nn.Linear):
        def forward(self, input: torch.Tensor, how: object = None) -> torch.Tensor:
            return super().forward(input)

    smaller = compact(Chosen(3, 2), (torch.randn(2, 3), object()))

    with pytest.raises(TypeError, match=r"what the network is called with.*Compact the network"):
        save(path, smaller)


def test_the_file_shrinks_with_the_network(path: Path) -> None:
    net = mlp(784, 300, 100, 10)
    save(path, compact(net, torch.randn(2, 784)))
    before = path.stat().st_size

    for name in ("fc1", "fc2"):
        zero(net.get_parameter(f"{name}.weight"), slice(30, None))
    save(path, compact(net, torch.randn(2, 784)))

    assert path.stat().st_size < 0.15 * before
    # Nothing but safetensors and JSON: no pickled code.
    header = json.loads(path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")])
    assert set(header["__metadata__"]) == {"format", "version", "compact"}


def damaged(change: Callable[[bytes], bytes]) -> Callable[[Path], int]:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def of_version_9(path: Path) -> None:
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + size])["__metadata__"] | {"version": "9"}
    path.write_bytes(safetensors.torch.save(safetensors.torch.load(content), metadata))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damaged(lambda content: content[:-10]), "is damaged or no safetensors file"),
        (damaged(lambda content: content[:100]), "is damaged or no safetensors file"),
        (damaged(lambda content: b""), "is damaged or no safetensors file"),
        (damaged(lambda content: content[:-1] + b"\x55"), "its numbers are not those that were"),
        (of_version_9, "version 9 of the format, and this pyro_sparse reads up to 1: install"),
        (
            lambda path: safetensors.torch.save_file({"x": torch.ones(2)}, path),
            "was not written by pyro_sparse.prune.save",
        ),
    ],
)
def test_damaged_and_foreign_files(path: Path, damage: Callable, message: str) -> None:
    save(path, small_lenet())
    damage(path)

    with pytest.raises(ValueError, match=message):
        load(path, lenet5((8, 10, 30)))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lenet5((8, 10, 31)),
            r"Sequential: fc1.weight had shape \[30, 160\], here .* \[31, 160\]",
        ),
        (nn.Sequential(lenet5((8, 10, 30))), r"conv1.weight had shape .*, here it has None"),
    ],
)
def test_another_original(path: Path, other: nn.Module, message: str) -> None:
    save(path, small_lenet())

    with pytest.raises(ValueError, match=message):
        load(path, other)


def test_an_original_with_more_layers(path: Path) -> None:
    save(path, small_lenet())
    other = lenet5((8, 10, 30))
    other.append(nn.Linear(10, 10))

    with pytest.raises(ValueError, match=r"10.weight had shape None, here it has \[10, 10\]"):
        load(path, other)


def test_an_interrupted_save_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, small_lenet())
    before = path.read_bytes()

    def fail(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save(path, small_lenet())

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_only_compact_networks_are_saved(path: Path) -> None:
    with pytest.raises(TypeError, match=r"writes what `compact` returns, but got Sequential"):
        save(path, lenet5())  # type: ignore[arg-type]


def test_without_safetensors(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)

    with pytest.raises(ImportError, match=r"pip install 'pyro-sparse\[export\]'"):
        save(path, small_lenet())


def test_the_digest_sees_names_and_numbers() -> None:
    tensors = {"a": torch.tensor(1), "b": torch.ones(2)}
    changed = [tensors | {"b": torch.ones(2).nextafter(torch.tensor(2.0))}, {"a": tensors["a"]}]

    assert storage._digest(tensors) == storage._digest(dict(reversed(tensors.items())))
    assert all(storage._digest(other) != storage._digest(tensors) for other in changed)


READ = """
import sys
import torch
from models.lenet import lenet5
from pyro_sparse.prune import load

folder = sys.argv[1]
x = torch.load(f"{folder}/x.pt")
torch.save(
    {
        "safetensors": load(f"{folder}/net.safetensors", lenet5((8, 10, 30)).eval())(x),
        "pt2": torch.export.load(f"{folder}/net.pt2").module()(x),
    },
    f"{folder}/y.pt",
)
"""


@pytest.mark.slow
def test_a_fresh_process_reads_the_same_numbers(path: Path) -> None:
    smaller = small_lenet().eval()
    x = torch.randn(5, 1, 28, 28)
    torch.save(x, path.parent / "x.pt")
    save(path, smaller)
    batch = {0: torch.export.Dim.AUTO}
    program = torch.export.export(smaller, (x,), dynamic_shapes=(batch,))
    torch.export.save(program, path.parent / "net.pt2")

    subprocess.run([sys.executable, "-c", READ, str(path.parent)], check=True, cwd=ROOT)

    for outputs in torch.load(path.parent / "y.pt").values():
        torch.testing.assert_close(outputs, smaller(x))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_onnx_gives_the_same_numbers(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="install pyro-sparse[export]")
    runtime = pytest.importorskip("onnxruntime", reason="install pyro-sparse[export]")
    smaller = small_lenet().eval()
    x = torch.randn(5, 1, 28, 28)

    torch.onnx.export(smaller, (x,), tmp_path / "net.onnx", dynamo=True, verbose=False)
    session = runtime.InferenceSession(tmp_path / "net.onnx")
    (outputs,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})

    torch.testing.assert_close(torch.from_numpy(outputs), smaller(x), rtol=1e-4, atol=1e-5)
