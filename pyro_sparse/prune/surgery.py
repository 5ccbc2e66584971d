"""Applying a plan to a traced network."""

__all__ = ["CompactModule", "Gather", "operate"]

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.rules.rearrange import sizes_given
from pyro_sparse.graph.trace import Trace, argument
from pyro_sparse.graph.vocabulary import IN_PLACE


class Gather(nn.Module):
    """Picks entries along one axis: the inputs that the layer behind it reads.

    Args:
        axis: the axis, negative.
        index: positions along it, `(n,)`.
    """

    index: Tensor

    def __init__(self, axis: int, index: Tensor) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("index", index)

    def extra_repr(self) -> str:
        return f"{len(self.index)} along axis {self.axis}"

    def forward(self, input: Tensor) -> Tensor:
        return input.index_select(self.axis, self.index)


class CompactModule(fx.GraphModule):
    """A compact network: an ordinary module whose layers have the names they had.

    Attributes:
        plan: what was done to the original.
    """

    @property
    def plan(self) -> Plan:
        return self.meta["plan"]

    def _get_name(self) -> str:
        return self.meta.get("name", type(self).__name__)

    def __str__(self) -> str:
        # Without the generated code that torch.fx prints.
        return nn.Module.__repr__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # torch.fx unpickles a plain GraphModule, which has no plan.
        return _unpickled, (*super().__reduce__(), self.meta)


def _unpickled(
    rebuild: Callable[..., fx.GraphModule], arguments: tuple[Any, ...], meta: dict[str, Any]
) -> CompactModule:
    plain = rebuild(*arguments)
    compact = CompactModule(plain, plain.graph)
    compact.meta |= meta
    return compact


def operate(trace: Trace, plan: Plan, values: dict[str, Tensor], name: str) -> CompactModule:
    """Builds the compact network; consumes the trace.

    Args:
        trace: the original, or one with the same operations.
        plan: what to do, in terms of the operations of `trace`.
        values: new values of parameters and buffers by path, constants under their own names.
        name: class name to print.
    """
    for path, value in values.items():
        _assign(trace.root, path, value)
    for path, sizes in plan.sizes.items():
        for attribute, size in sizes.items():
            setattr(trace.root.get_submodule(path), attribute, size)

    _edit(trace, plan)
    compact = CompactModule(trace.root, trace.graph)
    compact.meta |= {"plan": plan, "name": name}
    return compact


def _edit(trace: Trace, plan: Plan) -> None:
    """Rewires the graph and erases what nothing depends on any more."""
    nodes = _Nodes(trace.graph)
    unused = {node for node in trace.graph.nodes if not node.users}

    if plan.aliases or plan.constants:
        _write_nothing_in_place(trace)
    for name, (axis, index) in plan.gathers.items():
        _gather(trace, nodes[name], axis, index)
    for name, sizes in plan.reshapes.items():
        _reshape(trace, nodes[name], sizes)
    for name, amounts in plan.paddings.items():
        _set_argument(nodes[name], 1, "pad", amounts)
    for name, positions in plan.operands.items():
        _keep_operands(nodes[name], positions)
    for name, position in plan.constants.items():
        _set_constant(trace, nodes[name], position)
    for name, position in plan.aliases.items():
        nodes[name].replace_all_uses_with(nodes[name].args[position])  # type: ignore[arg-type]

    _copy_where_needed(trace)
    for node in reversed(trace.graph.nodes):
        if not node.users and node not in unused:
            trace.graph.erase_node(node)


class _Nodes(dict[str, fx.Node]):
    """Nodes by name."""

    def __init__(self, graph: fx.Graph) -> None:
        super().__init__({node.name: node for node in graph.nodes})

    def __missing__(self, name: str) -> fx.Node:
        raise ValueError(
            f"the plan speaks of an operation {name!r} that this network does not have; it was "
            "made for another network, or traced by another version of torch"
        )


def _write_nothing_in_place(trace: Trace) -> None:
    """An operation that wrote into a branch of its own may now write into a shared tensor."""
    for node in trace.graph.nodes:
        if not (trace.in_place(node) and len(node.args[0].users) == 1):
            continue

        if node.op == "call_module":
            trace.module(node).inplace = False  # type: ignore[assignment]
        elif "inplace" in node.kwargs:
            node.update_kwarg("inplace", False)
        elif node.target in IN_PLACE:
            node.target = getattr(operator, IN_PLACE[node.target])
        elif isinstance(node.target, str) and hasattr(torch.Tensor, name := node.target[:-1]):
            node.target = name


def _copy_where_needed(trace: Trace) -> None:
    """A convolution of other sizes may lay out its result in an order that allows no view."""
    for node in trace.graph.nodes:
        if node.target == "view" and not isinstance(argument(node, 1, "dtype"), torch.dtype):
            node.target = "reshape"
            if "size" in node.kwargs:
                node.kwargs = {"shape": node.kwargs["size"]}


def _gather(trace: Trace, node: fx.Node, axis: int, index: list[int]) -> None:
    own = str(node.target) if node.op == "call_module" else node.name
    path = f"{own}_inputs"

    device = next(trace.root.parameters()).device
    owner, _, name = path.rpartition(".")
    trace.root.get_submodule(owner).add_module(
        name, Gather(axis, torch.tensor(index, device=device))
    )

    with trace.graph.inserting_before(node):
        gathered = trace.graph.call_module(path, (argument(node, 0, "input"),))
    _set_argument(node, 0, "input", gathered)


def _reshape(trace: Trace, node: fx.Node, sizes: dict[str, int]) -> None:
    given = enumerate(sizes_given(node, trace) or ())
    new = tuple(sizes.get(str(place), size) for place, size in given)
    node.args, node.kwargs = (argument(node, 0, "input"), new), {}


def _keep_operands(node: fx.Node, positions: list[int]) -> None:
    tensors: Any = argument(node, 0, "tensors")
    _set_argument(node, 0, "tensors", [tensors[position] for position in positions])


def _set_argument(node: fx.Node, position: int, name: str, value: Any) -> None:
    if len(node.args) > position:
        node.update_arg(position, value)
    else:
        node.update_kwarg(name, value)


def _set_constant(trace: Trace, node: fx.Node, position: int) -> None:
    with trace.graph.inserting_before(node):
        constant = trace.graph.get_attr(f"{node.name}_constant")
    node.update_arg(position, constant)


def _assign(root: nn.Module, path: str, value: Tensor) -> None:
    """Sets a parameter, a bias that was None, a buffer, or a constant that was not there."""
    owner_path, _, name = path.rpartition(".")
    owner = root.get_submodule(owner_path)
    current: Any = getattr(owner, name, None)

    if name in owner._parameters:
        trained = current is None or current.requires_grad
        setattr(owner, name, nn.Parameter(value.clone(), requires_grad=trained))
    else:
        device = next(root.parameters()).device if current is None else current.device
        owner.register_buffer(name, value.to(device, copy=True))
