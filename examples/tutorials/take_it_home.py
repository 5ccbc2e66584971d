# %% [markdown]
# # Take it home: compact, export, measure
#
# A posterior with closed gates is not yet a fast network. Here it becomes one: smaller layers, a
# file of the right size, an ONNX graph, and a measured speed.

# %%
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import onnxruntime
import pyro
import torch
from sklearn.datasets import load_digits
from torch import nn

from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import Budget, fit
from pyro_sparse.inspect import plots
from pyro_sparse.nn import Classifier, bayesianize
from pyro_sparse.prune import compact, count, freeze, load, masks, prob_active, save

# %% tags=["parameters"] smoke={"epochs": 5, "repeats": 3}
epochs = 40
repeats = 200

# %%
pyro.set_rng_seed(0)
torch.set_num_threads(1)
pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16).float(), torch.tensor(labels)


def dense() -> nn.Module:
    return nn.Sequential(
        nn.Linear(64, 1000), nn.ReLU(), nn.Linear(1000, 500), nn.ReLU(), nn.Linear(500, 10)
    )


net = dense()
model = Classifier(bayesianize(net, gate=L0(0.0)), num_data=len(x))
guide = AutoSparse(model, init_gate_prob=0.8)
training = fit(
    model, guide, (x, y), epochs=epochs, gate_lr=3e-2, budget=Budget(weights=0.05), progress=False
)

# %% [markdown]
# ## 1. What goes
#
# A criterion reads the posterior. `"auto"` takes each method's own, for hard concrete gates their
# value at test time. Another criterion is another decision:

# %%
for criterion in ["auto", prob_active(0.5), prob_active(0.9)]:
    kept = masks(guide, criterion)
    print({site: int(mask.sum()) for site, mask in kept.items() if "gate" in site})

# %% [markdown]
# ## 2. Exact zeros in plain torch
#
# `freeze` gives the classes you started with, and nothing of Pyro. Masks of your own are welcome.

# %%
frozen = freeze(model, guide)
zeros = (frozen[0].weight == 0).float().mean()
print(f"{type(frozen).__name__}, {zeros:.1%} zeros in the first layer")

# %% [markdown]
# ## 3. Smaller layers
#
# `compact` removes inputs, units and channels that are 0 or constant, with all that depends on
# them. Outputs are equal; inputs that are not needed are left out by index, so the network takes
# what it always took.

# %%
small = compact(frozen, x[:1])
print(small)
with torch.no_grad():
    print(f"largest difference {(small(x) - frozen(x)).abs().max():.1e}")
widths = {
    "dense": [64, 1000, 500],
    "compact": list(map(int, count(small, x[:1]).architecture.split("-"))),
}
figure, axes = plt.subplots(figsize=(6, 3))
axes = plots.architecture_bars(widths, layers=["pixels", "hidden 1", "hidden 2"], ax=axes)

# %% [markdown]
# ## 4. A file
#
# `save` writes the small network and its plan; `load` needs a fresh network of the original class.

# %%
folder = Path(tempfile.mkdtemp())
save(folder / "small.safetensors", small)
torch.save(net.state_dict(), folder / "dense.pt")
again = load(folder / "small.safetensors", dense())
assert torch.equal(again(x), small(x))
for file in sorted(folder.iterdir()):
    print(f"{file.name}: {file.stat().st_size / 1024:.0f} KiB")

# %% [markdown]
# ## 5. Somewhere else
#
# A compact network is traced torch, so whatever exports torch exports it.

# %%
batch = torch.export.Dim("batch")
program = torch.onnx.export(
    small.eval(), (x[:2],), dynamo=True, dynamic_shapes=({0: batch},), verbose=False
)
program.save(folder / "small.onnx")
session = onnxruntime.InferenceSession(folder / "small.onnx")
(output,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
print(f"ONNX differs by {np.abs(output - small(x).detach().numpy()).max():.1e}")

# %% [markdown]
# ## 6. Is it faster?
#
# Median over repeats, dense and compact in turn, so that both see the same machine.


# %%
def seconds(network: nn.Module, inputs: torch.Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        network(inputs)
    return time.perf_counter() - start


for size in [1, 1797]:
    times = np.array([[seconds(n, x[:size]) for n in (net, small)] for _ in range(repeats)])
    slow, fast = np.median(times, axis=0)
    print(f"batch {size}: {1e6 * slow:.0f} and {1e6 * fast:.0f} microseconds, x {slow / fast:.1f}")

# %% [markdown]
# Multiply-adds fall more than time does: below some size a layer costs its call. Measure on the
# machine where it shall run.
#
# Next: [feature selection](feature_selection.md), or [several GPUs](several_gpus.md).
