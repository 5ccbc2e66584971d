"""A network as a graph by torch.export, which takes all modules apart but attention."""

__all__ = ["exported"]

import functools
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from pyro_sparse.graph.attend import Attend

SIZES = (
    "the operations of this network were recorded for inputs with {}, as the code of the original "
    "asks for sizes. Give compact an example with the sizes that are used."
)


def exported(net: nn.Module, inputs: tuple[Any, ...], symbolic: Exception) -> fx.GraphModule:
    """A network's operations, recorded while it runs.

    Args:
        net: a network in evaluation mode; its attention is changed.
        inputs: its arguments.
        symbolic: what prevented following it without running it.
    """
    for path, module in net.named_modules():
        if type(module) is Attend:
            module.__class__ = _Marked
            vars(module)["path"] = path

    try:
        program = _program(net, inputs)
    except Exception as error:
        raise ValueError(
            f"{type(net).__name__} cannot be traced. torch.fx says: {symbolic}. torch.export "
            f"says: {_first_line(error)}. The forward method must not branch on the values of "
            "tensors; move such branches outside the network."
        ) from error

    module = program.module()
    assert isinstance(module, fx.GraphModule)
    for node in module.graph.find_nodes(op="call_module", target="_guards_fn"):
        _spell_out(module, node)
    for node in module.graph.nodes:
        if node.op == "call_function" and str(node.target) == "pyro_sparse.attend.default":
            _together(module, node)

    # The tracer of torch.export cannot be made again when the graph is unpickled.
    vars(module.graph).update(_tracer_cls=None, _tracer_extras=None)
    return module


def _program(net: nn.Module, inputs: tuple[Any, ...]) -> torch.export.ExportedProgram:
    """The recording, for as many sizes of the inputs as the code of the network allows.

    A size of 1 would count as part of the code: two examples stand for any number of them.
    """
    twice = tree_map(_twice, inputs)
    try:
        return torch.export.export(net, twice, dynamic_shapes=tree_map(_any_size, twice))
    except Exception:
        return torch.export.export(net, inputs, dynamic_shapes=tree_map(_any_size, inputs))


def _twice(argument: Any) -> Any:
    if isinstance(argument, Tensor) and argument.dim() and len(argument) == 1:
        return torch.cat([argument, argument])

    return argument


def _any_size(argument: Any) -> Any:
    if isinstance(argument, Tensor):
        return dict.fromkeys(range(argument.dim()), torch.export.Dim.AUTO)

    return None


def _spell_out(module: fx.GraphModule, node: fx.Node) -> None:
    """Writes what the recording asks of the sizes of inputs as operations, which can be pickled.

    Where they cannot be written so, because they compare more than numbers, the module that
    torch made for them stays.
    """
    tracer = fx.proxy.GraphAppendingTracer(module.graph)
    guards: Any = module.get_submodule(str(node.target))
    try:
        with module.graph.inserting_before(node):
            guards.forward(*(fx.Proxy(source, tracer) for source in node.args))  # type: ignore
    except fx.proxy.TraceError:
        return

    for check in module.graph.find_nodes(op="call_function", target=torch._assert):
        asked = str(check.args[1]).removeprefix("Guard failed: ")
        check.update_arg(1, SIZES.format(asked))
    module.graph.erase_node(node)
    module.delete_submodule(str(node.target))


class _Marked(Attend):
    """Attention that is one operation of the recording."""

    path: str

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
        is_causal: bool | None = False,
        need_weights: bool = False,
        average_attn_weights: bool = True,
    ) -> Any:
        how = (bool(is_causal), need_weights, average_attn_weights)
        masks = (key_padding_mask, attn_mask)
        kind = (self.num_heads, self.dropout, self.batch_first, self.path)
        found = _operation()(query, key, value, *masks, *how, *kind)
        return tuple(found) if need_weights else found[0]


@functools.cache
def _operation() -> Any:
    """Made when it is first asked for, so that importing this package registers nothing."""

    def attend(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
        need_weights: bool,
        average: bool,
        num_heads: int,
        dropout: float,
        batch_first: bool,
        path: str,
    ) -> list[Tensor]:
        module = Attend(num_heads, dropout, batch_first).eval()
        how = (is_causal, need_weights, average)
        found = module(query, key, value, key_padding_mask, attn_mask, *how)
        return [tensor.clone() for tensor in (found if need_weights else (found,))]

    made = torch.library.custom_op("pyro_sparse::attend", attend, mutates_args=())
    made.register_fake(attend)
    return made


def _together(module: fx.GraphModule, node: fx.Node) -> None:
    """The module itself again, in the place of the operation that stood for it."""
    *given, num_heads, dropout, batch_first, path = node.args
    kind: Any = (num_heads, dropout, batch_first)
    module.add_submodule(str(path), Attend(*kind).eval())

    with module.graph.inserting_before(node):
        whole = module.graph.call_module(str(path), tuple(given))
    for user in list(node.users):
        assert user.target is operator.getitem
        if not given[6]:
            user.replace_all_uses_with(whole)
            module.graph.erase_node(user)

    node.replace_all_uses_with(whole)
    module.graph.erase_node(node)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
