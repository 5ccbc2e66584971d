"""Compact networks on disk: numbers and a plan, never code."""

__all__ = ["load", "save"]

import copy
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.trace import plain_copy, trace
from pyro_sparse.nn.folding import make_affine
from pyro_sparse.nn.torch_attention import with_attention
from pyro_sparse.prune.arguments import argument_like
from pyro_sparse.prune.surgery import CompactModule, operate

FORMAT = "pyro_sparse compact network"
VERSION = 1


def save(path: str | os.PathLike[str], net: CompactModule) -> None:
    """Writes a compact network to a safetensors file whose header holds its plan as JSON.

    The file is as small as the network. It is written aside and then renamed, so that whoever
    reads the path finds the old file or the new one. Training the network on before saving is
    fine; changing its layers is not. For a file that needs no original to be read, export the
    network: `torch.export.save(torch.export.export(net, (x,)), path)`, or `torch.onnx.export`.

    Args:
        path: the file, usually `*.safetensors`; an existing one is replaced.
        net: what `compact` returned.
    """
    if not isinstance(net, CompactModule):
        raise TypeError(
            f"save writes what `compact` returns, but got {type(net).__name__}. Save the "
            "state_dict of an ordinary network instead."
        )

    safetensors = _safetensors()
    tensors, same = _distinct(net.state_dict())
    header = {
        "plan": net.plan.to_dict(),
        "name": net.meta["name"],
        "example": net.meta["example"],
        "shapes": net.meta["shapes"],
        "same": same,
        "sha256": _digest(tensors),
    }
    metadata = {"format": FORMAT, "version": str(VERSION), "compact": _json(header)}
    _write(Path(path), safetensors.save(tensors, metadata))


def load(path: str | os.PathLike[str], net: nn.Module) -> CompactModule:
    """Reads a compact network back, given a fresh original.

    Args:
        path: a file that `save` wrote.
        net: a network of the class and sizes that went into `freeze`; its values do not matter
            and it is not changed. Precision and device of the result are its own.

    Returns:
        The compact network, in the training mode of `net`.
    """
    header, tensors = _read(Path(path))
    tensors |= {name: tensors[other] for name, other in header["same"].items()}

    net = with_attention(copy.deepcopy(net))
    _with_affine_norms(net, header["shapes"])
    _require_original(path, plain_copy(net), header["shapes"])
    like = next(p for p in net.parameters() if p.is_floating_point())
    tensors = {name: _like(tensor, like) for name, tensor in tensors.items()}
    traced = trace(net, tuple(argument_like(each, like) for each in header["example"]))

    plan = Plan.from_dict(header["plan"])
    known = plan.cuts.keys() | (tensors.keys() - header["shapes"].keys())
    # What the original ties may have been untied by gates.
    tied = _distinct(traced.root.state_dict())[1]
    known |= {name for name, other in tied.items() if header["same"].get(name) != other}
    made = {name: tensors[name] for name in known & tensors.keys() if not _is_gather(name)}
    compact = operate(traced, plan, made, header["name"])
    compact.meta |= {"example": header["example"], "shapes": header["shapes"]}
    compact.load_state_dict(tensors)
    return compact.train(net.training)


def _with_affine_norms(net: nn.Module, shapes: dict[str, list[int]]) -> None:
    """Gives norms the weights that they needed for their gates."""
    for name, module in net.named_modules():
        if isinstance(module, _BatchNorm) and f"{name}.weight".lstrip(".") in shapes:
            make_affine(module)


def _is_gather(name: str) -> bool:
    return name.endswith("_inputs.index")


def _distinct(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor once, and for the names of shared ones the name they are stored under."""
    names: dict[tuple[int, tuple[int, ...]], str] = {}
    tensors, same = {}, {}

    for name, tensor in state.items():
        first = names.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
        if first == name or not tensor.numel():
            tensors[name] = tensor.detach().contiguous()
        else:
            same[name] = first

    return tensors, same


def _json(header: dict[str, Any]) -> str:
    try:
        return json.dumps(header)
    except TypeError as error:
        raise TypeError(
            "save writes down what the network is called with, which is tensors, numbers, text, "
            f"and lists, tuples and dictionaries of them: {error}. Compact the network on such "
            "an example."
        ) from error


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].cpu().flatten().view(torch.uint8).numpy().tobytes())

    return digest.hexdigest()


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as aside:
        try:
            aside.write(content)
            aside.flush()
            os.fsync(aside.fileno())
            os.replace(aside.name, path)
        except BaseException:
            os.unlink(aside.name)
            raise


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a file, checked."""
    safetensors = _safetensors()
    content = path.read_bytes()

    try:
        tensors = safetensors.load(content)
        size = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__", {})
    except Exception as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error

    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} holds tensors, but was not written by pyro_sparse.prune.save")
    if int(metadata["version"]) > VERSION:
        raise ValueError(
            f"{path} has version {metadata['version']} of the format, and this pyro_sparse reads "
            f"up to {VERSION}: install a newer one"
        )

    header = json.loads(metadata["compact"])
    if _digest(tensors) != header["sha256"]:
        raise ValueError(f"{path} is damaged: its numbers are not those that were written")

    return header, tensors


def _require_original(path: object, net: nn.Module, shapes: dict[str, list[int]]) -> None:
    found = {name: list(tensor.shape) for name, tensor in net.state_dict().items()}
    wrong = [name for name in shapes if found.get(name) != shapes[name]]
    wrong += [name for name in found if name not in shapes]

    if wrong:
        name = wrong[0]
        raise ValueError(
            f"{path} was made from another network than this {type(net).__name__}: {name} had "
            f"shape {shapes.get(name)}, here it has {found.get(name)}. Give load a fresh original."
        )


def _like(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like if tensor.is_floating_point() else like.device)


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise ImportError(
            "save and load need safetensors: pip install 'pyro-sparse[export]'"
        ) from error

    return safetensors.torch
