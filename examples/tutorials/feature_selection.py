# %% [markdown]
# # Feature selection on tabular data
#
# Which columns of a table does a network need, and how sure can we be? We know the answer here:
# to the 30 columns of the breast cancer data we add 30 columns of noise, shuffled copies of the
# real ones.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import torch
from pyro.distributions import Bernoulli, Normal
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from torch import nn

from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit, predict
from pyro_sparse.inspect import calibration_scores, gate_table
from pyro_sparse.nn import Classifier, bayesianize

# %% tags=["parameters"] smoke={"epochs": 2, "seeds": 1}
epochs = 300
seeds = 4

# %%
table = load_breast_cancer()
shuffle = np.random.default_rng(0)
noise = np.column_stack([shuffle.permutation(column) for column in table.data.T])
columns = np.hstack([table.data, noise])
columns = (columns - columns.mean(0)) / columns.std(0)
names = [*table.feature_names, *(f"noise {number}" for number in range(30))]

split = train_test_split(columns, table.target, stratify=table.target, random_state=0)
x, x_test = (torch.tensor(part).float() for part in split[:2])
y, y_test = (torch.tensor(part) for part in split[2:])

# %% [markdown]
# ## A gate for each column
#
# Before looking, each column matters with probability 1/10. A small network with normal priors
# follows; only its first layer has gates. A weight behind a closed gate costs nothing, which makes
# the posterior a spike and a slab.


# %%
def train(seed: int, gated: bool = True):
    pyro.set_rng_seed(seed)
    net = nn.Sequential(nn.Linear(60, 8), nn.ReLU(), nn.Linear(8, 2))
    network = bayesianize(
        net,
        weight=Normal(0.0, 1.0),
        gate=Bernoulli(torch.tensor(0.1)),
        gate_dim=lambda name, module: "in" if gated and name == "0" else None,
    )
    model = Classifier(network, num_data=len(x))
    guide = AutoSparse(model, init_scale=0.05)
    settings = {"lr": 3e-3, "gate_lr": 2e-2, "warm_up": (0.0, 0.5), "progress": False}
    fit(model, guide, (x, y), epochs=epochs, seed=seed, **settings)
    return model, guide


model, guide = train(seed=0)
gates = gate_table(guide).assign(column=names).set_index("column")
shown = ["prob_active", "deterministic", "keep"]
gates.sort_values("prob_active", ascending=False)[shown].head(12)

# %% [markdown]
# ## Sure of what?
#
# Columns of this table carry the same information several times over: radius, perimeter and area
# tell one story. Any of them will do, and which one is chosen differs between trainings. One
# training is therefore sure of its own choice, not of a column. Several trainings show it:

# %%
runs = [(model, guide), *(train(seed) for seed in range(1, seeds))]
probabilities = np.stack([gate_table(guide).prob_active for _, guide in runs])
mean = probabilities.mean(0)

figure, axes = plt.subplots(figsize=(6, 4.5))
order = np.argsort(mean)[-15:]
for run in probabilities:
    axes.plot(run[order], range(len(order)), "o", color="0.7", markersize=4)
axes.plot(mean[order], range(len(order)), "D", color="#1f5a85")
axes.set(yticks=range(len(order)), yticklabels=[names[i] for i in order], xlabel="P(active)")
figure.tight_layout()

# %%
used = probabilities > 0.5
print(f"real columns used: {used[:, :30].sum(1).mean():.1f} of 30")
print(f"noise columns used: {used[:, 30:].sum(1).mean():.1f} of 30")

# %% [markdown]
# ## Does it cost accuracy?
#
# The same networks without gates see all 60 columns. Predictions are averaged over trainings;
# `nll`, `brier` and `ece` say whether their probabilities can be trusted (less is better).


# %%
def scores(runs) -> dict[str, float]:
    probs = torch.stack([predict(model, guide, x_test).probs for model, guide in runs]).mean(0)
    return calibration_scores(probs, y_test)


dense = [train(seed, gated=False) for seed in range(seeds)]
pd.DataFrame({"gates": scores(runs), "all columns": scores(dense)}).round(3)

# %% [markdown]
# `python -m examples.feature_selection` asks the same of three tables, with repeats.
