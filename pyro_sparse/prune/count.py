"""Parameters, non-zeros and multiply-adds of a network, layer by layer."""

__all__ = ["Count", "LayerCount", "count"]

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pyro_sparse.prune.evaluation import evaluating


@dataclass(frozen=True)
class LayerCount:
    """What one module costs by itself, its submodules not included.

    Attributes:
        name: module path, `""` for the network itself.
        kind: class of the module.
        units: maps a convolution produces or inputs any other layer reads, as papers write
            architectures; None where the module has no such number.
        parameters: entries of its parameters, biases and norms included.
        weights: entries of its parameters of two or more dimensions: no biases, no norms.
        nonzeros: entries of its parameters that are not 0.
        macs: multiply-adds for one example.
        nonzero_macs: the share of `macs` that meets a weight other than 0.
    """

    name: str
    kind: str
    units: int | None
    parameters: int
    weights: int
    nonzeros: int
    macs: int
    nonzero_macs: int


@dataclass(frozen=True)
class Count:
    """Layers of a network with their costs; the attributes are the totals, printing is a table.

    Attributes:
        layers: one row for each layer with parameters or products, in order.
    """

    layers: tuple[LayerCount, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def nonzero_macs(self) -> int:
        return sum(layer.nonzero_macs for layer in self.layers)

    @property
    def architecture(self) -> str:
        """The `units` of all layers, such as 784-300-100 or 20-50-800-500."""
        return "-".join(str(layer.units) for layer in self.layers if layer.units is not None)

    def __getitem__(self, name: str) -> LayerCount:
        found = [layer for layer in self.layers if layer.name == name]

        if not found:
            names = ", ".join(layer.name for layer in self.layers)
            raise KeyError(f"no layer is called {name!r}; there are {names}")

        return found[0]

    def __str__(self) -> str:
        heads = ("layer", "kind", "parameters", "non-zeros", "MACs", "non-zero MACs")
        total = LayerCount("total", "", None, *self._totals())
        return _aligned([heads, *(_cells(layer) for layer in (*self.layers, total))])

    def _totals(self) -> tuple[int, int, int, int, int]:
        return self.parameters, self.weights, self.nonzeros, self.macs, self.nonzero_macs


def count(net: nn.Module, example_input: Tensor | tuple[Any, ...]) -> Count:
    """Counts parameters, non-zeros and multiply-adds, layer by layer.

    Conventions: a parameter shared by several modules counts once, buffers (running statistics,
    gather indices) do not count. One MAC is one multiplication with its addition in a matrix
    product, convolution or attention, the additions of biases left out, zero padding not: this
    is half of what `torch.utils.flop_counter` says, which leaves out sparse layouts; there one
    MAC is one stored number. Activations, norms, pooling and gathers are
    free. MACs are those of one example: the network runs once on `example_input`, in evaluation
    mode, and the sum is divided by the size of the first dimension.

    Papers that count weights only are `Count.weights`; papers that count biases as operations,
    or an addition as a second operation, print larger numbers.

    Args:
        net: any network.
        example_input: a batch, `(batch, ...)`, or a tuple of the arguments of `net`.

    Returns:
        A `Count` with `.parameters`, `.nonzeros`, `.macs` and one row for each layer.

    Example:
        >>> from torch import nn
        >>> print(count(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.zeros(2, 4)))
        layer  kind    parameters  non-zeros  MACs  non-zero MACs
        0      Linear          15         15    12             12
        total                  15         15    12             12
    """
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    sizes = [x.shape[0] for x in tree_leaves(inputs) if isinstance(x, Tensor) and x.dim()]
    if not sizes:
        raise ValueError(
            "count needs an example with a tensor that has a batch dimension, and got "
            f"{len(inputs)} arguments without one."
        )

    sparse = {torch.ops.aten._sparse_addmm: _sparse_flops}
    with evaluating(net), FlopCounterMode(display=False, custom_mapping=sparse) as counter:
        net(*inputs)

    macs = _own_macs(net, counter)
    seen: set[int] = set()
    layers = [
        _layer(name, m, macs.get(name, 0) // sizes[0], seen) for name, m in net.named_modules()
    ]
    return Count(tuple(layer for layer in layers if layer.parameters or layer.macs))


def _sparse_flops(_: Tensor, sparse: Tensor, dense: Tensor, **__: Any) -> int:
    """A product with a sparse matrix costs what the matrix stores; torch counts nothing."""
    return 2 * sparse.values().numel() * dense.shape[1]


# Torch's mark for a formula that is given tensors, not their shapes.
_sparse_flops._get_raw = True  # type: ignore[attr-defined]


def _own_macs(net: nn.Module, counter: FlopCounterMode) -> dict[str, int]:
    """Multiply-adds of each module without those of its submodules."""
    flops = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    root = type(net).__name__
    whole = {"": flops.get("Global", 0)}
    whole |= {name.removeprefix(f"{root}."): n for name, n in flops.items() if name != root}
    whole.pop("Global", None)

    own = dict(whole)
    for name in whole:
        if name:
            parents = [p for p in whole if p != name and (not p or name.startswith(f"{p}."))]
            own[max(parents, key=len)] -= whole[name]

    return {name: flops // 2 for name, flops in own.items()}


def _layer(name: str, module: nn.Module, macs: int, seen: set[int]) -> LayerCount:
    own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
    seen.update(id(p) for p in own)

    weight = getattr(module, "weight", None)
    density = 1.0
    if isinstance(weight, Tensor) and weight.dim() > 1 and weight.layout == torch.strided:
        density = _nonzeros(weight) / max(weight.numel(), 1)

    return LayerCount(
        name,
        type(module).__name__,
        _units(module),
        parameters=sum(p.numel() for p in own),
        weights=sum(p.numel() for p in own if p.dim() > 1),
        nonzeros=sum(_nonzeros(p) for p in own),
        macs=macs,
        nonzero_macs=round(macs * density),
    )


def _nonzeros(tensor: Tensor) -> int:
    stored = tensor if tensor.layout == torch.strided else tensor.values()
    return int(torch.count_nonzero(stored))


def _units(module: nn.Module) -> int | None:
    out_channels = getattr(module, "out_channels", None)
    return getattr(module, "in_features", None) if out_channels is None else out_channels


def _cells(layer: LayerCount) -> tuple[str, ...]:
    numbers = (layer.parameters, layer.nonzeros, layer.macs, layer.nonzero_macs)
    return layer.name, layer.kind, *(f"{number:,}" for number in numbers)


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    aligned = [[c.rjust(w) for c, w in zip(row, widths, strict=True)] for row in rows]

    for cells, row in zip(aligned, rows, strict=True):
        cells[:2] = [c.ljust(w) for c, w in zip(row[:2], widths[:2], strict=True)]

    return "\n".join("  ".join(cells).rstrip() for cells in aligned)
