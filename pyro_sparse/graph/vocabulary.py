"""One name for what an operation does, whichever way it is written."""

__all__ = ["IN_PLACE", "argument", "name_of", "writes_in_place"]

import operator
from typing import Any

from torch import fx, nn
from torch._ops import OpOverload

from pyro_sparse.graph.attend import Attend

IN_PLACE = {getattr(operator, f"i{name}"): name for name in ("add", "sub", "mul", "truediv")}

MODULES: dict[type[nn.Module], str] = {
    Attend: "attend",
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
    nn.ZeroPad1d, nn.ZeroPad2d, nn.ZeroPad3d, nn.ConstantPad1d, nn.ConstantPad2d,
    nn.ConstantPad3d, nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReflectionPad3d,
    nn.ReplicationPad1d, nn.ReplicationPad2d, nn.ReplicationPad3d, nn.CircularPad1d,
    nn.CircularPad2d, nn.CircularPad3d,
)  # fmt: skip


def argument(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    """An argument of a node, given by position, by name or by the name that NumPy has for it."""
    if len(node.args) > position:
        return node.args[position]

    alias = {"dim": "axis"}.get(name, name)
    return node.kwargs.get(name, node.kwargs.get(alias, default))


def name_of(node: fx.Node, root: nn.Module) -> str:
    """What a node does, by one name for its module, function, method and aten forms.

    Modules and functions that torch does not own have the name "".
    """
    if node.op == "call_module":
        return _module_name(root.get_submodule(str(node.target)))
    if node.op == "call_method":
        return str(node.target).removesuffix("_")
    if node.op == "call_function":
        return _function_name(node.target)

    return ""


def writes_in_place(node: fx.Node, root: nn.Module) -> bool:
    """Whether a node writes into its first argument."""
    if node.op == "call_module":
        return bool(getattr(root.get_submodule(str(node.target)), "inplace", False))
    if node.op not in {"call_function", "call_method"}:
        return False

    target = node.target if isinstance(node.target, str) else _bare_name(node.target)
    method = target.endswith("_") and not target.endswith("__")
    assigns = node.target in IN_PLACE or node.target is operator.setitem
    return method or assigns or bool(node.kwargs.get("inplace"))


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
    if isinstance(function, OpOverload):
        return str(function._schema.name).split("::")[-1]

    return getattr(function, "__name__", "")
