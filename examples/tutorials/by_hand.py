# %% [markdown]
# # Model and guide by hand
#
# `bayesianize` and `AutoSparse` write `pyro.sample` statements for you. Here we write them
# ourselves: a logistic regression on 64 pixels with a gate for each pixel, trained with Pyro's own
# `SVI`.

# %%
import matplotlib.pyplot as plt
import pyro
import torch
from pyro.distributions import Bernoulli, Categorical, Normal
from sklearn.datasets import load_digits
from torch import nn

from pyro_sparse import Local, citations
from pyro_sparse.distributions import HardConcrete
from pyro_sparse.infer import TraceSparse_ELBO, predict
from pyro_sparse.inspect import gate_table, plots
from pyro_sparse.prune import masks

# %% tags=["parameters"] smoke={"epochs": 2}
epochs = 80

# %%
pyro.set_rng_seed(0)
pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16).float(), torch.tensor(labels)

# %% [markdown]
# ## The model
#
# Each pixel is used or not, with a coin of 1/50 before we look; a weight is normal. The statement
# of the weight names its gate, so that its divergence counts only as often as the gate is open:
# that makes the posterior a spike and a slab. One pixel's gate controls the weights in its column.


# %%
def model(x, y=None):
    z = pyro.sample("z", Bernoulli(torch.full((64,), 0.02)).to_event(1))
    prior = Normal(torch.zeros(10, 64), 1.0).to_event(2)
    w = pyro.sample("w", prior, infer={"gated_by": "z"})
    logits = nn.functional.linear(x * z, w)
    with pyro.plate("data", 1797, subsample=x):
        return pyro.sample("y", Categorical(logits=logits), obs=y)


# %% [markdown]
# The plate says that there are 1,797 images, of which a batch shows some: it scales the
# likelihood.
#
# ## The guide
#
# `Local(law)` is the only new word. Its sample has no numbers until an operation needs them.
# `x * z` stays deferred, `linear` receives it together with `w`, draws gates for every image and
# then the *outputs* instead of the weights, which is far less noisy. The model above knows nothing
# of this.


# %%
def guide(x, y=None):
    logits = pyro.param("logits", torch.ones(64))
    loc = pyro.param("loc", 0.1 * torch.randn(10, 64))
    log_scale = pyro.param("log_scale", torch.full((10, 64), -4.0))
    pyro.sample("z", Local(HardConcrete(logits=logits)).to_event(1))
    pyro.sample("w", Local(Normal(loc, log_scale.exp())).to_event(2))


# %% [markdown]
# ## Training with Pyro's SVI

# %%
pyro.clear_param_store()
elbo = TraceSparse_ELBO()
svi = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 2e-2}), elbo)

for epoch in range(epochs):
    losses = [svi.step(x[batch], y[batch]) for batch in torch.randperm(len(x)).split(128)]
    if epoch % 10 == 0 or epoch == epochs - 1:
        print(f"epoch {epoch}: {sum(losses) / len(losses) / len(x):.4f} nats an example")

# %% [markdown]
# The bound keeps its parts: the likelihood and one divergence a site, in nats of the whole data,
# and whether a rule gave it or a draw.

# %%
print(f"log likelihood {elbo.parts.log_likelihood:.1f}")
for site, divergence in elbo.parts.kl.items():
    print(f"divergence of {site}: {divergence:.1f}, analytic: {elbo.parts.analytic[site]}")

# %% [markdown]
# ## With a torch optimiser
#
# The bound is also a module of model and guide: calling it gives the loss, and any optimiser can
# train what `pyro.param` keeps. With `TraceSparse_ELBO(compile=True)` it is one compiled graph.

# %%
bound = TraceSparse_ELBO()(model, guide)
parameters = [tensor for _, tensor in pyro.get_param_store().named_parameters()]
optimizer = torch.optim.Adam(parameters, lr=2e-3)

for batch in torch.randperm(len(x)).split(128):
    optimizer.zero_grad()
    (bound(x[batch], y[batch]) / len(x)).backward()
    optimizer.step()

# %% [markdown]
# ## Which pixels?
#
# A guide by hand takes its arguments along, since it has to be run to show its laws.

# %%
table = gate_table(guide, x, y)
print(table.head())
figure, axes = plt.subplots(figsize=(4, 3))
axes = plots.input_pixels(table.prob_active.to_numpy(), ax=axes)

# %%
kept = masks(guide, "deterministic_gate", x, y)["z"]
error = (predict(model, guide, x).probs.argmax(-1) != y).float().mean()
print(f"{int(kept.sum())} pixels of 64, training error {error:.1%}")

# %% [markdown]
# ## Whom to cite
#
# A program by hand is run once to see its laws.

# %%
print(citations(model, guide, example=(x[:2], y[:2])))

# %% [markdown]
# Next: a [law of your own](../own_law.md), or [how it works](../how_it_works.md).
