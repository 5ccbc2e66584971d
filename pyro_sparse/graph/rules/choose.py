"""Which rule an operation follows."""

__all__ = ["rule_for"]

from typing import TypeGuard

from torch import fx, nn
from torch._ops import OpOverload

from pyro_sparse.graph.rules.affine import Affine, Layer
from pyro_sparse.graph.rules.bilinear import Bilinear
from pyro_sparse.graph.rules.concat import Concat
from pyro_sparse.graph.rules.heads import Heads, Picked
from pyro_sparse.graph.rules.joins import Attribute, Join
from pyro_sparse.graph.rules.norms import BatchNorm, PReLU
from pyro_sparse.graph.rules.padding import ChannelPadding
from pyro_sparse.graph.rules.pointwise import Pointwise, Spatial
from pyro_sparse.graph.rules.rearrange import Rearrange
from pyro_sparse.graph.rules.rule import Input, Opaque, Rule
from pyro_sparse.graph.rules.sizes import Shape
from pyro_sparse.graph.rules.table import Embedding
from pyro_sparse.graph.trace import Trace, argument

POINTWISE = {
    "pointwise", "identity", "clone", "contiguous", "detach", "float", "double", "to",
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid",
    "tanh", "softplus", "softsign", "hardtanh", "hardswish", "hardsigmoid", "hardshrink",
    "softshrink", "tanhshrink", "logsigmoid", "log_sigmoid", "threshold", "clamp", "clip",
    "clamp_min", "clamp_max", "abs", "neg", "exp", "expm1", "log", "log1p", "square", "sqrt",
    "rsqrt", "reciprocal", "pow", "sin", "cos", "erf", "sign",
}  # fmt: skip

ARITHMETIC = {"add", "sub", "mul", "div", "truediv", "maximum", "minimum"}

NOISE = {
    "dropout",
    "alpha_dropout",
    "feature_alpha_dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
}

SPATIAL = {
    "spatial", "max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "interpolate", "pad",
    "mean", "sum", "amax", "amin",
}  # fmt: skip

REARRANGE = {
    "flatten", "view", "reshape", "permute", "transpose", "swapaxes", "movedim", "squeeze",
    "unsqueeze", "getitem",
}  # fmt: skip

CONVOLUTIONS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
CONCATENATIONS = {"cat", "concat", "concatenate"}


def rule_for(node: fx.Node, trace: Trace) -> Rule:
    """The rule of a node; what is not known is `Opaque`, which is always right."""
    if node.op == "placeholder":
        return Input(node, trace)
    if node.op == "get_attr":
        return Attribute(node, trace)
    if _reads_shape(node, trace):
        return Shape(node, trace)
    if trace.name(node) == "attend":
        return Heads(node, trace)
    if _picks_of_attention(node, trace):
        return Picked(node, trace)
    if node.op == "output" or not trace.is_tensor(node) or "out" in node.kwargs:
        return Opaque(node, trace)

    return _rule_of_operation(node, trace) or Opaque(node, trace)


def _rule_of_operation(node: fx.Node, trace: Trace) -> Rule | None:
    name, sources = trace.name(node), trace.tensors(node)

    if name in CONCATENATIONS:
        # A list that is computed as a whole may hold its tensors in any order.
        return None if isinstance(argument(node, 0, "tensors"), fx.Node) else Concat(node, trace)
    if name == "embedding":
        return _embedding(node, trace)
    if name == "bilinear" and node.op == "call_module":
        return Bilinear(node, trace) if _is_plain_bilinear(node, trace) else None
    if name == "batch_norm":
        return _batch_norm(node, trace)
    if layer := _layer(node, trace):
        return Affine(node, trace, layer) if _is_own(layer, trace) else None

    if name in ARITHMETIC and len(sources) == 2 and set(sources) == set(node.args[:2]):
        return Join(node, trace)
    if len(sources) != 1 or (
        node.args and node.args[0] is not sources[0] and name not in ARITHMETIC
    ):
        return None

    if name in NOISE:
        return None if argument(node, 2, "training", True) else Pointwise(node, trace)
    if name in POINTWISE | ARITHMETIC:
        return Pointwise(node, trace)
    if name == "pad" and _pads_channels(node, trace):
        return ChannelPadding(node, trace)
    if name in SPATIAL:
        return Spatial(node, trace)
    if name in REARRANGE:
        return Rearrange(node, trace)
    if name == "prelu" and node.op == "call_module":
        return _prelu(node, trace)

    return None


def _reads_shape(node: fx.Node, trace: Trace) -> bool:
    if len(trace.tensors(node)) != 1:
        return False

    if node.target is getattr:
        return bool(node.args[1] == "shape")

    return trace.name(node) in {"size", "sym_size"} and node.op != "call_module"


def _picks_of_attention(node: fx.Node, trace: Trace) -> bool:
    source = node.args[0] if trace.name(node) == "getitem" else None
    return (
        isinstance(source, fx.Node) and trace.name(source) == "attend" and node.args[1] in (0, 1)
    )


def _pads_channels(node: fx.Node, trace: Trace) -> bool:
    amounts = argument(node, 1, "pad")
    inner = len(amounts) // 2 == len(trace.shape(node)) - 1 and min(amounts[-2:]) >= 0
    return inner and argument(node, 2, "mode", "constant") == "constant" and not any(amounts[:-2])


def _is_plain_bilinear(node: fx.Node, trace: Trace) -> bool:
    apart = len(node.args) == 2 and node.args[0] is not node.args[1]
    return apart and trace.exclusive(f"{node.target}.weight")


def _embedding(node: fx.Node, trace: Trace) -> Embedding | None:
    # With a maximal norm the table changes when it is read.
    if node.op == "call_module":
        plain = trace.module(node).max_norm is None
        return Embedding(node, trace, f"{node.target}.weight") if plain else None

    table = node.args[0 if isinstance(node.target, OpOverload) else 1]
    if not _is_parameter(table) or argument(node, 3, "max_norm"):
        return None

    return Embedding(node, trace, str(table.target))


def _batch_norm(node: fx.Node, trace: Trace) -> BatchNorm | None:
    names = ["running_mean", "running_var", "weight", "bias"]

    if node.op == "call_module":
        module = trace.module(node)
        assert isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        here = [name for name in names if getattr(module, name) is not None]
        paths = {name: f"{node.target}.{name}" for name in here}
        return BatchNorm(node, trace, paths, module.eps) if paths else None

    if isinstance(node.target, OpOverload):
        names = ["weight", "bias", "running_mean", "running_var"]
    tensors = {name: argument(node, i, name) for i, name in enumerate(names, 1)}
    given = {name: tensor for name, tensor in tensors.items() if tensor is not None}

    if not given or argument(node, 5, "training", False):
        return None
    if not all(_is_parameter(tensor) for tensor in given.values()):
        return None

    paths = {name: str(tensor.target) for name, tensor in given.items()}
    return BatchNorm(node, trace, paths, argument(node, 7, "eps", 1e-5))


def _prelu(node: fx.Node, trace: Trace) -> Rule:
    path = f"{node.target}.weight"
    if trace.tensor(path).numel() == 1:
        return Pointwise(node, trace)

    return PReLU(node, trace, {"weight": path}, "num_parameters")


def _is_parameter(value: object) -> TypeGuard[fx.Node]:
    return isinstance(value, fx.Node) and value.op == "get_attr"


def _is_own(layer: Layer, trace: Trace) -> bool:
    """Whether the layer's parameters are used in this place only."""
    paths = [layer.weight, layer.bias] if layer.bias_given else [layer.weight]
    return all(trace.exclusive(str(path)) for path in paths)


def _layer(node: fx.Node, trace: Trace) -> Layer | None:
    name = trace.name(node)

    if node.op == "call_module" and name == "linear":
        return Layer(*_paths(node, trace), axis=-1)
    if node.op == "call_module" and name in {"conv", "conv_transpose"}:
        return _convolution(node, trace, transposed=name == "conv_transpose")
    if node.op == "call_function" and (name == "linear" or name in CONVOLUTIONS):
        return _function(node, name)

    return None


def _paths(node: fx.Node, trace: Trace) -> tuple[str, str, bool]:
    given = trace.module(node).bias is not None
    return f"{node.target}.weight", f"{node.target}.bias", given


def _convolution(node: fx.Node, trace: Trace, transposed: bool) -> Layer:
    module = trace.module(node)
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | _Transposed)
    unpadded = module.padding == "valid" or not any(module.padding)
    filled = module.padding_mode != "zeros"

    return Layer(
        *_paths(node, trace),
        axis=1 - module.weight.dim(),
        groups=module.groups,
        transposed=transposed,
        uniform=not transposed and (unpadded or filled),
        sizes=("in_channels", "out_channels", "groups"),
    )


def _function(node: fx.Node, name: str) -> Layer | None:
    """A layer written as a function of parameters of the network."""
    weight, bias = argument(node, 1, "weight"), argument(node, 2, "bias")
    parameters = [p for p in (weight, bias) if p is not None]
    if not all(_is_parameter(parameter) for parameter in parameters):
        return None

    paths = str(weight.target), None if bias is None else str(bias.target), bias is not None
    # Without a bias there is no place for the effect of a constant.
    if name == "linear":
        return Layer(*paths, axis=-1, uniform=bias is not None)

    padding = argument(node, 4, "padding", 0)
    if argument(node, 6, "groups", 1) != 1:
        return None

    unpadded = padding in (0, "valid") or (isinstance(padding, tuple) and not any(padding))
    sizes = ("in_channels", "out_channels", "groups")
    axis = -1 - CONVOLUTIONS[name]
    return Layer(*paths, axis=axis, uniform=unpadded and bias is not None, sizes=sizes)
