r"""A layer whose parameters are sampled and whose units may be gated."""

__all__ = ["BayesianLayer", "BayesianNetwork", "bayesian_layers", "convert", "restore"]

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from pyro_sparse.effects import emit_parameters
from pyro_sparse.nn.layout import layout_of
from pyro_sparse.nn.run import Run
from pyro_sparse.prior import Prior


class Converted(nn.Module):
    r"""A module that conversion touched: it knows its first class and the run it is part of."""

    original: type[nn.Module]
    mixins: tuple[type, ...]
    run: Run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.run:
            return super().__call__(*args, **kwargs)

    def __reduce__(self) -> tuple:
        return _blank, (self.original, self.mixins), self.__getstate__()


class BayesianNetwork(Converted):
    r"""The root of a converted network: announces the parameters that stayed parameters."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.run.active:
            emit_parameters(self.named_parameters("model"))
        return super().__call__(*args, **kwargs)


class BayesianLayer(Converted):
    r"""A layer with priors in the place of parameters, and possibly a gate.

    Attributes:
        path: The layer's path in the network.
        priors: The priors it owns, by the name of the parameter they replace, or "gate".
        sources: The priors its values come from; another layer's where parameters are tied.
        gate_dim: "in", "head", "out", "weight" or "layer"; None without a gate.
    """

    path: str
    priors: nn.ModuleDict
    sources: dict[str, Prior]
    gate_dim: str | None

    def __getattr__(self, name: str) -> Any:
        own = vars(self)
        source = own.get("sources", {}).get(name)
        value = super().__getattr__(name) if source is None else self.run.draw(source)

        gated = name == "weight" and own.get("gate_dim") == "weight" and self.run.active
        return value * self.gate if gated else value

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        if self.gate_dim in ("in", "head"):
            input, *others = args or (kwargs.pop("input"),)
            args = (self._gated(input), *others)

        output = super().forward(*args, **kwargs)
        gated = self.gate_dim in ("out", "layer")
        return output * self._gate_beside(output) if gated else output

    def extra_repr(self) -> str:
        # The layer's own text asks whether there is a bias; outside a run it has no value.
        sampled = dict.fromkeys(self.sources, "sampled")
        vars(self).update(sampled)
        try:
            text = super().extra_repr()
        finally:
            for name in sampled:
                del vars(self)[name]
        return f"{text}, gate_dim={self.gate_dim!r}" if self.gate_dim else text

    def _gated(self, input: Tensor) -> Tensor:
        if self.gate_dim == "in":
            return input * self._gate_beside(input)

        gate = self.gate
        heads = input.unflatten(-1, (len(gate), -1)) * gate.unsqueeze(-1)
        return heads.flatten(-2)

    def _gate_beside(self, activation: Tensor) -> Tensor:
        layout = layout_of(self)
        positions = activation.ndim - 2 if layout is None else layout.positions
        gate = self.gate
        return gate.reshape(-1, *(1,) * positions) if positions else gate


def bayesian_layers(module: nn.Module) -> Iterator[BayesianLayer]:
    r"""The converted layers of a network or of a model around one.

    Args:
        module: Any module.
    """

    return (child for child in module.modules() if isinstance(child, BayesianLayer))


def convert(module: nn.Module, run: Run, *mixins: type) -> Any:
    r"""Puts behaviour before a module's own, in place, and returns the module.

    Args:
        module: The module to convert.
        run: The run shared by the network.
        *mixins: `BayesianNetwork`, `BayesianLayer` or both.
    """

    original: type[nn.Module] = type(module)
    if isinstance(module, Converted):
        original, mixins = module.original, (*mixins, *module.mixins)
    module.__class__ = _converted(original, mixins)
    vars(module)["run"] = run
    return module


def restore(module: nn.Module) -> nn.Module:
    r"""Gives a converted module its first class back, in place.

    Args:
        module: A module that `convert` changed; any other is returned as it is.
    """

    if isinstance(module, Converted):
        module.__class__ = module.original  # type: ignore[assignment]
        for name in ("run", "path", "priors", "sources", "gate_dim"):
            vars(module).pop(name, None)
            module._modules.pop(name, None)
    return module


_CLASSES: dict[Any, type[nn.Module]] = {}


def _converted(original: type[nn.Module], mixins: tuple[type, ...]) -> type[nn.Module]:
    if (original, mixins) not in _CLASSES:
        body = {"original": original, "mixins": mixins, "__module__": original.__module__}
        name = f"Bayesian{original.__name__}"
        _CLASSES[original, mixins] = type(name, (*mixins, original), body)
    return _CLASSES[original, mixins]


def _blank(original: type[nn.Module], mixins: tuple[type, ...]) -> nn.Module:
    return object.__new__(_converted(original, mixins))
