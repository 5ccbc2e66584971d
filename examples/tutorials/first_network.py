# %% [markdown]
# # First sparse network
#
# Handwritten digits, 64 pixels each. We train an ordinary network whose inputs and hidden units
# have gates, look at what it needs, and take home a smaller network with the same answers.

# %%
import matplotlib.pyplot as plt
import pyro
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from pyro_sparse import citations
from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit, predict
from pyro_sparse.inspect import gate_table, plots, report
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze

# %% tags=["parameters"] smoke={"epochs": 2}
epochs = 100

# %% [markdown]
# ## Data and network
#
# The network is plain torch. Nothing about it is special.

# %%
pyro.set_rng_seed(0)
pixels, labels = load_digits(return_X_y=True)
split = train_test_split(pixels / 16, labels, test_size=0.25, stratify=labels, random_state=0)
x, x_test = (torch.tensor(part).float() for part in split[:2])
y, y_test = (torch.tensor(part) for part in split[2:])

net = nn.Sequential(
    nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
)
print(count(net, x[:1]))

# %% [markdown]
# ## Model and guide
#
# `bayesianize` returns a new network in which every layer has a gate for each of its inputs, under
# a prior that charges for open gates: `L0(0.1)` is a tenth of a nat for each weight that a gate
# controls. `Classifier` adds the likelihood. The guide has a hard concrete law for each gate: a
# random number that is exactly 0, exactly 1 or in between.

# %%
model = Classifier(bayesianize(net, gate=L0(0.1)), num_data=len(x))
guide = AutoSparse(model, init_gate_prob=0.5)
training = fit(model, guide, (x, y), epochs=epochs, lr=3e-3, gate_lr=3e-2, progress=False)
print(f"negative bound in nats an example: {training.rows[-1]['loss']:.3f}")

# %% [markdown]
# ## What is left?
#
# One row a layer: gates kept, their probability to be open, divergence, weights and multiply-adds.

# %%
report(model, guide, x[:2])

# %%
table = gate_table(guide)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4), width_ratios=[3, 2])
probabilities = {
    site: rows.prob_active.to_numpy() for site, rows in table.groupby("site", sort=False)
}
plots.gate_probabilities(probabilities, ax=left)
plots.input_pixels(next(iter(probabilities.values())), ax=right)
figure.tight_layout()

# %% [markdown]
# Gates have made up their minds: they are nearly open or nearly closed. The picture on the right
# shows the pixels; those at the edge, which are always empty, went first.
#
# ## Predictions know what they do not know
#
# `predict` averages over networks drawn from the posterior. The part of the uncertainty on which
# these networks disagree is called epistemic.

# %%
prediction = predict(model, guide, x_test)
wrong = prediction.probs.argmax(-1) != y_test
print(f"test error {wrong.float().mean():.1%}")
if wrong.any():
    right_ones, wrong_ones = (prediction.epistemic[mask].mean() for mask in (~wrong, wrong))
    print(f"epistemic uncertainty: right {right_ones:.3f}, wrong {wrong_ones:.3f} nats")

# %% [markdown]
# ## Take it home
#
# `freeze` makes the network that the posterior stands for, with exact zeros; `compact` removes
# what they make superfluous. The result is plain torch and gives the same outputs.

# %%
frozen = freeze(model, guide)
small = compact(frozen, x[:1], allow_empty=True)
print(small)
print(count(small, x[:1]))

with torch.no_grad():
    difference = (small(x_test) - frozen(x_test)).abs().max()
    error = (small(x_test).argmax(-1) != y_test).float().mean()
print(f"largest difference {difference:.1e}, test error {error:.1%}")

# %% [markdown]
# ## Whom to cite

# %%
print(citations(guide))

# %% [markdown]
# Next: [the same by hand](by_hand.md), or [say the size](choose_a_size.md) instead of a price.
