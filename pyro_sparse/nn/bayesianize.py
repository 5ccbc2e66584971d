r"""From a torch network to a Bayesian one with sparse priors."""

__all__ = ["bayesianize"]

import copy
import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.local import peel
from pyro_sparse.nn.choice import GateDim, choose
from pyro_sparse.nn.layer import BayesianLayer, BayesianNetwork, Converted, convert
from pyro_sparse.nn.layout import layout_of
from pyro_sparse.nn.run import Run
from pyro_sparse.nn.select import Select
from pyro_sparse.nn.torch_attention import batch_dims, heads_of
from pyro_sparse.prior import Prior

Law = TorchDistribution | Callable[[str, torch.Size, int], TorchDistribution | None] | None


def bayesianize(
    net: nn.Module,
    weight: Law = None,
    bias: Law = None,
    gate: Law = None,
    gate_dim: GateDim = "in",
    select: Select | None = None,
    *,
    per_gate: bool = False,
    batch_dim: int | None = None,
) -> nn.Module:
    r"""Makes a network whose parameters are sampled and whose units are gated.

    The result is a new module of the same structure, in which each selected layer states
    `pyro.sample` where it read a parameter: sites are named by module path, `fc1.weight`,
    `fc1.bias` and `fc1.gate`. What is not selected, or has no law, stays an ordinary parameter
    and is trained along. Parameters that are tied are drawn once. An embedding's row for padding
    gets no gradient in torch, and here has no divergence and no local noise either.

    A gate multiplies the layer's inputs ("in"), its outputs after the bias ("out"), its single
    weights ("weight"), or as one gate all of its outputs ("layer"), which makes a residual branch
    or a layer as a whole superfluous. A weight with a proper prior is gated by a gate with an
    `L0` or a Bernoulli prior in the objective too (`infer={"gated_by": ...}`, see
    `TraceSparse_ELBO`).

    Attention of torch becomes `Attention` of this package with the same values, also inside
    torch's transformer modules, so that its projections are layers like any others. A gate "head"
    of the output projection (`self_attn.out`) has one entry a head. See there what noise of
    weights means in a sequence.

    References:
        Weight Uncertainty in Neural Networks (Blundell, Cornebise, Kavukcuoglu, Wierstra,
        2015), https://arxiv.org/abs/1505.05424
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312

    Args:
        net: The network. It is left as it is; its values initialise the guide.
        weight: The prior of weights: a law, expanded to each weight's shape, or a function of
            (site name, shape, group size) that returns one or None. None leaves them parameters.
        bias: The prior of biases, likewise.
        gate: The prior of gates, likewise; the group size is the number of weights one gate
            controls. The penalty of an `L0` law given as such (not by a function) is per weight,
            and is multiplied by the group size.
        gate_dim: "in", "out", "weight", "layer", or "head" for heads alone; or a dictionary from
            module path to one of them, such as `gate_sites` proposes; or a function of (name,
            module) that returns one of them or None. Only a dictionary or a function may put
            gates on batch-norm modules: "out" or "layer".
        select: Which layers to convert, as a function of (name, module); by default every
            linear, convolutional, embedding and bilinear layer. `by_name`, `by_type`, `all_but`
            and `convolutions` of `pyro_sparse.nn` are such functions.
        per_gate: Whether the penalty of an `L0` law counts gates instead of weights.
        batch_dim: The dimension of activations that counts examples, for the gates, which are
            drawn once an example. By default it is 0, and inside attention and torch's
            transformer modules what their `batch_first` says.

    Returns:
        A new module, a Pyro model without a likelihood.

    Raises:
        TypeError: `net` is no module, or a law is no Pyro distribution.
        ValueError: No law is given or none applies, nothing is selected, a selected layer cannot
            be converted, a layer has no units along `gate_dim`, or `net` was converted before.

    Example:
        >>> from pyro_sparse.distributions import L0, LogUniform
        >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> bayesian = bayesianize(net, weight=LogUniform())
        >>> [prior.site for prior in bayesian.modules() if isinstance(prior, Prior)]
        ['0.weight', '2.weight']
    """

    _check_arguments(net, weight, bias, gate)
    new, chosen = choose(copy.deepcopy(net), select, gate_dim if gate is not None else None)
    run = Run()
    converter = _Converter(new, run, weight, bias, gate, per_gate, batch_dim)

    for name, module, dim in chosen:
        converter.convert(name, module, dim)
    converter.check_tied(new)
    if not any(isinstance(module, Prior) for module in new.modules()):
        raise ValueError(
            f"No parameter of {type(net).__name__} got a law, and none of its units a gate: "
            f"gate_dim={gate_dim!r}, and functions for weight, bias and gate may return None. "
            "Give one law more, or name a layer in gate_dim."
        )
    convert(new, run, BayesianNetwork)
    return new


class _Converter:
    """Converts layers of one network, drawing tied parameters from one prior."""

    def __init__(
        self,
        net: nn.Module,
        run: Run,
        weight: Law,
        bias: Law,
        gate: Law,
        per_gate: bool,
        batch_dim: int | None,
    ) -> None:
        self.run = run
        self.laws = {"weight": weight, "bias": bias}
        self.gate = gate
        self.per_gate = per_gate
        self.repeated = _repeated(net)
        self.heads = heads_of(net)
        self.batch_dims = batch_dims(net, batch_dim)
        self.owners: dict[int, Prior] = {}

    def convert(self, path: str, module: nn.Module, gate_dim: str | None) -> None:
        layer: BayesianLayer = convert(module, self.run, BayesianLayer)
        vars(layer).update(path=path, sources={}, gate_dim=None)
        layer.priors = nn.ModuleDict()

        group_size = self._gate(layer, gate_dim) if gate_dim else 1
        self._check_computed(layer, group_size)
        for name, parameter in list(layer._parameters.items()):
            if name in self.laws and parameter is not None and layout_of(layer):
                self._sample(layer, name, parameter, group_size)

    def _sample(self, layer: BayesianLayer, name: str, parameter: Tensor, group_size: int) -> None:
        if id(parameter) in self.owners:
            prior = self.owners[id(parameter)]
            prior.shared = True
            prior.counted = None
            # It is used where the gate of its first layer is closed, too.
            prior.infer = {}
        else:
            site = _site(layer.path, name)
            law = _resolve(self.laws[name], site, parameter.shape, group_size)
            if law is None:
                return
            prior = Prior(site, law, parameter.shape, parameter.detach().clone(), "weight")
            prior.counted = _counted(layer, parameter)
            prior.to(parameter.device, parameter.dtype)
            prior.infer = _gating(layer, name, prior)
            prior.shared = layer in self.repeated
            prior.batch_dim = self.batch_dims[layer.path]
            layer.priors[name] = prior
            self.owners[id(parameter)] = prior

        del layer._parameters[name]
        layer.sources[name] = prior

    def _gate(self, layer: BayesianLayer, gate_dim: str) -> int:
        shape, group_size = _gate_shape(layer, gate_dim, self.heads)
        site = _site(layer.path, "gate")
        law = _resolve(self.gate, site, shape, group_size)
        if law is None:
            return 1
        if isinstance(law, L0) and law is self.gate and not self.per_gate:
            law = L0(law.penalty * group_size)

        prior = Prior(site, law, shape, None, "gate")
        prior.batch_dim = self.batch_dims[layer.path]
        like = next(chain(layer.parameters(), layer.buffers()), prior.like)
        prior.to(like.device, like.dtype)
        layer.priors["gate"] = layer.sources["gate"] = prior
        layer.gate_dim = gate_dim
        return group_size

    def _check_computed(self, layer: BayesianLayer, group_size: int) -> None:
        for name, law in self.laws.items():
            value = getattr(layer, name, None)
            if value is None or layer._parameters.get(name) is not None:
                continue

            site = _site(layer.path, name)
            sampled = layout_of(layer) and _resolve(law, site, value.shape, group_size)
            if sampled or "gate" in layer.sources:
                raise ValueError(
                    f"Layer '{layer.path}' ({layer.original.__name__}) computes its {name} from "
                    "other parameters (weight norm, a parametrization), and only a parameter "
                    "itself can be sampled or gated. Remove the parametrization first "
                    "(torch.nn.utils.parametrize.remove_parametrizations), or leave the layer out "
                    "with select."
                )

    def check_tied(self, net: nn.Module) -> None:
        for name, parameter in net.named_parameters():
            if id(parameter) in self.owners:
                raise ValueError(
                    f"Tied parameters are converted together, and '{name}' is tied to "
                    f"'{self.owners[id(parameter)].site}', whose layer is selected while its own "
                    "is not. Select both or neither."
                )


def _repeated(net: nn.Module) -> set[nn.Module]:
    """Modules that are registered under several names, and so are used several times."""
    count = Counter(module for _, module in net.named_modules(remove_duplicate=False))
    return {module for module, times in count.items() if times > 1}


def _counted(layer: BayesianLayer, parameter: Tensor) -> Tensor | None:
    """Which entries of a parameter learn from data: not those of an embedding's padding."""
    padding = layer.padding_idx if isinstance(layer, nn.Embedding) else None
    if padding is None:
        return None
    counted = torch.ones_like(parameter, dtype=torch.bool)
    counted[padding] = False
    return counted


def _gating(layer: BayesianLayer, name: str, prior: Prior) -> dict[str, Any]:
    """What the statement of a parameter says of the layer's gate."""
    gate = layer.sources.get("gate")
    layout = layout_of(layer)
    if gate is None or layout is None or isinstance(peel(prior.base), LogUniform):
        return {}
    if not isinstance(peel(gate.base), (L0, Bernoulli)):
        return {}

    said = {"gated_by": gate.site, "gated_relaxed": True}
    if name == "bias":
        return said if layer.gate_dim in ("out", "layer") else {}
    if layer.gate_dim in ("weight", "layer"):
        return said

    dim = layout.out_dim if layer.gate_dim == "out" else layout.in_dim
    if dim == layout.tiled and layout.groups > 1:
        return {}
    assert dim is not None
    if layer.gate_dim == "head":
        return said | {"gated_repeat": prior.shape[dim] // math.prod(gate.shape)}
    return said | {"gated_view": (-1, *(1,) * (len(prior.shape) - dim - 1))}


def _gate_shape(
    layer: BayesianLayer, gate_dim: str, heads: Mapping[str, int]
) -> tuple[torch.Size, int]:
    layout = layout_of(layer)
    if gate_dim == "layer":
        return torch.Size([1]), 1 if layout is None else layer.weight.numel()
    if layout is None:
        return torch.Size([layer.num_features]), 1

    weight = layer.weight
    if gate_dim == "weight":
        return weight.shape, 1
    if gate_dim == "head":
        return torch.Size([heads[layer.path]]), weight.numel() // heads[layer.path]

    dim = layout.in_dim if gate_dim == "in" else layout.out_dim
    if dim is None:
        raise ValueError(
            f"Layer '{layer.path}' ({layer.original.__name__}) has no units along gate_dim='in'. "
            "Use 'out' or 'weight'."
        )
    units = layout.units(weight, dim)
    return torch.Size([units]), weight.numel() // units


def _resolve(law: Law, site: str, shape: torch.Size, group_size: int) -> Any:
    if callable(law) and not isinstance(law, TorchDistributionMixin | type):
        law = law(site, shape, group_size)
    if law is not None and not isinstance(law, TorchDistributionMixin):
        raise TypeError(
            f"The prior of '{site}' is a Pyro distribution, a function that returns one, or None, "
            f"got {law!r}. Take laws from pyro.distributions or pyro_sparse.distributions."
        )
    return law


def _check_arguments(net: nn.Module, weight: Law, bias: Law, gate: Law) -> None:
    if not isinstance(net, nn.Module):
        raise TypeError(f"bayesianize converts a torch.nn.Module, got {type(net).__name__}.")
    if weight is None and bias is None and gate is None:
        raise ValueError("bayesianize needs a law for weight, bias or gate, and all are None.")

    for name, module in net.named_modules():
        if isinstance(module, Converted):
            raise ValueError(
                f"A network is converted once, and '{name or type(module).__name__}' is Bayesian "
                "already. Convert the original network again instead."
            )


def _site(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
