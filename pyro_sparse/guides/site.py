r"""What a guide has to know of a model's latent sites."""

__all__ = ["SiteSpec", "find_sites"]

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn
from torch.distributions import Bernoulli, Distribution, biject_to

from pyro_sparse.distributions import L0, Gate
from pyro_sparse.local import law_tensors, peel
from pyro_sparse.prior import Prior


@dataclass(frozen=True)
class SiteSpec:
    r"""A latent site of a model.

    Args:
        name: Name of the site.
        source: The prior's law, or the module that owns it.
        shape: Shape of the site's value.
        like: A tensor of any shape, of the dtype and on the device of the site's value.
        event_dim: Number of event dimensions.
        role: "weight" or "gate".
        initial: The value the site had in a trained network, of its shape, or None.
        shared: Whether the site's value is used in several places.
        batch_dim: The dimension of activations that counts examples.
    """

    name: str
    source: Prior | TorchDistribution
    shape: torch.Size
    like: Tensor
    event_dim: int
    role: str
    initial: Tensor | None = None
    shared: bool = False
    batch_dim: int = 0

    @property
    def prior(self) -> TorchDistribution:
        r"""The elementwise law of the prior, as it is now."""

        return self.source.base if isinstance(self.source, Prior) else self.source

    def full(self, value: float) -> Tensor:
        r"""A constant of the site's shape, dtype and device."""

        return self.like.new_full(self.shape, value)

    def weights(self) -> Tensor:
        r"""Initial weights: the trained ones, or normal ones of variance 1 / fan-in."""

        if self.initial is not None:
            return self.initial
        fan_in = (
            math.prod(self.shape[1:]) if len(self.shape) > 1 else max(math.prod(self.shape), 1)
        )
        return torch.randn_like(self.full(0.0)) / math.sqrt(fan_in)


def find_sites(model: Callable, example: tuple | None) -> list[SiteSpec]:
    r"""The latent sites of a model.

    Args:
        model: A model around bayesianized networks, whose priors are found without running it;
            any other model is run on the example.
        example: Arguments of the model, or None.

    Raises:
        ValueError: Nothing was found, or a site cannot have a guide made for it.
    """

    if example is not None:
        return _traced(model, example)

    priors = _priors(model)
    if not priors:
        raise ValueError(
            f"A guide needs latent sites, and {type(model).__name__} holds no priors made by "
            "bayesianize. Give arguments to run the model on: AutoSparse(model, example=(x, y))."
        )
    return [_of_prior(prior) for prior in priors.values()]


def _priors(model: Callable) -> dict[str, Prior]:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    return {module.site: module for module in modules if isinstance(module, Prior)}


def _of_prior(prior: Prior) -> SiteSpec:
    return SiteSpec(
        name=prior.site,
        source=prior,
        shape=prior.shape,
        like=prior.like,
        event_dim=len(prior.shape),
        role=prior.role,
        initial=prior.initial,
        shared=prior.shared,
        batch_dim=prior.batch_dim,
    )


def _traced(model: Callable, example: tuple) -> list[SiteSpec]:
    with poutine.block(), torch.no_grad(), _evaluating(model), _Initialise(_like(example)):
        trace = poutine.trace(model).get_trace(*example)

    latent = {
        name: node
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and not node["is_observed"] and not site_is_subsample(node)
    }
    if not latent:
        raise ValueError("A guide needs latent sites, and the model samples none of its own.")
    priors = _priors(model)
    return [
        _of_prior(priors[name]) if name in priors else _of_node(name, node)
        for name, node in latent.items()
    ]


@contextmanager
def _evaluating(model: Callable) -> Iterator[None]:
    # A run in training mode would count as a step of batch norms.
    modules = model.modules() if isinstance(model, nn.Module) else ()
    trained = [module for module in modules if module.training]
    for module in trained:
        module.training = False

    try:
        yield
    finally:
        for module in trained:
            module.training = True


def _like(example: tuple) -> Tensor:
    given = (x for x in example if isinstance(x, Tensor) and x.is_floating_point())
    return next(given, torch.zeros(()))


def _of_node(name: str, node: Any) -> SiteSpec:
    if node["cond_indep_stack"]:
        plates = [frame.name for frame in node["cond_indep_stack"]]
        raise ValueError(
            f"AutoSparse guides global sites, and '{name}' is inside plates {plates}. "
            "Write the guide by hand, with the same plates."
        )

    law: Any = peel(node["fn"])
    role = "gate" if isinstance(law, (L0, Bernoulli, Gate)) else "weight"
    return SiteSpec(
        name=name,
        source=law,
        shape=node["fn"].shape(),
        like=node["value"],
        event_dim=node["fn"].event_dim,
        role=node["infer"].get("role", role),
    )


class _Initialise(Messenger):
    """Gives every latent site a value of its support without sampling the prior."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.like = like

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or msg["value"] is not None or site_is_subsample(msg):
            return

        law = peel(msg["fn"])
        _check_continuous(msg["name"], law)
        like = next((t for _, t in law_tensors(law) if t.is_floating_point()), self.like)
        if isinstance(law, Bernoulli):
            msg["value"] = like.new_ones(msg["fn"].shape())
        else:
            transform = biject_to(law.support)
            shape = torch.Size(transform.inverse_shape(msg["fn"].shape()))
            msg["value"] = transform(like.new_zeros(shape))
        msg["done"] = True


def _check_continuous(name: str, law: Distribution) -> None:
    discrete = getattr(law.support, "is_discrete", False)
    if discrete and not isinstance(law, Bernoulli):
        raise ValueError(
            f"AutoSparse guides continuous sites and gates, and site '{name}' is "
            f"{type(law).__name__}, a discrete law. Write the guide by hand."
        )
