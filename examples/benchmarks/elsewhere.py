"""The same kind of training step in other libraries, as far as they are installed."""

__all__ = ["elsewhere"]

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Step = Callable[[], Any]


def elsewhere(net: nn.Sequential, x: Tensor, y: Tensor, num_data: int) -> dict[str, Step]:
    """Steps by name: normal posteriors, standard normal priors, Adam.

    Args:
        net: A perceptron.
        x: Inputs, `(B, features)`.
        y: Labels, `(B,)`.
        num_data: Number of examples of the whole data set.
    """
    found: dict[str, Step] = {}
    for name, build in (
        ("NumPyro, jitted", _numpyro),
        ("bayesian-torch", _bayesian_torch),
        ("TyXe", _tyxe),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found[name] = build(net, x, y, num_data)
                found[name]()
        except Exception as error:
            found.pop(name, None)
            print(f"{name}: not run, {type(error).__name__}: {str(error).splitlines()[0]}")
    return found


def _numpyro(net: nn.Sequential, x: Tensor, y: Tensor, num_data: int) -> Step:
    import jax
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist
    from numpyro.infer import SVI, TraceMeanField_ELBO
    from numpyro.optim import Adam

    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    weights = [jnp.asarray(layer.weight.detach().numpy()) for layer in layers]
    biases = [jnp.asarray(layer.bias.detach().numpy()) for layer in layers]

    def model(x: Any, y: Any) -> None:
        for i, (start, bias) in enumerate(zip(weights, biases, strict=True)):
            prior = dist.Normal(jnp.zeros(start.shape), 1.0).to_event(2)
            x = jax.nn.relu(x) if i else x
            x = x @ numpyro.sample(f"w{i}", prior).T + numpyro.param(f"b{i}", bias)
        with numpyro.plate("data", num_data, subsample_size=len(x)):
            numpyro.sample("y", dist.Categorical(logits=x), obs=y)

    def guide(x: Any, y: Any) -> None:
        for i, start in enumerate(weights):
            loc = numpyro.param(f"loc{i}", start)
            log_variance = numpyro.param(f"log_variance{i}", jnp.full(start.shape, -9.0))
            numpyro.sample(f"w{i}", dist.Normal(loc, jnp.exp(log_variance / 2)).to_event(2))

    svi = SVI(model, guide, Adam(1e-4), TraceMeanField_ELBO())
    data = jnp.asarray(x.numpy()), jnp.asarray(y.numpy())
    state = svi.init(jax.random.PRNGKey(0), *data)
    update = jax.jit(svi.update, donate_argnums=0)
    box = [state]

    def step() -> None:
        box[0], loss = update(box[0], *data)
        loss.block_until_ready()

    return step


def _bayesian_torch(net: nn.Sequential, x: Tensor, y: Tensor, num_data: int) -> Step:
    import copy

    from bayesian_torch.models.dnn_to_bnn import dnn_to_bnn, get_kl_loss

    bayesian = copy.deepcopy(net)
    settings: dict[str, Any] = {"prior_mu": 0.0, "prior_sigma": 1.0, "posterior_mu_init": 0.0}
    settings |= {"posterior_rho_init": -4.5, "type": "Reparameterization"}
    dnn_to_bnn(bayesian, settings | {"moped_enable": False, "moped_delta": 0.5})
    optimizer = torch.optim.Adam(bayesian.parameters(), 1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(bayesian(x), y) + get_kl_loss(bayesian) / num_data
        loss.backward()
        optimizer.step()

    return step


def _tyxe(net: nn.Sequential, x: Tensor, y: Tensor, num_data: int) -> Step:
    import copy

    import tyxe
    from pyro.distributions import Normal
    from pyro.infer import SVI, TraceMeanField_ELBO
    from pyro.optim import PyroOptim

    guide = partial(tyxe.guides.AutoNormal, init_scale=1e-2)
    likelihood = tyxe.likelihoods.Categorical(num_data)
    prior = tyxe.priors.IIDPrior(Normal(0.0, 1.0))
    bayesian = tyxe.VariationalBNN(copy.deepcopy(net), prior, likelihood, guide)
    optimizer = PyroOptim(torch.optim.Adam, {"lr": 1e-4})
    svi = SVI(bayesian.model, bayesian.guide, optimizer, TraceMeanField_ELBO())

    def step() -> None:
        with tyxe.poutine.local_reparameterization():
            svi.step((x,), y)

    return step
