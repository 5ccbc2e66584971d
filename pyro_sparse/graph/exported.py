"""A network as a graph by torch.export, which takes all modules apart but attention."""

__all__ = ["exported"]

import functools
import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_map

from pyro_sparse.graph.attend import Attend


def exported(net: nn.Module, inputs: tuple[Any, ...], symbolic: Exception) -> fx.GraphModule:
    """A network's operations, recorded while it runs.

    Args:
        net: a network in evaluation mode; its attention is changed.
        inputs: its arguments.
        symbolic: what prevented following it without running it.
    """
    sizes = tree_map(_any_batch, inputs)
    for path, module in net.named_modules():
        if type(module) is Attend:
            module.__class__ = _Marked
            vars(module)["path"] = path

    try:
        program = torch.export.export(net, inputs, dynamic_shapes=sizes)
    except Exception as error:
        raise ValueError(
            f"{type(net).__name__} cannot be traced. torch.fx says: {symbolic}. torch.export "
            f"says: {_first_line(error)}. The forward method must not branch on the values of "
            "tensors; move such branches outside the network."
        ) from error

    module = program.module()
    assert isinstance(module, fx.GraphModule)
    for node in module.graph.find_nodes(op="call_module", target="_guards_fn"):
        module.graph.erase_node(node)
    for node in module.graph.nodes:
        if node.op == "call_function" and str(node.target) == "pyro_sparse.attend.default":
            _together(module, node)

    return module


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


def _any_batch(argument: Any) -> Any:
    if isinstance(argument, Tensor) and argument.dim():
        return {0: torch.export.Dim.AUTO}

    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
