"""A network as a graph of operations, with what each of them returned on an example."""

__all__ = ["Trace", "trace"]

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Size, Tensor, fx, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_map

IN_PLACE = {getattr(operator, f"i{name}"): name for name in ("add", "sub", "mul", "truediv")}

MODULES: dict[type[nn.Module], str] = {
    nn.Identity: "identity",
    nn.Flatten: "flatten",
    nn.Embedding: "embedding",
    nn.PReLU: "prelu",
    nn.Linear: "linear",
    nn.Bilinear: "bilinear",
    nn.Conv1d: "conv",
    nn.Conv2d: "conv",
    nn.Conv3d: "conv",
    nn.ConvTranspose1d: "conv_transpose",
    nn.ConvTranspose2d: "conv_transpose",
    nn.ConvTranspose3d: "conv_transpose",
    nn.BatchNorm1d: "batch_norm",
    nn.BatchNorm2d: "batch_norm",
    nn.BatchNorm3d: "batch_norm",
}

POINTWISE_MODULES = (
    nn.CELU, nn.ELU, nn.GELU, nn.Hardshrink, nn.Hardsigmoid, nn.Hardswish, nn.Hardtanh,
    nn.LeakyReLU, nn.LogSigmoid, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid,
    nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Threshold,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip

SPATIAL_MODULES = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d, nn.Upsample,
)  # fmt: skip


@dataclass
class Trace:
    """A copy of a network, its graph, and the results of every node on the example.

    Attributes:
        root: the copy, in evaluation mode.
        graph: its operations in order; targets are paths in `root`.
        results: what each node returned; tensors are replaced by `meta` tensors of their shape.
        owners: how many places use each parameter or buffer, by path.
    """

    root: nn.Module
    graph: fx.Graph
    results: dict[fx.Node, Any] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)

    def shape(self, node: fx.Node) -> Size:
        return self.results[node].shape

    def is_tensor(self, node: Any) -> bool:
        return isinstance(node, fx.Node) and isinstance(self.results.get(node), Tensor)

    def tensors(self, node: fx.Node) -> list[fx.Node]:
        """The arguments of a node that are tensors, each once."""
        return [source for source in node.all_input_nodes if self.is_tensor(source)]

    def module(self, node: fx.Node) -> nn.Module:
        return self.root.get_submodule(str(node.target))

    def tensor(self, path: str) -> Tensor:
        """The parameter or buffer of that path."""
        owner, _, name = path.rpartition(".")
        return getattr(self.root.get_submodule(owner), name).detach()

    def name(self, node: fx.Node) -> str:
        """What a node does, by one name for its module, function, method and aten forms.

        Modules and functions that torch does not own have the name "".
        """
        if node.op == "call_module":
            return _module_name(self.module(node))
        if node.op == "call_method":
            return str(node.target).removesuffix("_")
        if node.op == "call_function":
            return _function_name(node.target)

        return ""

    def in_place(self, node: fx.Node) -> bool:
        """Whether a node writes into its first argument."""
        if node.op == "call_module":
            return bool(getattr(self.module(node), "inplace", False))

        target = node.target if isinstance(node.target, str) else _bare_name(node.target)
        method = target.endswith("_") and not target.endswith("__")
        assigns = node.target in IN_PLACE or node.target is operator.setitem
        return method or assigns or bool(node.kwargs.get("inplace"))

    def exclusive(self, path: str) -> bool:
        """Whether one place only uses this parameter, so that it may be cut."""
        return self.owners.get(path, 0) == 1

    def run(self, node: fx.Node, inputs: dict[fx.Node, Tensor]) -> Any:
        """Repeats one operation on other tensors."""

        def value(argument: fx.Node) -> Any:
            if argument in inputs:
                return inputs[argument].clone()
            return self.results[argument]

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)

        with torch.no_grad():
            if node.op == "call_module":
                return self.module(node)(*args, **kwargs)
            if node.op == "call_method":
                return getattr(args[0], str(node.target))(*args[1:], **kwargs)

            function: Callable[..., Any] = node.target  # type: ignore[assignment]
            return function(*args, **kwargs)


def trace(net: nn.Module, example_input: Tensor | tuple[Any, ...]) -> Trace:
    """Records the operations of a network on an example.

    Args:
        net: any network whose control flow does not depend on values.
        example_input: a batch, or a tuple of the arguments of `net`.
    """
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    root = _plain_copy(net)

    try:
        graph = fx.Tracer().trace(root)
    except Exception as error:
        raise ValueError(
            f"{type(net).__name__} cannot be traced: {error}. Its forward method must not branch "
            "on the values of tensors; move such branches outside the network."
        ) from error

    found = Trace(root, graph)
    recorder = _Recorder(root, graph)
    with torch.no_grad():
        recorder.run(*inputs)

    found.results = recorder.results
    found.owners = _owners(found)
    return found


class _Recorder(fx.Interpreter):
    """Runs a graph and remembers the shape of every result."""

    def __init__(self, root: nn.Module, graph: fx.Graph) -> None:
        super().__init__(root, garbage_collect_values=True, graph=graph)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.results[n] = tree_map(_shape_of, result)
        return result


def _shape_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.empty(value.shape, dtype=value.dtype, device="meta")

    return value


def _plain_copy(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parametrized weights are ordinary ones."""
    root = copy.deepcopy(net).eval()

    for module in list(root.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)

    return root


def _owners(found: Trace) -> dict[str, int]:
    """Number of uses of each parameter and buffer, those under another path included."""
    uses: dict[int, int] = {}
    paths: dict[str, int] = {}

    for node in found.graph.nodes:
        if node.op == "get_attr":
            used = [str(node.target)]
            count = len(node.users)
        elif node.op == "call_module":
            used = _paths(str(node.target), found.module(node))
            count = 1
        else:
            continue

        for path in used:
            paths[path] = id(_original(found.root, path))
            uses[paths[path]] = uses.get(paths[path], 0) + count

    return {path: uses[key] for path, key in paths.items()}


def _paths(prefix: str, module: nn.Module) -> list[str]:
    """Paths of all parameters and buffers inside a module."""
    named = [*module.named_parameters(), *module.named_buffers()]
    return [f"{prefix}.{name}" for name, _ in named]


def _original(root: nn.Module, path: str) -> object:
    owner, _, name = path.rpartition(".")
    return getattr(root.get_submodule(owner), name)


def _module_name(module: nn.Module) -> str:
    # A hook may do anything to the inputs, the outputs or the weights.
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return ""
    if type(module) in POINTWISE_MODULES:
        return "pointwise"
    if type(module) in SPATIAL_MODULES:
        return "spatial"

    return MODULES.get(type(module), "")


def _function_name(function: Any) -> str:
    if function in IN_PLACE:
        return IN_PLACE[function]

    module = getattr(function, "__module__", None) or type(function).__module__
    known = module.split(".")[0] in {"torch", "_operator", "operator"}
    return _bare_name(function).removesuffix("_") if known else ""


def _bare_name(function: Any) -> str:
    schema = getattr(function, "_schema", None)
    if schema is not None:
        return str(schema.name).split("::")[-1]

    return getattr(function, "__name__", "")
