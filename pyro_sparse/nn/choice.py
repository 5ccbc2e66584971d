r"""Which layers of a network are converted, and on which side of them gates are."""

__all__ = ["GateDim", "choose"]

from collections.abc import Callable, Mapping

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.nn.layout import check_initialised, is_plain, layout_of
from pyro_sparse.nn.select import Select
from pyro_sparse.nn.torch_attention import (
    PROJECTIONS,
    heads_of,
    is_convertible,
    with_attention,
)

GateDim = str | Mapping[str, str] | Callable[[str, nn.Module], str | None]
Chosen = tuple[str, nn.Module, str | None]


def choose(
    net: nn.Module, select: Select | None, gate_dim: GateDim | None
) -> tuple[nn.Module, list[Chosen]]:
    r"""Puts attention whose projections are layers into a network, and picks its layers.

    Args:
        net: The network; it is changed.
        select: Which layers are picked, as in `bayesianize`.
        gate_dim: Where their gates are, as in `bayesianize`; None for no gates.

    Returns:
        The network, and by path each layer with the side of its gate.
    """

    _check_kinds(select, gate_dim)
    net, whole = _with_attention(net, select, gate_dim)
    heads = heads_of(net)
    chosen: list[Chosen] = []
    if isinstance(gate_dim, Mapping):
        _check_sites(net, gate_dim)

    for name, module in net.named_modules():
        dim = _dim(gate_dim, name, module, heads)

        if isinstance(module, _BatchNorm):
            if not isinstance(gate_dim, str) and dim is not None:
                chosen.append((name, module, _norm_dim(name, dim)))
        elif _is_part(name, module, whole) or _is_selected(name, module, select):
            chosen.append((name, module, dim))

    if not chosen:
        types = sorted({type(module).__name__ for module in net.modules()})
        raise ValueError(
            f"Nothing is selected for conversion among modules of types {types}. select(name, "
            "module) must be true for a linear, convolutional, embedding or bilinear layer."
        )
    if isinstance(gate_dim, Mapping):
        _check_gated(gate_dim, {name for name, *_ in chosen})
    return net, chosen


def _with_attention(
    net: nn.Module, select: Select | None, gate_dim: GateDim | None
) -> tuple[nn.Module, set[str]]:
    """The network with attention in layers where any of them is wanted, and where all are."""
    attention = {name: module for name, module in net.named_modules() if is_convertible(module)}
    whole = {name for name, m in attention.items() if select is not None and select(name, m)}
    sites = gate_dim if isinstance(gate_dim, Mapping) else ()
    gated = {name.rpartition(".")[0] for name in sites}

    def wanted(name: str, new: nn.Module) -> bool:
        layers = ((f"{name}.{p}" if name else p, new.get_submodule(p)) for p in PROJECTIONS)
        chosen = select is None or any(select(*layer) for layer in layers)
        return chosen or name in whole or name in gated

    return with_attention(net, wanted), whole


def _is_part(name: str, module: nn.Module, whole: set[str]) -> bool:
    return name.rpartition(".")[0] in whole and layout_of(module) is not None


def _is_selected(name: str, module: nn.Module, select: Select | None) -> bool:
    supported = layout_of(module) is not None
    wanted = is_plain(module) if select is None else select(name, module)
    if not wanted or (not supported and not list(module.parameters(recurse=False))):
        return False

    if not supported:
        raise ValueError(
            f"select names '{name}', a {type(module).__name__}, whose parameters cannot be "
            "sampled. Linear, convolutional, embedding and bilinear layers can; a selector of "
            "pyro_sparse.nn takes no others as `selector & layers`."
        )
    check_initialised(name, module)
    return True


def _dim(
    gate_dim: GateDim | None, name: str, module: nn.Module, heads: Mapping[str, int]
) -> str | None:
    if gate_dim is None or gate_dim == "head":
        return "head" if gate_dim and name in heads else None
    if isinstance(gate_dim, str):
        dim: str | None = gate_dim
    else:
        dim = gate_dim.get(name) if isinstance(gate_dim, Mapping) else gate_dim(name, module)

    if dim not in ("in", "out", "weight", "layer", "head", None):
        raise ValueError(
            f"gate_dim is 'in', 'out', 'weight', 'layer' or 'head', got {dim!r} for '{name}'."
        )
    if dim == "head" and name not in heads:
        raise ValueError(
            f"gate_dim='head' is for the output projection of attention, and '{name}' is a "
            f"{type(module).__name__} that reads no heads; {sorted(heads) or 'no layer'} does."
        )
    return dim


def _check_kinds(select: object, gate_dim: object) -> None:
    if not (select is None or callable(select)):
        raise TypeError(
            f"select is a function of (name, module), got {select!r}. For layers by their path "
            "there is by_name('encoder.*', 'fc1')."
        )
    if not (gate_dim is None or isinstance(gate_dim, str | Mapping) or callable(gate_dim)):
        raise TypeError(
            "gate_dim is one side for all layers, a dictionary from module path to side, or a "
            f"function of (name, module), got {gate_dim!r}."
        )


def _check_gated(sites: Mapping[str, str], chosen: set[str]) -> None:
    if left_out := sorted(set(sites) - chosen):
        raise ValueError(
            f"gate_dim wants gates at {left_out}, which select leaves out. Select them too, or "
            "leave them out of gate_dim."
        )


def _check_sites(net: nn.Module, sites: Mapping[str, str]) -> None:
    modules = dict(net.named_modules())
    for name in sites:
        if not (isinstance(module := modules.get(name), _BatchNorm) or is_plain(module)):
            found = "no module" if module is None else f"a {type(module).__name__}"
            raise ValueError(
                f"gate_dim names layers and batch norms by their path, and '{name}' is {found}. "
                "Leave it out, or make the sites anew with gate_sites."
            )


def _norm_dim(name: str, dim: str) -> str:
    if dim not in ("out", "layer"):
        raise ValueError(f"A batch norm carries 'out' or 'layer' gates, got {dim!r} for '{name}'.")
    return dim
