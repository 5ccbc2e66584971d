"""Which parameters a model and a guide have."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.autoguide import AutoNormal
from torch import Tensor, nn

from pyro_sparse.infer.batches import LoaderBatches, TensorBatches
from pyro_sparse.infer.programs import first_batch, trained_parameters
from tests.infer.programs import data, program

BATCHES = TensorBatches(data(), 32)


def regression(x: Tensor, y: Tensor) -> None:
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("obs", dist.Normal(slope * x[:, 0], 1.0), obs=y.float())


def test_those_of_modules() -> None:
    model, guide = program()
    guide.get_parameter("sites.0.weight.loc").requires_grad_(False)

    found = trained_parameters(model, guide, BATCHES)

    owned = {f"guide.{n}": p for n, p in guide.named_parameters() if p.requires_grad}
    owned |= {f"model.{n}": p for n, p in model.named_parameters()}
    assert found.keys() == owned.keys()
    assert all(found[name] is owned[name] for name in found)


def test_those_that_a_module_asks_the_store_for() -> None:
    class Guide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor, y: Tensor) -> None:
            scale = pyro.param("scale", torch.ones(()), constraint=dist.constraints.positive)
            pyro.sample("slope", dist.Normal(self.loc, scale))

    found = trained_parameters(regression, Guide(), BATCHES)

    assert set(found) == {"guide.loc", "scale"}


def test_those_of_a_guide_that_makes_them_when_called() -> None:
    found = trained_parameters(regression, AutoNormal(regression), LoaderBatches([data()]))

    assert set(found) == {"guide.locs.slope_unconstrained", "guide.scales.slope_unconstrained"}


def test_looking_changes_nothing() -> None:
    model, guide = program()
    torch.manual_seed(3)
    expected = torch.rand(2)

    torch.manual_seed(3)
    trained_parameters(model, guide, BATCHES)
    assert torch.equal(torch.rand(2), expected)
    assert model.training and guide.training


def test_the_first_batch_is_the_first_one_again() -> None:
    (x, _), _ = first_batch(BATCHES)
    (again, _), _ = next(BATCHES.epoch(1))

    assert torch.equal(x, again)


def test_no_data() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        first_batch(LoaderBatches([]))


def test_nothing_to_train() -> None:
    def guide(*_: Any) -> None:
        pyro.sample("slope", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="AutoSparse"):
        trained_parameters(regression, guide, BATCHES)
