r"""From a posterior back to a plain torch network, with exact zeros."""

__all__ = ["freeze"]

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.modules.batchnorm import _BatchNorm

from pyro_sparse.distributions import Gate
from pyro_sparse.nn import BayesianLayer, bayesian_layers
from pyro_sparse.nn.folding import fold_gate, make_affine
from pyro_sparse.nn.layer import BayesianNetwork, restore
from pyro_sparse.prune.criterion import Criterion
from pyro_sparse.prune.mask import masks, posteriors


def freeze(
    model: nn.Module,
    guide: Callable,
    criterion: Criterion | str | Mapping[str, Tensor] = "auto",
    *args: Any,
    **kwargs: Any,
) -> nn.Module:
    r"""Makes the network that the posterior stands for: means, test-time gates, exact zeros.

    Weights are posterior means, zero where the criterion drops them; gates are their laws'
    test-time values and are folded into the weights they multiply. The result has the classes
    and names of the network that was given to `bayesianize`, and nothing of Pyro; in the place of
    torch's attention there is `Attention` of `pyro_sparse.nn`.

    References:
        Learning Sparse Neural Networks through L0 Regularization (Louizos, Welling, Kingma,
        2018), https://arxiv.org/abs/1712.01312
        Variational Dropout Sparsifies Deep Neural Networks (Molchanov, Ashukha, Vetrov, 2017),
        https://arxiv.org/abs/1701.05369

    Args:
        model: A network made by `bayesianize`, or a model around one.
        guide: Its guide.
        criterion: A criterion, its name, or the masks themselves as `masks` gives them.
        *args: Arguments of a guide written by hand.
        **kwargs: Its keyword arguments.

    Returns:
        A new network in plain torch.

    Raises:
        ValueError: The model holds no bayesianized network, the guide lacks one of its sites, or
            a mask does not fit its site.
    """

    network = _find_network(model)
    kept = (
        criterion if isinstance(criterion, Mapping) else masks(guide, criterion, *args, **kwargs)
    )
    laws = {site: p.law for site, p in posteriors(guide, *args, **kwargs).items()}
    _check_masks(kept, laws)

    frozen = copy.deepcopy(network)
    with torch.no_grad():
        values = {site: _value(law) * kept[site] for site, law in laws.items() if site in kept}
        made: dict[Any, nn.Parameter] = {}
        for layer in list(bayesian_layers(frozen)):
            _freeze_layer(layer, values, made)
    return restore(frozen)


def _find_network(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, BayesianNetwork):
            return module
    raise ValueError(
        f"freeze needs a network made by bayesianize, and {type(model).__name__} holds none."
    )


def _value(law: Distribution) -> Tensor:
    return law.deterministic if isinstance(law, Gate) else law.mean


def _freeze_layer(
    layer: BayesianLayer, values: Mapping[str, Tensor], made: dict[Any, nn.Parameter]
) -> None:
    sources, gate_dim = dict(layer.sources), layer.gate_dim
    sites = {name: prior.site for name, prior in sources.items()}
    _check_sites(sites, values)
    gate = values[sites["gate"]] if gate_dim else None

    restore(layer)
    if isinstance(layer, _BatchNorm):
        make_affine(layer)
    for name in ("weight", "bias"):
        own: Tensor | None = layer._parameters.get(name)
        if name in sites:
            own = values[sites[name]]
        if own is None:
            continue

        # Parameters that were tied stay one, unless different gates were folded into them.
        key = sites.get(name, id(own)), sites.get("gate")
        if key not in made:
            made[key] = nn.Parameter(fold_gate(layer, name, own, gate, gate_dim))
        layer.register_parameter(name, made[key])


def _check_sites(sites: Mapping[str, str], values: Mapping[str, Tensor]) -> None:
    missing = sorted(set(sites.values()) - set(values))
    if missing:
        raise ValueError(
            f"The guide and the masks cover the sites of the model, and {missing} is missing "
            f"from {sorted(values)}. Give the guide that was trained with this model."
        )


def _check_masks(kept: Mapping[str, Tensor], laws: Mapping[str, Distribution]) -> None:
    for site, mask in kept.items():
        if site not in laws:
            raise ValueError(
                f"A mask belongs to a site of the guide, and '{site}' is none of {sorted(laws)}."
            )
        if mask.shape != laws[site].batch_shape or mask.dtype != torch.bool:
            raise ValueError(
                f"The mask of '{site}' is Boolean of shape {tuple(laws[site].batch_shape)}, got "
                f"{mask.dtype} of shape {tuple(mask.shape)}."
            )
