"""Operations that differ in training, as modules, which know the mode they are in."""

__all__ = ["with_modes"]

from typing import Any

from torch import fx, nn

from pyro_sparse.graph.vocabulary import argument, name_of

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

NOISE: dict[str, type[nn.Module]] = {
    "dropout": nn.Dropout,
    "dropout1d": nn.Dropout1d,
    "dropout2d": nn.Dropout2d,
    "dropout3d": nn.Dropout3d,
    "alpha_dropout": nn.AlphaDropout,
    "feature_alpha_dropout": nn.FeatureAlphaDropout,
}

# What the norms and dropouts of torch call.
CALLED = {"batch_norm": NORMS, "feature_dropout": tuple(NOISE.values())}
CALLED |= dict.fromkeys(NOISE, tuple(NOISE.values()))


def with_modes(graph: fx.Graph, root: nn.Module, net: nn.Module) -> None:
    """Puts modules in the place of functions that were recorded in evaluation mode, in place.

    Batch norms and dropouts that were taken apart are those of the network again, and dropout
    that was a function becomes a module. Other functions that take `training` stay.

    Args:
        graph: the operations of a network in evaluation mode.
        root: what the paths in the graph begin at.
        net: the network.
    """
    for node in list(graph.nodes):
        name = name_of(node, root) if node.op == "call_function" else ""
        if name not in CALLED:
            continue

        path = _path(node)
        own = dict(net.named_modules()).get(path)
        if own is not None and type(own) in CALLED[name]:
            _put(graph, root, node, path, own)
        elif name in NOISE and argument(node, 2, "training", True) is False:
            made = NOISE[name](argument(node, 1, "p", 0.5)).eval()
            _put(graph, root, node, _free(root, node.name), made)


def _path(node: fx.Node) -> str:
    """Of the module whose forward method calls this function."""
    stack: Any = node.meta.get("nn_module_stack") or {"": ("",)}
    return str(list(stack.values())[-1][0])


def _free(root: nn.Module, name: str) -> str:
    return _free(root, f"{name}_") if hasattr(root, name) else name


def _put(graph: fx.Graph, root: nn.Module, node: fx.Node, path: str, module: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    _made(root, owner).add_module(name, module)

    with graph.inserting_before(node):
        new = graph.call_module(path, (argument(node, 0, "input"),))
    new.meta |= node.meta
    operands = node.all_input_nodes
    node.replace_all_uses_with(new)
    graph.erase_node(node)
    for operand in operands:
        if operand.op == "get_attr" and not operand.users:
            graph.erase_node(operand)


def _made(root: nn.Module, path: str) -> nn.Module:
    """The submodule of that path, which is made if nothing but dropout was in it."""
    for name in filter(None, path.split(".")):
        if not hasattr(root, name):
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)

    return root
