"""Models and guides whose statements do not fit each other are refused by name."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from pyro_sparse import Local
from pyro_sparse.distributions import LogUniform
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.statements import (
    check_statements,
    is_latent,
    is_likelihood,
    is_true,
    missing_sites,
)
from pyro_sparse.nn import bayesianize

NORMAL = dist.Normal(torch.zeros(3), 1.0).to_event(1)


def observed(name: str = "obs") -> None:
    pyro.sample(name, dist.Normal(0.0, 1.0), obs=torch.tensor(0.5))


def model() -> None:
    pyro.sample("w", NORMAL)
    observed()


def guide() -> None:
    pyro.sample("w", NORMAL)


def nodes(program: Callable) -> Any:
    return poutine.trace(program).get_trace().nodes


def test_kinds_of_statements() -> None:
    def program() -> None:
        pyro.param("p", torch.tensor(1.0))
        pyro.deterministic("d", pyro.sample("z", dist.Normal(0.0, 1.0)))
        observed()

    sites = nodes(program)

    assert [name for name in sites if is_latent(sites[name])] == ["z"]
    assert [name for name in sites if is_likelihood(sites[name])] == ["obs"]


def test_truth_of_conditions() -> None:
    assert is_true(torch.tensor(True)) and not is_true(torch.tensor(False))


def test_fitting_programs_pass() -> None:
    check_statements(poutine.trace(guide).get_trace(), poutine.trace(model).get_trace())


def scaled(program: Callable, scale: float) -> Callable:
    return poutine.scale(program, scale)


def with_mask(*values: bool) -> Callable:
    mask: Any = torch.tensor(values)

    def program() -> None:
        with pyro.plate("units", len(values)), poutine.mask(mask=mask):
            pyro.sample("w", dist.Normal(0.0, 1.0))

    return program


def and_data(program: Callable) -> Callable:
    def both() -> None:
        program()
        observed()

    return both


def with_law(law: Any) -> Callable:
    def program() -> None:
        pyro.sample("w", law)
        observed()

    return program


def without_observations() -> None:
    pyro.sample("w", NORMAL)


def with_two() -> None:
    pyro.sample("w", NORMAL)
    pyro.sample("extra", dist.Normal(0.0, 1.0))


def with_coin() -> None:
    pyro.sample("w", dist.Bernoulli(0.5).expand((3,)).to_event(1))


def factored() -> None:
    pyro.sample("w", NORMAL)
    pyro.factor("more", torch.tensor(3.0), has_rsample=False)


def without_plate() -> None:
    pyro.sample("w", dist.Normal(torch.zeros(3), 1.0))


def in_half_the_plate() -> None:
    with pyro.plate("units", 6, subsample_size=3):
        pyro.sample("w", dist.Normal(0.0, 1.0))


def in_the_plate() -> None:
    with pyro.plate("units", 3):
        pyro.sample("w", dist.Normal(0.0, 1.0))
    observed()


REFUSED: dict[str, tuple[Callable, Callable, type[Exception], str]] = {
    "nothing observed": (
        without_observations,
        guide,
        ValueError,
        r"observes at least one site.*none of \[.*'w'.*sample\(\.\.\., obs=data\).*Classifier",
    ),
    "a site the guide lacks": (
        and_data(with_two),
        guide,
        ValueError,
        r"guide does not sample \['extra'\].*needs a pyro\.sample statement in the guide",
    ),
    "an improper site the guide lacks": (
        with_law(LogUniform().expand((3,)).to_event(1)),
        lambda: None,
        ValueError,
        r"guide does not sample \['w'\].*needs a pyro\.sample statement in the guide",
    ),
    "a site the model lacks": (
        model,
        with_two,
        ValueError,
        r"guide samples \['extra'\], which the model does not.*is_auxiliary",
    ),
    "a site the guide observes": (
        model,
        lambda: pyro.sample("w", NORMAL, obs=torch.zeros(3)),
        ValueError,
        r"guide does not sample \['w'\]",
    ),
    "another batch shape": (
        model,
        lambda: pyro.sample("w", dist.Normal(torch.zeros(3), 1.0)),
        ValueError,
        r"one shape.*at 'w' the model states batch \(\) event \(3,\), the guide batch \(3,\) "
        r"event \(\).*expand\(shape\)\.to_event",
    ),
    "another event shape": (
        model,
        lambda: pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1)),
        ValueError,
        r"model states batch \(\) event \(3,\), the guide batch \(\) event \(4,\)",
    ),
    "a scale of the model": (
        scaled(model, 0.1),
        guide,
        ValueError,
        r"one scale.*at 'w' the model states 0\.1, the guide 1\.0.*kl_weight=",
    ),
    "a scale of the guide": (
        model,
        scaled(guide, 2.0),
        ValueError,
        r"one scale.*at 'w' the model states 1\.0, the guide 2\.0.*kl_weight=",
    ),
    "a mask of the model": (
        and_data(with_mask(True, False, True)),
        without_plate,
        ValueError,
        "one mask",
    ),
    "two masks": (
        and_data(with_mask(True, False, True)),
        with_mask(True, True, False),
        ValueError,
        r"one mask.*at 'w' the model states tensor.*the guide tensor",
    ),
    "a subsampled guide": (
        in_the_plate,
        in_half_the_plate,
        ValueError,
        r"one scale.*at 'w' the model states 1\.0, the guide 2\.0",
    ),
    "a factor of the guide": (
        model,
        factored,
        TypeError,
        r"reparameterised samples, and site 'more' \(Unit\).*has_rsample=True",
    ),
    "a law without rsample": (
        with_law(dist.Bernoulli(0.5).expand((3,)).to_event(1)),
        with_coin,
        TypeError,
        r"Bernoulli at site 'w' has no rsample.*reparameterised law.*gate law",
    ),
}


def regression(mean: torch.Tensor, target: torch.Tensor, plated: bool) -> Callable:
    def program() -> None:
        pyro.sample("w", NORMAL)
        with pyro.plate("data", len(target)) if plated else nullcontext():
            pyro.sample("y", dist.Normal(mean, 1.0), obs=target)

    return program


@pytest.mark.parametrize("mean", [(5, 1), (5, 5)])
def test_a_density_that_spreads_over_its_plates_is_refused(mean: tuple[int, ...]) -> None:
    program = regression(torch.zeros(mean), torch.zeros(5), plated=True)

    with pytest.raises(ValueError, match=r'(?s)at site "y".*\[5\], actual \[5, 5\].*squeeze'):
        TraceSparse_ELBO().loss(program, guide)


def test_a_density_that_spreads_without_plates_is_refused() -> None:
    program = regression(torch.zeros(5, 1), torch.zeros(5), plated=False)

    with pytest.raises(ValueError, match=r"'y'.*\(5, 1\) meets.*\(5,\), and.*\(5, 5\).*squeeze"):
        TraceSparse_ELBO().loss(program, guide)


@pytest.mark.parametrize(("mean", "target"), [((5, 3), (3,)), ((), (5, 3)), ((5, 3), (5, 3))])
def test_densities_without_plates_have_any_shape(
    mean: tuple[int, ...], target: tuple[int, ...]
) -> None:
    TraceSparse_ELBO().loss(regression(torch.zeros(mean), torch.zeros(target), False), guide)


def test_densities_are_checked_where_pyro_validates() -> None:
    program = regression(torch.zeros(5, 1), torch.zeros(5), plated=True)

    with pyro.validation_enabled(False):
        TraceSparse_ELBO().loss(program, guide)


def test_auxiliary_densities_are_checked() -> None:
    infer: Any = {"is_auxiliary": True}

    def with_auxiliary() -> None:
        pyro.sample("w", NORMAL)
        with pyro.plate("units", 3):
            pyro.sample("u", dist.Normal(torch.zeros(4, 3), 1.0), infer=infer)

    with pytest.raises(ValueError, match='at site "u", invalid log_prob shape'):
        TraceSparse_ELBO().loss(model, with_auxiliary)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    model, guide, kind, message = REFUSED[name]

    with pytest.raises(kind, match=rf"(?s){message}"):
        TraceSparse_ELBO().loss(model, guide)


def test_a_network_alone_is_no_model() -> None:
    net = bayesianize(torch.nn.Linear(3, 1), weight=dist.Normal(0.0, 1.0))

    def guide(x: torch.Tensor) -> None:
        pyro.sample("weight", dist.Normal(torch.zeros(1, 3), 1.0).to_event(2))

    with pytest.raises(ValueError, match="becomes a model inside Classifier or Regressor"):
        TraceSparse_ELBO().loss(net, guide, torch.zeros(2, 3))


def test_equal_scales_and_masks_are_counted() -> None:
    def both(program: Callable) -> Callable:
        return scaled(program, 3.0)

    elbo = TraceSparse_ELBO()
    shifted = with_law(dist.Normal(torch.ones(3), 1.0).to_event(1))

    elbo.loss(both(model), both(lambda: poutine.block(shifted, hide=["obs"])()))

    assert elbo.parts is not None
    torch.testing.assert_close(elbo.parts.kl["w"], torch.tensor(3.0 * 1.5))


def test_auxiliary_sites_of_the_guide() -> None:
    """Their density is counted: the bound stays below the evidence."""

    def with_auxiliary() -> None:
        infer: Any = {"is_auxiliary": True}
        u = pyro.sample("u", dist.Normal(0.0, 1.0), infer=infer)
        pyro.sample("w", dist.Normal(u.expand(3), 1.0).to_event(1))

    elbo = TraceSparse_ELBO()
    loss = elbo.loss(model, with_auxiliary)

    assert elbo.parts is not None and elbo.parts.analytic == {"u": False, "w": True}
    wanted = elbo.parts.kl["u"] + elbo.parts.kl["w"] - elbo.parts.log_likelihood
    torch.testing.assert_close(loss, wanted)


def test_local_laws_are_named_by_what_they_wrap() -> None:
    assert "['a', 'b']" in str(missing_sites(["a", "b"]))
    law: Any = Local(dist.Normal(torch.zeros(3), 1.0)).to_event(1)

    TraceSparse_ELBO().loss(model, lambda: pyro.sample("w", law))
