"""Runs in which every site is drawn once."""

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from pyro_sparse.nn.run import Run
from pyro_sparse.prior import Prior


def prior(law: Any, *shape: int) -> Prior:
    return Prior("fc.weight", law, torch.Size(shape), None, "weight")


def test_a_run_draws_each_site_once() -> None:
    made, run = prior(dist.Normal(0.0, 1.0), 3), Run()

    with run:
        first = run.draw(made)
        with run:
            assert run.draw(made) is first
        assert run.active and run.draw(made) is first
    with run:
        assert run.draw(made) is not first


def test_outside_a_run_there_is_no_value() -> None:
    with pytest.raises(AttributeError, match=r"'fc\.weight' is a random variable.*guide\.laws"):
        Run().draw(prior(dist.Normal(0.0, 1.0), 3))


def test_a_run_ends_with_an_error() -> None:
    made, run = prior(dist.Normal(0.0, 1.0), 3), Run()

    with pytest.raises(KeyError), run:
        run.draw(made)
        raise KeyError

    assert not run.active and not run.values


def test_a_run_that_is_over_is_not_repeated_in_the_backward_pass() -> None:
    """There the site would be drawn from its prior, and the gradient would be of another loss."""
    made, run = prior(dist.Normal(0.0, 1.0), 3), Run()

    def segment(x: Tensor) -> Tensor:
        with run:
            return (x * run.draw(made)).exp()

    with pyro.poutine.block():
        y = torch.utils.checkpoint.checkpoint(
            segment, torch.ones(3, requires_grad=True), use_reentrant=False
        )
        with pytest.raises(RuntimeError, match=r"'fc\.weight'.*activation checkpointing"):
            y.sum().backward()
