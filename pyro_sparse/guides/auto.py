r"""Guides made from a model's priors."""

__all__ = ["AutoSparse"]

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyro
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import Distribution

from pyro_sparse.effects import emit_parameters
from pyro_sparse.guides.family import Family
from pyro_sparse.guides.site import SiteSpec, find_sites
from pyro_sparse.guides.table import Options, build_family
from pyro_sparse.local import Local

Choice = Distribution | Callable[[SiteSpec, Options], Family] | None


class AutoSparse(nn.Module):
    r"""Creates a guide with a posterior family for each of a model's latent sites.

    The family follows from the prior and from the role of the site:

    | prior | posterior |
    | --- | --- |
    | weight under `LogUniform`, `EmpiricalNormal`, Normal | `Local(Normal)` |
    | weight under `GroupGaussianMixture` | `Local(Normal)` |
    | weight under `L2` | `Local(Delta)`: trained, not sampled |
    | gate under `L0`, Bernoulli or a gate law | `Local(HardConcrete)` |
    | scale under `LogUniform`, `EmpiricalNormal` | `Local(Normal, role="gate")` around 1 |
    | scale under `TruncatedLogUniform` | `TruncatedLogNormal` |
    | scale under Gamma, inverse Gamma, half-Cauchy | `LogNormal` |
    | any other continuous law | normal carried to its support |

    All parameters exist from the start, under stable names (`sites.fc1.weight.loc`), so the
    `state_dict` loads into a fresh guide that was never called. The posterior at a constrained
    site is a law, never a point mass with a Jacobian.

    References:
        Variational Dropout and the Local Reparameterization Trick (Kingma et al., 2015),
        https://arxiv.org/abs/1506.02557

    Args:
        model: The model: a network made by `bayesianize`, a module around one, or, with an
            example, any Pyro program.
        weight: The family of weights instead of the table's: a law whose location is trained, or
            a function of (site, options).
        gate: The family of gates, likewise, for example
            `HardConcrete(temperature=0.5, logits=2.0)`.
        init: Initial weights, as a function of (site name, shape), such as `fan_in()`; by default
            those of the network that was converted, or normal ones of variance 1 / fan-in.
        init_scale: Initial standard deviation of normal weights and scales: a number, or a
            function of (site name, shape), such as `fan_in_scale(0.1)`.
        init_gate_prob: Initial `probs` of hard concrete gates, between 0 and 1.
        shared: Sites whose sample is drawn once for all uses, exact for any likelihood: True for
            all, or a function of the site's name.
        example: Arguments to run the model on, for models that hold no bayesianized network.

    Raises:
        ValueError: The model has no latent sites, or one for which no family is known.

    Example:
        >>> from pyro_sparse.distributions import LogUniform
        >>> from pyro_sparse.nn import bayesianize
        >>> guide = AutoSparse(bayesianize(nn.Linear(3, 2), weight=LogUniform()))
        >>> [name for name, _ in guide.named_parameters()]
        ['sites.weight.loc', 'sites.weight.log_variance']
    """

    def __init__(
        self,
        model: Callable,
        *,
        weight: Choice = None,
        gate: Choice = None,
        init: Callable[[str, torch.Size], Tensor] | None = None,
        init_scale: float | Callable[[str, torch.Size], float] = 0.01,
        init_gate_prob: float = 0.9,
        shared: bool | Callable[[str], bool] = False,
        example: tuple | None = None,
    ) -> None:
        super().__init__()
        _check_options(init_scale, init_gate_prob)
        options = Options(init, init_scale, init_gate_prob)
        overrides = {"weight": weight, "gate": gate}

        self.sites = nn.Module()
        self._specs: dict[str, SiteSpec] = {}
        self._families: dict[str, Family] = {}
        for site in find_sites(model, example):
            once = shared(site.name) if callable(shared) else shared
            site = replace(site, shared=site.shared or once)
            self._specs[site.name] = site
            self._families[site.name] = build_family(site, options, overrides[site.role])
            _add(self.sites, site.name, self._families[site.name])

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        r"""Samples every site. The arguments are those of the model, and are not looked at."""

        emit_parameters(self.named_parameters("guide"))
        return {
            name: pyro.sample(name, law.to_event(self._specs[name].event_dim - law.event_dim))
            for name, law in self.laws().items()
        }

    def laws(self) -> dict[str, TorchDistribution]:
        r"""The posterior laws, elementwise, in the shapes of the sites' values."""

        return {
            name: _along(family.law(), self._specs[name].batch_dim)
            for name, family in self._families.items()
        }

    def location(self, name: str) -> nn.Parameter:
        r"""The trained parameter that says where the law of a site is: its means, or its value.

        Args:
            name: Name of the site.

        Raises:
            ValueError: There is no such site, or its family has no such parameter.
        """

        own = self._families[name]._parameters if name in self._families else {}
        for wanted in ("loc", "value"):
            if (found := own.get(wanted)) is not None:
                return found
        raise ValueError(
            f"A site has a location if its family trains a tensor 'loc' or 'value', and '{name}' "
            f"has {sorted(own) or 'no family'}."
        )

    def priors(self) -> dict[str, TorchDistribution]:
        r"""The prior laws, elementwise, over the model's own tensors."""

        return {name: site.prior for name, site in self._specs.items()}


def _along(law: TorchDistribution, batch_dim: int) -> TorchDistribution:
    if not batch_dim or not isinstance(law, Local):
        return law
    return Local(law.law, law.role, law.shared, batch_dim)


def _add(root: nn.Module, path: str, family: Family) -> None:
    *containers, last = path.split(".")
    for name in containers:
        if name not in root._modules:
            root.add_module(name, nn.Module())
        root = root.get_submodule(name)
    root.add_module(last, family)


def _check_options(init_scale: Any, init_gate_prob: float) -> None:
    if not callable(init_scale) and not init_scale > 0:
        raise ValueError(f"init_scale is a positive standard deviation, got {init_scale}.")
    if not 0 < init_gate_prob < 1:
        raise ValueError(f"init_gate_prob is between 0 and 1, got {init_gate_prob}.")
