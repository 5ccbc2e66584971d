# %% [markdown]
# # Look at the posterior with ArviZ
#
# A sparse posterior is a posterior: draws, summaries, leave-one-out cross-validation, comparison
# of models. `to_arviz` puts all that is known of it into ArviZ's container, in its 0.22 line and
# in 1.0 alike.

# %%
import importlib
import warnings

import matplotlib.pyplot as plt
import pyro
import torch
from pyro.distributions import Bernoulli, Normal
from sklearn.datasets import load_diabetes
from torch import nn

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit
from pyro_sparse.inspect import to_arviz
from pyro_sparse.nn import Regressor, bayesianize

warnings.simplefilter("ignore")  # the older line announces the newer one
arviz = importlib.import_module("arviz")

# %% tags=["parameters"] smoke={"epochs": 2, "num_samples": 100}
epochs = 300
num_samples = 500

# %% [markdown]
# ## A model with gated features
#
# Ten measurements of 442 patients, and how their diabetes went on. A coin of `prior` decides
# whether a feature is used.

# %%
pyro.set_rng_seed(0)
data = load_diabetes(scaled=False)
x = torch.tensor((data.data - data.data.mean(0)) / data.data.std(0)).float()
y = torch.tensor((data.target - data.target.mean()) / data.target.std()).float()[:, None]


def train(prior: float):
    net = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 1))
    first = bayesianize(
        net,
        weight=Normal(0.0, 0.5),
        gate=Bernoulli(torch.tensor(prior)),
        gate_dim=lambda name, module: "in" if name == "0" else None,
    )
    model = Regressor(first, num_data=len(x), noise=0.7)
    guide = AutoSparse(model, init_gate_prob=0.8)
    fit(model, guide, (x, y), epochs=epochs, lr=5e-3, gate_lr=1e-2, progress=False)
    return model, guide


model, guide = train(prior=0.2)

# %% [markdown]
# ## Into ArviZ
#
# Draws of the gates under the names of the features; beside them the predictions, the likelihood
# of each patient, the observed data, and numbers that need no draws.


# %%
def described(model, guide):
    pyro.set_rng_seed(0)
    return to_arviz(
        model,
        guide,
        x,
        y,
        num_samples=num_samples,
        dims={"0.gate": ["feature"]},
        coords={"feature": data.feature_names},
    )


result = described(model, guide)
print(result)

# %%
arviz.summary(result, var_names=["0.gate"], kind="stats")

# %% [markdown]
# The draws are independent, so r-hat and effective sample sizes would say nothing. What was known
# without draws is in `constant_data`:

# %%
result["constant_data"]["0.gate.prob_active"].to_series().sort_values()

# %%
arviz.plot_forest(result, var_names=["0.gate"], combined=True)
plt.gcf().set_size_inches(6, 4)

# %% [markdown]
# ## Does it predict?
#
# Leave-one-out cross-validation by importance sampling estimates how well an unseen patient is
# predicted, and its Pareto k says for which patients the estimate can be trusted.

# %%
arviz.loo(result)

# %% [markdown]
# Where k is bad, single draws decide what is said of a patient, and the estimate is too good;
# more draws help.
#
# ## How sparse?
#
# A coin of 1/1000 closes more gates. ArviZ compares.

# %%
sparser = described(*train(prior=0.001))
print(sparser["constant_data"]["0.gate.prob_active"].to_series().round(2).to_string())
arviz.compare({"prior 0.2": result, "prior 0.001": sparser})

# %% [markdown]
# `save_arviz` and `load_arviz` keep a result in a file. Next:
# [feature selection](feature_selection.md).
