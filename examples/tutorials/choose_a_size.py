# %% [markdown]
# # Choose a size with `Budget`
#
# A price for weights has to be searched until the network has the size you need. A `Budget` says
# the size, and finds the price while it trains.

# %%
import time

import matplotlib.pyplot as plt
import pyro
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, fit
from pyro_sparse.nn import Classifier, bayesianize, gate_sites
from pyro_sparse.prune import compact, count, freeze

# %% tags=["parameters"] smoke={"epochs": 5, "shares": [0.3]}
epochs = 40
shares = [0.5, 0.2, 0.1, 0.04]

# %%
pixels, labels = load_digits(return_X_y=True)
split = train_test_split(pixels / 16, labels, test_size=0.25, stratify=labels, random_state=0)
x, x_test = (torch.tensor(part).float() for part in split[:2])
y, y_test = (torch.tensor(part) for part in split[2:])


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )


# %% [markdown]
# ## One size
#
# The gates' own prior charges nothing, `L0(0.0)`: the budget alone closes them. For the first part
# of the training the allowed size falls evenly from the whole network to the budget; in the last
# part what is too much is closed for good, and training goes on with what is left. (`Budget` has
# the formulas.)


# %%
def train(budget: Budget | None, epochs: int) -> nn.Module:
    pyro.set_rng_seed(0)
    model = Classifier(bayesianize(dense(), gate=L0(0.0)), num_data=len(x))
    guide = AutoSparse(model, init_gate_prob=0.8)
    settings = {"lr": 3e-3, "gate_lr": 3e-2, "progress": False}
    fit(model, guide, (x, y), epochs=epochs, budget=budget, **settings)
    return compact(freeze(model, guide), x[:1])


start = time.perf_counter()
small = train(Budget(weights=shares[-1]), epochs)
print(f"{time.perf_counter() - start:.0f} seconds")
print(count(small, x[:1]))

# %%
asked = shares[-1] * count(dense(), x[:1]).weights
print(f"asked for at most {asked:.0f} weights, got {count(small, x[:1]).weights}")

# %% [markdown]
# The size never ends above the budget. It may end a little below, where the next unit would not
# fit.
#
# ## A curve of sizes
#
# Each size is one training. (`pyro_sparse.infer.sweep` does this for long trainings, and goes on
# where it was interrupted.)

# %%
sizes, errors = [], []
for share in shares:
    network = train(Budget(weights=share), epochs)
    with torch.no_grad():
        wrong = (network(x_test).argmax(-1) != y_test).float().mean().item()
    sizes.append(count(network, x[:1]).weights)
    errors.append(100 * wrong)
    widths = count(network, x[:1]).architecture
    print(f"{share:6.1%}: {sizes[-1]:6d} weights, {widths}, error {wrong:.1%}")

# %%
figure, axes = plt.subplots(figsize=(5, 3))
axes.semilogx(sizes, errors, "o-")
axes.set(xlabel="weights", ylabel="test error, %")
axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
axes.minorticks_off()
figure.tight_layout()

# %% [markdown]
# ## Multiply-adds instead of weights
#
# In a convolutional network they are not the same: its convolutions have few weights and most of
# the multiply-adds. `gate_sites` proposes where units can be gated so that closed ones can be
# removed exactly.

# %%
convolutional = nn.Sequential(
    nn.Unflatten(1, (1, 8)),
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 16, 3),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(576, 10),
)
images = x.unflatten(1, (8, 8))
sites = gate_sites(convolutional, images[:2])
print(sites)

# %%
pyro.set_rng_seed(0)
network = bayesianize(convolutional, gate=L0(0.0), gate_dim=sites)
model = Classifier(network, num_data=len(x))
guide = AutoSparse(model, init_gate_prob=0.8)
fit(
    model,
    guide,
    (images, y),
    epochs=max(epochs // 3, 5),
    gate_lr=3e-2,
    budget=Budget(macs=0.3),
    progress=False,
)
small = compact(freeze(model, guide), images[:1])
before, after = (count(net, images[:1]) for net in (convolutional, small))
print(after)
print(f"{after.macs / before.macs:.1%} of the multiply-adds")

# %% [markdown]
# Next: [take it home](take_it_home.md).
