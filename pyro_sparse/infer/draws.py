r"""Draws of whole networks: one sample of every weight, and what a model says of its data then."""

__all__ = ["evaluating", "global_draws", "guide_draw", "law_of", "model_draw"]

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pyro import poutine
from pyro.distributions import MaskedDistribution
from pyro.poutine.messenger import Messenger
from pyro.poutine.trace_messenger import TraceMessenger
from pyro.poutine.util import site_is_subsample
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from pyro_sparse.infer.statements import Site, is_latent, is_likelihood
from pyro_sparse.local import Local


class global_draws(Messenger):
    r"""Draws each `Local` site of a program at once, as one ordinary sample.

    Local noise belongs to a batch: a weight has another draw for every example. Whoever looks at
    draws of the network itself, to predict at several inputs with *one* network or to keep its
    weights, wants numbers. Inside this handler every `Local` law is `shared`.

    Example:
        >>> import pyro
        >>> from torch.distributions import Normal
        >>> with global_draws():
        ...     weight = pyro.sample("w", Local(Normal(0.0, 1.0)))
        >>> type(weight)
        <class 'torch.Tensor'>
    """

    def _pyro_sample(self, msg: Any) -> None:
        msg["fn"] = _shared(msg["fn"])


def guide_draw(guide: Callable, *args: Any, **kwargs: Any) -> dict[str, Site]:
    r"""One global draw from a guide: its latent sites, as nodes of Pyro's trace.

    Args:
        guide: The guide.
        *args: Its arguments.
        **kwargs: Its keyword arguments.
    """

    with poutine.block(), poutine.trace() as tracer, global_draws():
        guide(*args, **kwargs)

    return {name: site for name, site in _sites(tracer) if is_latent(site)}


def model_draw(
    model: Callable, values: Mapping[str, Tensor], *args: Any, **kwargs: Any
) -> dict[str, Site]:
    r"""Runs a model with given values of its latent sites: its sites, as nodes of Pyro's trace.

    What the guide leaves open is observed, or else drawn.

    Args:
        model: The model.
        values: Values by site name; names that the model does not have are ignored.
        *args: Arguments of the model.
        **kwargs: Its keyword arguments.
    """

    with poutine.block(), poutine.trace() as tracer, _Given(values):
        model(*args, **kwargs)

    return dict(_sites(tracer))


def law_of(
    site: str, model: Callable, values: Mapping[str, Tensor], *args: Any, **kwargs: Any
) -> Distribution:
    r"""The law of one outcome. The model stops there, so that nothing is sampled from it.

    Args:
        site: Name of the outcome.
        model: The model.
        values: Values of its latent sites.
        *args: Arguments of the model.
        **kwargs: Its keyword arguments.
    """

    given = _Given(values, until=site)
    with suppress(_Reached), poutine.block(), given:
        model(*args, **kwargs)

    assert given.law is not None, f"the model never came to '{site}'"
    return given.law


@contextmanager
def evaluating(*programs: Callable) -> Iterator[None]:
    r"""Puts the modules among the programs in evaluation mode, and each back in its own after."""

    modules = [m for p in programs if isinstance(p, nn.Module) for m in p.modules()]
    trained = [module for module in modules if module.training]

    for module in trained:
        module.training = False

    try:
        yield
    finally:
        for module in trained:
            module.training = True


class _Reached(Exception):
    """The site that was asked for."""


class _Given(Messenger):
    def __init__(self, values: Mapping[str, Tensor], until: str | None = None) -> None:
        super().__init__()
        self.values = values
        self.until = until
        self.law: Any = None

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == self.until:
            self.law = msg["fn"]
            raise _Reached

        if msg["name"] in self.values and not msg["is_observed"]:
            msg["value"] = self.values[msg["name"]]
            msg["done"] = True


def _sites(tracer: TraceMessenger) -> Iterator[tuple[str, Site]]:
    """Sample statements, without the indices of plates and deterministic values."""
    nodes: dict[str, Any] = dict(tracer.trace.nodes)
    for name, site in nodes.items():
        if (is_latent(site) or is_likelihood(site)) and not site_is_subsample(site):
            yield name, site


def _shared(law: Any) -> Any:
    """The law with one ordinary draw in the place of each local one."""
    if isinstance(law, Local):
        return law if law.shared else Local(law.law, law.role, True, law.batch_dim)

    base = _shared(law.base_dist) if isinstance(law, Independent | MaskedDistribution) else None
    if base is None or base is law.base_dist:
        return law

    if isinstance(law, Independent):
        return base.to_event(law.reinterpreted_batch_ndims)
    return base.mask(law._mask)
