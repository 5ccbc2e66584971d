"""What a model observes, and of how many examples."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor

from pyro_sparse.infer.draws import model_draw
from pyro_sparse.infer.outcomes import (
    counted,
    examples_in,
    is_data,
    is_factor,
    length_of,
    log_likelihood,
)

X = torch.randn(6, 3)
SEEN: Any = torch.tensor([True, True, False, True, False, True])


def once(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=x[:, 0])


def twice(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=x[:, 0])
        pyro.sample("z", dist.Normal(0.0, 1.0).expand([6, 3]).to_event(1), obs=x)


def outputs_first(x: Tensor) -> None:
    with pyro.plate("data", len(x), dim=-1), pyro.plate("outputs", 3, dim=-2):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=x.T)


def outputs_only(x: Tensor) -> None:
    with pyro.plate("outputs", 3):
        pyro.sample("y", dist.Normal(torch.zeros(6, 3), 1.0), obs=x)


def no_plate(x: Tensor) -> None:
    pyro.sample("y", dist.Normal(0.0, 1.0).expand([6, 3]).to_event(2), obs=x)


def columns(x: Tensor) -> None:
    with pyro.plate("data", x.shape[1]):
        pyro.sample("y", dist.Normal(0.0, 1.0).expand([3, 6]).to_event(1), obs=x.T)


@pytest.mark.parametrize(
    "model, examples",
    [(once, 6), (twice, 6), (outputs_first, 6), (outputs_only, 6), (no_plate, 6), (columns, 3)],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_examples_are_counted_once(model: Callable, examples: int) -> None:
    assert examples_in(model_draw(model, {}, X).values(), (X,), {}) == examples
    assert examples_in(model_draw(model, {}, x=X).values(), (), {"x": X}) == examples


def test_a_batch_is_as_long_as_its_first_tensor() -> None:
    assert length_of(((None, torch.tensor(1.0), X), {"y": torch.ones(2)})) == 6
    assert length_of(([1, 2], {})) is None


def test_factors_are_no_data() -> None:
    def model() -> None:
        pyro.factor("term", torch.tensor(1.0))
        pyro.deterministic("known", torch.tensor(1.0))
        pyro.sample("open", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=torch.tensor(0.0))

    sites = model_draw(model, {})
    assert [name for name, site in sites.items() if is_data(site)] == ["y"]
    assert [name for name, site in sites.items() if is_factor(site)] == ["term"]


def by_handler(x: Tensor) -> None:
    with pyro.plate("data", 6), poutine.mask(mask=SEEN):
        pyro.sample("y", dist.Normal(0.0, 1.0).expand([6, 3]).to_event(1), obs=x)


def by_law(x: Tensor) -> None:
    law = dist.Normal(0.0, 1.0).expand([6, 3]).to_event(1)
    with pyro.plate("data", 6):
        pyro.sample("y", law.mask(SEEN), obs=x)


def by_inner_law(x: Tensor) -> None:
    law = dist.Normal(0.0, 1.0).expand([6, 3]).mask(SEEN[:, None])
    with pyro.plate("data", 6):
        pyro.sample("y", law.to_event(1), obs=x)


@pytest.mark.parametrize("model", [by_handler, by_law, by_inner_law])
def test_masks_of_handlers_and_laws(model: Callable) -> None:
    site: Any = model_draw(model, {}, X)["y"]

    expected = dist.Normal(0.0, 1.0).log_prob(X).sum(1) * SEEN
    torch.testing.assert_close(log_likelihood(site), expected)
    assert torch.equal(counted(site), SEEN[:, None].expand(6, 3))


def test_both_masks_hide() -> None:
    def model(x: Tensor) -> None:
        with pyro.plate("data", 6), poutine.mask(mask=SEEN):
            pyro.sample("y", dist.Normal(torch.zeros(6), 1.0).mask(~SEEN), obs=x[:, 0])

    site: Any = model_draw(model, {}, X)["y"]
    assert not counted(site).any() and not log_likelihood(site).any()
