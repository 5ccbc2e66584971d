"""A network as a graph of operations, with what each of them returned on an example."""

__all__ = ["Trace", "argument", "plain_copy", "trace"]

import copy
import inspect
import operator
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Size, Tensor, fx, nn
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_map

from pyro_sparse.graph.attend import Attend
from pyro_sparse.graph.exported import exported
from pyro_sparse.graph.modes import with_modes
from pyro_sparse.graph.transformers import followed
from pyro_sparse.graph.vocabulary import argument, name_of, writes_in_place


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
        """What a node does; see `name_of`."""
        return name_of(node, self.root)

    def in_place(self, node: fx.Node) -> bool:
        """Whether a node writes into its first argument."""
        return writes_in_place(node, self.root)

    def exclusive(self, path: str) -> bool:
        """Whether one place only uses this parameter, so that it may be cut."""
        return self.owners.get(path, 0) == 1

    def run(self, node: fx.Node, inputs: dict[fx.Node, Tensor]) -> Any:
        """Repeats one operation on other tensors, in the precision it has in the network."""

        def value(argument: fx.Node) -> Any:
            if argument not in inputs:
                return self.results[argument]

            tensor, dtype = inputs[argument], self.results[argument].dtype
            return tensor.to(dtype, copy=True) if tensor.is_floating_point() else tensor.clone()

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

    By `torch.fx`, which keeps modules together. Where that fails because the code asks for
    shapes, by `torch.export`, which follows them but takes all layers apart; the graph then
    refuses inputs of sizes for which the code would do something else. Norms and dropouts follow
    the mode they are in. Arguments that are left out and are None by default stay None.

    References:
        torch.fx: Practical Program Capture and Transformation for Deep Learning in Python (Reed,
        DeVito, He, Ussery, Ansel, 2022), https://arxiv.org/abs/2112.08429

    Args:
        net: any network whose control flow does not depend on values.
        example_input: a batch, or a tuple of the arguments of `net`.
    """
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    root = plain_copy(net)
    followed(root)

    try:
        found = Trace(root, _symbolically(root, _left_out(root, len(inputs))))
    except Exception as symbolic:
        module = exported(root, inputs, symbolic)
        found = Trace(module, module.graph)

    with_modes(found.graph, found.root, root)
    _forget_results_nobody_reads(found.graph)
    recorder = _Recorder(found.root, found.graph)
    with torch.no_grad():
        recorder.run(*inputs)

    found.results = recorder.results
    found.owners = _owners(found)
    return found


def _symbolically(root: nn.Module, left_out: set[str]) -> fx.Graph:
    try:
        return _Tracer(left_out).trace(root)
    except Exception:
        # A buffer that is cut to the length of the input must be symbolic, too.
        return _Tracer(left_out, buffers=True).trace(root)


class _Tracer(fx.Tracer):
    """Keeps torch's modules and attention together, and leaves arguments out.

    Args:
        left_out: names of the arguments that are None.
        buffers: whether buffers are symbolic, so that code may not branch on their values.
    """

    def __init__(self, left_out: Collection[str] = (), buffers: bool = False) -> None:
        super().__init__()
        self.left_out = left_out
        self.proxy_buffer_attributes = buffers

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Attend) or super().is_leaf_module(m, module_qualified_name)

    def create_proxy(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> Any:
        if kind == "placeholder" and target in self.left_out:
            return None

        return super().create_proxy(kind, target, *args, **kwargs)


def _forget_results_nobody_reads(graph: fx.Graph) -> None:
    """Whoever takes one of two results has not asked for the other."""
    for node in reversed(graph.find_nodes(op="call_function", target=operator.getitem)):
        if not node.users:
            graph.erase_node(node)


def _left_out(root: nn.Module, given: int) -> set[str]:
    """Arguments that may only be None on this example."""
    takes = list(inspect.signature(root.forward).parameters.values())
    return {parameter.name for parameter in takes[given:] if parameter.default is None}


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


def plain_copy(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose parametrized weights are ordinary ones."""
    root = copy.deepcopy(net).eval()

    for module in list(root.modules()):
        if parametrize.is_parametrized(module):
            _compute_parametrized(module)

    return root


def _compute_parametrized(module: nn.Module) -> None:
    # Torch's own removal edits the class, which the copy shares with the original.
    values = {name: getattr(module, name).detach() for name in module.parametrizations}  # type: ignore[union-attr]
    plain = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    module.__class__ = plain

    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


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
