"""Small trainings that several test files run."""

from typing import Any

import torch
from torch import Tensor, nn

from pyro_sparse.distributions import L0, GroupGaussianMixture
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, Training, fit
from pyro_sparse.nn import Classifier, bayesianize


def data(size: int = 90) -> tuple[Tensor, Tensor]:
    """Three classes that two of four inputs decide."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(size, 4, generator=generator)
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def program(seed: int = 0, size: int = 90) -> tuple[Classifier, AutoSparse]:
    """Gates, sampled weights under a prior that makes EM steps, and their guide."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.1), nn.Linear(6, 3))
    prior = GroupGaussianMixture(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(0.1))
    model = Classifier(bayesianize(net, gate=L0(0.1), weight=prior), num_data=size)
    return model, AutoSparse(model, init_gate_prob=0.7)


class Stopping(TraceSparse_ELBO):
    """Is interrupted before a step, as by Ctrl-C."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.before = before

    def differentiable_loss(self, *args: Any, **kwargs: Any) -> Tensor:
        if self.step == self.before:
            raise KeyboardInterrupt
        return super().differentiable_loss(*args, **kwargs)


def train(model: Any, guide: Any, given: Any = None, **settings: Any) -> Training:
    """A short training without a bar."""
    settings = {"epochs": 4, "batch_size": 32, "lr": 1e-2, "gate_lr": 5e-2, **settings}
    settings.setdefault("seed", 7)
    return fit(model, guide, data() if given is None else given, progress=False, **settings)


def numbers(training: Training) -> dict[str, Any]:
    """Everything that two equal trainings have in common."""
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in training.rows]
    tensors = [t.clone() for t in training.programs.state_dict().values()]
    return {"rows": rows, "tensors": tensors, "next": torch.rand(3)}


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert left["rows"] == right["rows"]
    assert torch.equal(left["next"], right["next"])
    for one, other in zip(left["tensors"], right["tensors"], strict=True):
        assert torch.equal(one, other)
