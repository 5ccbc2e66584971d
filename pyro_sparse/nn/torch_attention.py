r"""Torch's attention in a network, and the modules that can stand for it."""

__all__ = [
    "PROJECTIONS",
    "batch_dims",
    "heads_of",
    "is_convertible",
    "projections_of",
    "with_attention",
]

from collections import defaultdict
from collections.abc import Callable, Mapping

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from pyro_sparse.nn.attention import Attention

PROJECTIONS = ("q", "k", "v", "out")


def is_convertible(module: nn.Module) -> bool:
    r"""Whether a module is attention of torch, exactly, that `Attention` can stand for.

    Args:
        module: Any module.
    """

    if type(module) is not nn.MultiheadAttention:
        return False

    parts = (module, module.out_proj)
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in parts)
    plain = type(module.out_proj) is NonDynamicallyQuantizableLinear
    return plain and not hooked and module.bias_k is None and not module.add_zero_attn


def with_attention(
    net: nn.Module, wanted: Callable[[str, nn.Module], bool] = lambda name, module: True
) -> nn.Module:
    r"""Puts `Attention` in the place of torch's attention, in place, and returns the network.

    Modules that are registered under several names stay one. Modules with parameters that other
    modules use, too, are left alone.

    Args:
        net: The network.
        wanted: Whether to put a module in the place of a name, as a function of both.
    """

    uses = _uses(net)
    made: dict[nn.Module, Attention] = {}
    for name, module in list(net.named_modules(remove_duplicate=False)):
        if not is_convertible(module) or any(uses[id(p)] > 1 for p in module.parameters()):
            continue

        new = made.get(module) or Attention.from_torch(module)
        if module not in made and not wanted(name, new):
            continue
        made[module] = new
        if not name:
            return new
        net.set_submodule(name, new)
    return net


def heads_of(net: nn.Module) -> dict[str, int]:
    r"""By path of an output projection, the number of heads that it reads.

    Args:
        net: A network.
    """

    found = ((n, m) for n, m in net.named_modules() if isinstance(m, Attention))
    return {f"{name}.out" if name else "out": module.num_heads for name, module in found}


def projections_of(net: nn.Module) -> set[str]:
    r"""Paths of the layers that make queries, keys and values.

    Args:
        net: A network.
    """

    outs = (path.removesuffix("out") for path in heads_of(net))
    return {f"{prefix}{part}" for prefix in outs for part in PROJECTIONS[:3]}


def batch_dims(net: nn.Module, given: int | None) -> Mapping[str, int]:
    r"""By path, the dimension of a module's activations that counts examples.

    Args:
        net: A network.
        given: The dimension everywhere; None for 0, except where attention, or a transformer
            layer of torch around it, has its positions first.
    """

    if given is not None and given < 0:
        raise ValueError(f"batch_dim counts from the left and is at least 0, got {given}.")

    dims: defaultdict[str, int] = defaultdict(lambda: 0 if given is None else given)
    for name, module in net.named_modules() if given is None else ():
        attention: nn.Module = module
        if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
            attention = module.self_attn
        if isinstance(attention, Attention | nn.MultiheadAttention) and not attention.batch_first:
            dims |= {path: 1 for path, _ in module.named_modules(prefix=name)}
    return dims


def _uses(net: nn.Module) -> dict[int, int]:
    """How many places hold each parameter."""
    uses: dict[int, int] = {}
    for module in net.modules():
        for parameter in module._parameters.values():
            if parameter is not None:
                uses[id(parameter)] = uses.get(id(parameter), 0) + 1
    return uses
