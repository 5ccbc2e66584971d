# %% [markdown]
# # Several GPUs
#
# `fit` notices when several processes run it. The program does not change; it is started by
# `torchrun`, once for each GPU. Without a GPU the processes share the CPU, which is slower but the
# same, and lets this page run anywhere.

# %%
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# %% tags=["parameters"] smoke={"epochs": 1}
epochs = 10

# %% [markdown]
# ## The program
#
# Two lines more than on one GPU: the process joins the others, and moves to its own device. Each
# process reads its share of every batch; gradients are averaged by torch's
# `DistributedDataParallel`; only the first process writes.

# %%
program = """
import json
import os

import pyro
import torch
from sklearn.datasets import load_digits
from torch import distributed, nn

from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import fit
from pyro_sparse.nn import Classifier, bayesianize

torch.set_num_threads(1)
gpu = torch.cuda.is_available()
if "RANK" in os.environ:
    distributed.init_process_group("nccl" if gpu else "gloo")  # meets the others
device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if gpu else "cpu")

pixels, labels = load_digits(return_X_y=True)
x, y = torch.tensor(pixels / 16).float().to(device), torch.tensor(labels, device=device)

pyro.set_rng_seed(0)  # the same network everywhere
net = nn.Sequential(nn.Linear(64, 300), nn.ReLU(), nn.Linear(300, 10))
model = Classifier(bayesianize(net, gate=L0(0.1)), num_data=len(x)).to(device)
guide = AutoSparse(model, init_gate_prob=0.5).to(device)
training = fit(
    model, guide, (x, y), epochs=int(os.environ["EPOCHS"]), batch_size=128, seed=0, progress=False,
    checkpoint=os.environ["CHECKPOINT"], resume=True,
)

if training.ranks.first:
    losses = [row["loss"] for row in training.rows]
    print(json.dumps({"processes": training.ranks.count, "loss": losses}))
if distributed.is_initialized():
    distributed.destroy_process_group()
"""
folder = Path(tempfile.mkdtemp())
_ = (folder / "train.py").write_text(program)

# %% [markdown]
# ## One process, and two
#
# In a shell: `python train.py` and `torchrun --nproc-per-node 2 train.py`. `--nproc-per-node gpu`
# takes all GPUs of a machine.


# %%
def run(*launcher: str, checkpoint: str) -> dict:
    settings = {"EPOCHS": str(epochs), "CHECKPOINT": str(folder / checkpoint)}
    command = [sys.executable, *launcher, str(folder / "train.py")]
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
alone = run(checkpoint="alone.pt")
together = run(*torchrun, checkpoint="together.pt")
for epoch, (one, two) in enumerate(zip(alone["loss"], together["loss"], strict=True), 1):
    print(f"epoch {epoch}: one process {one:.4f}, two {two:.4f}")

# %% [markdown]
# The objective is the same, batch for batch; the noise differs, since each process draws its own.
# The batch of 128 is the whole one: with twice the processes each holds half of it.
#
# ## Going on
#
# `checkpoint` and `resume=True` make a training one that can be interrupted. Started again it goes
# on where it was; one that was complete returns at once:

# %%
again = run(*torchrun, checkpoint="together.pt")
assert again["loss"] == together["loss"]

# %% [markdown]
# ## What to mind
#
# - Data in memory are shared out by `fit`; a `DataLoader` of your own wants a
#   `DistributedSampler`.
# - Seed before the network is made, so that it is the same everywhere.
# - Compilation works in each process: `elbo=TraceSparse_ELBO(compile=True)`.
# - `python -m examples.distributed` is this program with validation and a compact network.
