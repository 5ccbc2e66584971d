"""The bound against Pyro's, against known values, and through every door it is used by."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
import torch.nn.functional as F
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal
from torch import Tensor
from torch.distributions import kl_divergence

from pyro_sparse import Local
from pyro_sparse.distributions import L0, HardConcrete, LogUniform
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.parts import Parts
from tests.common import assert_mean

X, Y = torch.randn(8, 4), torch.randn(8)
LOC, SCALE = torch.randn(4), 0.3 + torch.rand(4)


def regression(x: Tensor = X, y: Tensor = Y) -> None:
    """Linear regression with a positive noise that is a site, scaled from 8 to 80 examples."""
    weight = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", 80, subsample=torch.arange(len(x))):
        pyro.sample("obs", dist.Normal(F.linear(x, weight.unsqueeze(0))[:, 0], noise), obs=y)


def guided(local: bool) -> Callable[..., None]:
    """A mean-field guide of laws, drawn in weight space or locally."""

    def guide(x: Tensor = X, y: Tensor = Y) -> None:
        law = dist.Normal(LOC, SCALE)
        pyro.sample("w", (Local(law) if local else law).to_event(1))
        pyro.sample("noise", dist.LogNormal(0.3, 0.2))

    return guide


def parts(elbo: TraceSparse_ELBO) -> Parts:
    assert elbo.parts is not None
    return elbo.parts


@pytest.mark.parametrize("particles", [1, 3])
def test_it_is_the_mean_field_bound_where_that_is_right(particles: int) -> None:
    """The same draws, so the same number."""
    losses = []
    for elbo in (
        TraceSparse_ELBO(num_particles=particles),
        TraceMeanField_ELBO(num_particles=particles),
    ):
        torch.manual_seed(1)
        losses.append(torch.as_tensor(elbo.loss(regression, guided(False))))

    torch.testing.assert_close(losses[0], losses[1])


def test_local_noise_does_not_change_its_expectation() -> None:
    losses = [
        torch.stack([TraceSparse_ELBO().loss(regression, guide) for _ in range(500)])
        for guide in (guided(True), guided(False))
    ]

    assert_mean((losses[0] - losses[1]).double(), 0.0)


def test_local_noise_reduces_the_variance() -> None:
    """One draw for each of 200 examples averages over as many."""
    x, y = torch.randn(200, 4), torch.randn(200)

    def deviation(guide: Callable) -> Tensor:
        losses = [TraceSparse_ELBO().loss(regression, guide, x, y) for _ in range(100)]
        return torch.stack(losses).std()

    assert deviation(weights_guide(True)) < 0.3 * deviation(weights_guide(False))


def weights_guide(local: bool) -> Callable[..., None]:
    """The noise is a point, so that only the weights are random."""
    law = dist.Normal(LOC, SCALE)

    def guide(x: Tensor, y: Tensor) -> None:
        pyro.sample("w", (Local(law) if local else law).to_event(1))
        pyro.sample("noise", dist.Delta(torch.tensor(1.0)))

    return guide


def fixed_noise() -> None:
    weight = pyro.sample("w", dist.Normal(torch.zeros(4), 1.0).to_event(1))
    # Inputs of one sign: errors of shared weights add up over the examples.
    with pyro.plate("data", 8):
        means = F.linear(X.abs() + 1, weight.unsqueeze(0))[:, 0]
        pyro.sample("obs", dist.Normal(means, 1.0), obs=Y)


def fixed_noise_guide(local: bool) -> Callable[[], None]:
    law = dist.Normal(LOC, SCALE)

    def guide() -> None:
        pyro.sample("w", (Local(law) if local else law).to_event(1))

    return guide


def test_a_loss_that_is_known() -> None:
    """The posterior is the prior and the data do not depend on it: nothing is random."""

    def model() -> None:
        pyro.sample("w", dist.Normal(torch.zeros(4), 2.0).to_event(1))
        with pyro.plate("data", 10, subsample=torch.arange(5)):
            pyro.sample("obs", dist.Normal(1.0, 1.0), obs=torch.zeros(5))

    def guide() -> None:
        pyro.sample("w", Local(dist.Normal(torch.zeros(4), 2.0)).to_event(1))

    elbo = TraceSparse_ELBO()
    loss = elbo.loss(model, guide)

    known = 10 * (0.5 + 0.918938533)
    assert loss.item() == pytest.approx(known, rel=1e-6)
    assert parts(elbo).kl["w"] == 0.0
    assert parts(elbo).log_likelihood.item() == pytest.approx(-known, rel=1e-6)
    assert parts(elbo).noise == {"w": None}


def test_the_bound_is_the_evidence_at_the_posterior() -> None:
    """One weight, one observation: q is the exact posterior, and every draw of the bound has
    the evidence as its mean."""
    y = torch.tensor(1.5)

    def model() -> None:
        weight = pyro.sample("w", dist.Normal(0.0, 1.0))
        pyro.sample("obs", dist.Normal(weight, 0.5), obs=y)

    def guide() -> None:
        pyro.sample("w", dist.Normal(y / 1.25, (0.25 / 1.25) ** 0.5))

    losses = torch.stack([TraceSparse_ELBO().loss(model, guide) for _ in range(800)])

    assert_mean(-losses.double(), dist.Normal(0.0, 1.25**0.5).log_prob(y).double())


def positive() -> None:
    scale = pyro.sample("s", dist.LogNormal(0.0, 1.0))
    pyro.sample("obs", dist.Normal(0.0, scale), obs=torch.tensor(0.7))


@pytest.mark.parametrize("auto", [AutoDelta, AutoNormal])
def test_jacobians_of_points_are_counted(auto: Any) -> None:
    """Pyro's guides put a point with a Jacobian at a constrained site; its mean-field bound drops
    the Jacobian, and its plain bound does not."""
    guide = auto(positive)
    guide()
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.copy_(torch.tensor(0.8))

    losses = {}
    for elbo in (TraceSparse_ELBO(), Trace_ELBO(), TraceMeanField_ELBO()):
        torch.manual_seed(1)
        losses[type(elbo)] = torch.as_tensor(elbo.loss(positive, guide)).item()

    assert losses[TraceSparse_ELBO] == pytest.approx(losses[Trace_ELBO], rel=1e-5)
    if auto is AutoNormal:
        assert abs(losses[TraceMeanField_ELBO] - losses[Trace_ELBO]) > 0.1


def test_a_point_with_a_jacobian_by_hand() -> None:
    """-log p(y | s) - log p(s) + log |ds/du| at s = 2."""

    def guide() -> None:
        pyro.sample("s", dist.Delta(torch.tensor(2.0), log_density=torch.tensor(-0.4)))

    elbo = TraceSparse_ELBO()
    loss = elbo.loss(positive, guide)

    s, y = torch.tensor(2.0), torch.tensor(0.7)
    kl = -0.4 - dist.LogNormal(0.0, 1.0).log_prob(s)
    torch.testing.assert_close(loss, kl - dist.Normal(0.0, s).log_prob(y))
    torch.testing.assert_close(parts(elbo).kl["s"], kl)
    assert parts(elbo).analytic == {"s": False}


def test_scales_of_one_side_only_are_refused() -> None:
    """Pyro's mean-field bound reads the guide's alone, and tempers nothing."""
    tempered = poutine.scale(fixed_noise, 0.1)
    with pytest.raises(ValueError, match=r"(?s)states 0\.1, the guide 1\.0.*kl_weight"):
        TraceSparse_ELBO().loss(tempered, fixed_noise_guide(False))


class Counted(dist.Normal):
    """A prior that counts how often its density is evaluated."""

    count = 0

    def log_prob(self, value: Tensor) -> Tensor:
        Counted.count += 1
        return super().log_prob(value)


def test_no_density_of_a_weight_is_evaluated() -> None:
    def model() -> None:
        weight = pyro.sample("w", Counted(torch.zeros(4), 1.0).to_event(1))
        pyro.sample("obs", dist.Normal(weight.sum(), 1.0), obs=torch.tensor(0.0))

    def guide() -> None:
        pyro.sample("w", Counted(LOC, SCALE).to_event(1))

    TraceSparse_ELBO().loss(model, guide)
    assert Counted.count == 0

    TraceMeanField_ELBO().loss(model, guide)
    assert Counted.count > 0


@pytest.mark.parametrize("weight", [0.25, torch.tensor(0.25), lambda step: 0.25])
def test_weights_of_the_divergences(weight: Any) -> None:
    elbo = TraceSparse_ELBO(kl_weight=weight)
    loss = elbo.loss(fixed_noise, fixed_noise_guide(False))

    kl = kl_divergence(dist.Normal(LOC, SCALE), dist.Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(parts(elbo).kl["w"], kl)
    torch.testing.assert_close(loss, 0.25 * kl - parts(elbo).log_likelihood)


def test_schedules_count_the_steps_with_gradients() -> None:
    asked: list[int] = []
    elbo = TraceSparse_ELBO(kl_weight=lambda step: asked.append(step) or 1.0)  # type: ignore[func-returns-value]

    for _ in range(3):
        elbo.loss_and_grads(fixed_noise, fixed_noise_guide(False))
    elbo.loss(fixed_noise, fixed_noise_guide(False))

    assert asked == [0, 1, 2, 3] and elbo.step == 3


def test_the_weight_may_be_changed_between_steps() -> None:
    elbo, guide = TraceSparse_ELBO(), fixed_noise_guide(False)
    for weight in (0.0, 2.0):
        elbo.kl_weight = weight
        loss = elbo.loss(fixed_noise, guide)
        expected = weight * parts(elbo).kl["w"] - parts(elbo).log_likelihood
        torch.testing.assert_close(loss, expected)


def test_particles_are_averaged() -> None:
    torch.manual_seed(1)
    single = TraceSparse_ELBO()
    losses = torch.stack([single.loss(regression, guided(True)) for _ in range(4)])

    torch.manual_seed(1)
    elbo = TraceSparse_ELBO(num_particles=4)
    loss = elbo.loss(regression, guided(True))

    torch.testing.assert_close(loss, losses.mean())
    found = parts(elbo)
    torch.testing.assert_close(sum(found.kl.values()) - found.log_likelihood, loss)


def test_parts_say_what_was_analytic_and_what_was_local() -> None:
    def model() -> None:
        weight = pyro.sample("w", LogUniform().expand((3, 4)).to_event(2))
        z = pyro.sample("z", L0(torch.ones(4)).to_event(1))
        b = pyro.sample("b", dist.StudentT(3.0, torch.zeros(3), 1.0).to_event(1))
        mean = F.linear(X, weight * z, b).sum(-1)
        with pyro.plate("data", 8):
            pyro.sample("obs", dist.Normal(mean, 1.0), obs=Y)

    def guide() -> None:
        pyro.sample("w", Local(dist.Normal(torch.zeros(3, 4), 1.0)).to_event(2))
        pyro.sample("z", Local(HardConcrete(logits=torch.zeros(4))).to_event(1))
        pyro.sample("b", Local(dist.Normal(torch.zeros(3), 1.0)).to_event(1))

    elbo = TraceSparse_ELBO()
    loss = elbo.differentiable_loss(model, guide)

    found = parts(elbo)
    assert found.analytic == {"w": True, "z": True, "b": False}
    # What is estimated from a draw is drawn in weight space.
    assert found.noise == {"w": "local", "z": "per example (8)", "b": "global"}
    assert not any(value.requires_grad for value in (found.log_likelihood, *found.kl.values()))
    torch.testing.assert_close(sum(found.kl.values()) - found.log_likelihood, loss)


def test_several_observations_and_deterministic_sites() -> None:
    def model() -> None:
        w = pyro.deterministic("twice", 2 * pyro.sample("w", dist.Normal(0.0, 1.0)))
        pyro.sample("a", dist.Normal(w, 1.0), obs=torch.tensor(0.0))
        pyro.factor("b", torch.tensor(-3.0))

    def guide() -> None:
        pyro.sample("w", dist.Delta(torch.tensor(0.5)))

    elbo = TraceSparse_ELBO()
    elbo.loss(model, guide)

    expected = dist.Normal(1.0, 1.0).log_prob(torch.tensor(0.0)) - 3.0
    torch.testing.assert_close(parts(elbo).log_likelihood, expected)


def test_latent_sites_in_a_subsampled_plate() -> None:
    """Guide and model see the same examples, and their divergences count for all."""

    def model() -> None:
        with pyro.plate("data", 8, subsample_size=2) as indices:
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
            pyro.sample("obs", dist.Normal(z, 1.0), obs=Y[indices])

    def guide() -> None:
        with pyro.plate("data", 8, subsample_size=2):
            pyro.sample("z", dist.Normal(1.0, 1.0))

    elbo = TraceSparse_ELBO()
    elbo.loss(model, guide)

    assert parts(elbo).kl["z"].item() == pytest.approx(8 * 0.5)
    assert parts(elbo).kl.keys() == {"z"}


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "particles": (lambda: TraceSparse_ELBO(num_particles=0), "num_particles is at least 1, got 0"),
    "a negative weight": (
        lambda: TraceSparse_ELBO(kl_weight=-0.5).loss(fixed_noise, fixed_noise_guide(True)),
        "kl_weight is finite and not negative, got -0.5",
    ),
    "a weight that is no number": (
        lambda: TraceSparse_ELBO(kl_weight=lambda step: float("nan")).loss(
            fixed_noise, fixed_noise_guide(True)
        ),
        "kl_weight is finite and not negative, got nan",
    ),
    "a negative weight as a tensor": (
        lambda: TraceSparse_ELBO(kl_weight=torch.tensor(-1.0)).loss(
            fixed_noise, fixed_noise_guide(True)
        ),
        "kl_weight is finite and not negative, got -1.0",
    ),
    "several weights": (
        lambda: TraceSparse_ELBO(kl_weight=torch.ones(2)).loss(
            fixed_noise, fixed_noise_guide(True)
        ),
        r"one number, a tensor without dimensions .*got tensor\(\[1\., 1\.\]\)",
    ),
    "a weight that is a word": (
        lambda: TraceSparse_ELBO(kl_weight="a").loss(fixed_noise, fixed_noise_guide(True)),  # type: ignore[arg-type]
        "one number, a tensor without dimensions .*got 'a'",
    ),
    "a word for compile": (
        lambda: TraceSparse_ELBO(compile="yes"),
        "compile is False, True or 'auto', got 'yes'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name: str) -> None:
    call, message = BAD[name]

    with pytest.raises(ValueError, match=message):
        call()
