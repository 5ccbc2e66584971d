"""Which rule a pair of laws gets, and what its divergence counts."""

from collections.abc import Callable
from typing import Any, ClassVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Independent, constraints, kl_divergence, register_kl
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse import Local
from pyro_sparse.distributions import (
    L0,
    L2,
    EmpiricalNormal,
    HardConcrete,
    LogUniform,
)
from pyro_sparse.infer.divergence import SiteDivergence, find_rule, site_divergence
from tests.common import assert_mean

NORMAL = dist.Normal(torch.randn(4), 0.5)
PRIOR = dist.Normal(torch.zeros(4), 1.0)
KL = kl_divergence(NORMAL, PRIOR)


def divergence(q: Any, p: Any, **statement: Any) -> SiteDivergence:
    """The divergence of a site that the guide draws from `q` and the model states as `p`."""

    def program(law: Any) -> Callable:
        def sample() -> None:
            pyro.sample("w", law)

        for handler in statement.values():
            sample = handler(sample)
        return sample

    guide: Any = poutine.trace(program(q)).get_trace()
    with poutine.condition(data={"w": guide.nodes["w"]["value"]}):
        model: Any = poutine.trace(program(p)).get_trace()
    return site_divergence("w", guide.nodes["w"], model.nodes["w"], guide)


def test_a_rule_is_found_through_wrappers() -> None:
    rule = find_rule(NORMAL, PRIOR)

    assert rule is not None
    torch.testing.assert_close(rule(NORMAL, PRIOR), KL)
    assert find_rule(Local(NORMAL).to_event(1).mask(True), PRIOR.to_event(1)) is rule
    assert find_rule(NORMAL.expand((2, 4)).to_event(1), PRIOR) is rule


NO_RULE: dict[str, tuple[Any, Any]] = {
    "nothing registered": (dist.StudentT(3.0), PRIOR),
    "other transforms": (dist.LogNormal(0.0, 1.0), dist.HalfNormal(1.0)),
    "no rule for the bases": (
        dist.TransformedDistribution(dist.StudentT(3.0), [dist.transforms.ExpTransform()]),
        dist.LogNormal(0.0, 1.0),
    ),
    "two exponential families": (dist.VonMises(0.0, 1.0), dist.Normal(0.0, 1.0)),
    "a Bernoulli and a Poisson": (dist.Bernoulli(0.5), dist.Gamma(1.0, 1.0)),
    "a point with a Jacobian": (dist.Delta(torch.tensor(1.0), torch.tensor(0.3)), PRIOR),
}


@pytest.mark.parametrize("name", NO_RULE)
def test_pairs_without_a_rule(name: str) -> None:
    assert find_rule(*NO_RULE[name]) is None


def test_transformed_laws_with_equal_transforms_have_a_rule() -> None:
    q, p = dist.LogNormal(torch.ones(4), 0.5), dist.LogNormal(torch.zeros(4), 1.0)
    found = divergence(q.to_event(1), p.to_event(1))

    assert found.analytic
    torch.testing.assert_close(found.value, kl_divergence(q.base_dist, p.base_dist).sum())


def test_points_without_a_jacobian_have_a_rule_however_they_say_so() -> None:
    value = torch.randn(4)
    zero = torch.zeros(())

    for density in (0.0, zero, zero.expand(4), torch.zeros(4)):
        found = divergence(dist.Delta(value, density).to_event(1), PRIOR.to_event(1))
        assert found.analytic
        torch.testing.assert_close(found.value, -PRIOR.log_prob(value).sum())


def test_a_point_with_a_jacobian_is_evaluated_with_it() -> None:
    """Pyro's rule for points ignores `log_density`."""
    value, density = torch.rand(4), torch.randn(4)
    q, p = dist.Delta(value, density).to_event(1), dist.LogNormal(torch.zeros(4), 1.0).to_event(1)

    found = divergence(q, p)

    assert not found.analytic
    torch.testing.assert_close(found.value, density.sum() - p.log_prob(value))
    torch.testing.assert_close(kl_divergence(q, p), -p.log_prob(value))


def test_a_jacobian_is_counted_without_looking_at_its_value() -> None:
    """A graph that was captured while it was 0 would be wrong as soon as it is not."""
    value, prior = torch.rand(4), PRIOR.to_event(1)

    def of(density: Tensor) -> Tensor:
        return divergence(dist.Delta(value, density).to_event(1), prior).value

    with pyro.validation_enabled(False):  # it looks at values, which a graph has none of
        graph = make_fx(of)(torch.zeros(4))

    torch.testing.assert_close(graph(torch.ones(4)), 4 - prior.log_prob(value))


JOINT_POINTS: dict[str, tuple[Any, Any]] = {
    "L2": (L2(torch.full((2, 3), 2.0)), lambda v: v.square().sum((-2, -1))),
    "normal": (
        dist.Normal(torch.zeros(2, 3), 1.0),
        lambda v: -dist.Normal(0.0, 1.0).log_prob(v).sum((-2, -1)),
    ),
}


@pytest.mark.parametrize("name", JOINT_POINTS)
def test_points_in_the_way_of_pyros_guides(name: str) -> None:
    """One joint point with all its dimensions, and one log density for it."""
    prior, energy = JOINT_POINTS[name]
    value = torch.randn(5, 2, 3)

    for density in (torch.zeros(5), torch.randn(5)):
        point = dist.Delta(value, density, event_dim=2)
        found = divergence(point, prior.expand((5, 2, 3)).to_event(2))
        torch.testing.assert_close(found.value, (energy(value) + density).sum())


def test_masks_of_joint_points() -> None:
    value, mask = torch.randn(3, 4), torch.tensor([True, False, True])
    q, p = dist.Delta(value, event_dim=1).mask(mask), dist.Normal(torch.zeros(3, 4), 1.0)

    found = divergence(q, p.to_event(1))

    torch.testing.assert_close(found.value, -p.log_prob(value)[mask].sum())


def test_event_dimensions_of_the_laws_may_come_from_anywhere() -> None:
    """An event of the law itself, of `to_event`, or of both."""
    matrix = torch.eye(4).expand(2, 4, 4)
    q = dist.MultivariateNormal(torch.randn(2, 4), matrix)
    p = dist.MultivariateNormal(torch.zeros(2, 4), matrix)
    wanted = kl_divergence(q, p).sum()
    torch.testing.assert_close(divergence(q.to_event(1), p.to_event(1)).value, wanted)

    point = dist.Delta(torch.randn(2, 4))
    for law in (point.to_event(2), dist.Delta(point.v, event_dim=1).to_event(1)):
        found = divergence(law, p.to_event(1))
        torch.testing.assert_close(found.value, -p.log_prob(point.v).sum())


HANDLERS: dict[str, tuple[dict[str, Any], Tensor]] = {
    "none": ({}, KL.sum()),
    "scale": ({"scale": lambda f: poutine.scale(f, 3.0)}, 3 * KL.sum()),
    "mask": ({"mask": lambda f: poutine.mask(f, False)}, torch.tensor(0.0)),
}


@pytest.mark.parametrize("name", HANDLERS)
def test_scale_and_mask_of_the_statement(name: str) -> None:
    handlers, wanted = HANDLERS[name]

    found = divergence(NORMAL.to_event(1), PRIOR.to_event(1), **handlers)

    torch.testing.assert_close(found.value, wanted)
    assert found.analytic


MASK = torch.tensor([True, False, True, False])


@pytest.mark.parametrize(
    ("wrap", "wanted"),
    [
        (lambda law: law.mask(MASK).to_event(1), (KL * MASK).sum()),
        (lambda law: law.to_event(1).mask(torch.tensor(False)), torch.tensor(0.0)),
        (lambda law: law.to_event(1).mask(True), KL.sum()),
        (lambda law: law.mask(MASK).mask(MASK.flip(0)).to_event(1), torch.tensor(0.0)),
    ],
    ids=["below to_event", "above to_event", "a Boolean", "two masks"],
)
@pytest.mark.parametrize("local", [False, True])
def test_masks_of_the_laws(wrap: Callable, wanted: Tensor, local: bool) -> None:
    q = wrap(Local(NORMAL) if local else NORMAL)

    torch.testing.assert_close(divergence(q, wrap(PRIOR)).value, wanted)


def test_masks_between_dimensions() -> None:
    """A mask of the rows, below one event dimension and above another."""
    q, p = dist.Normal(torch.randn(3, 4), 0.5), dist.Normal(torch.zeros(3, 4), 1.0)
    rows = torch.tensor([True, False, True])

    def wrap(law: Any) -> Any:
        return law.to_event(1).mask(rows).to_event(1)

    found = divergence(wrap(q), wrap(p))

    wanted = (kl_divergence(q, p) * rows.unsqueeze(-1)).sum()
    torch.testing.assert_close(found.value, wanted)


def test_masked_weights_do_not_count_in_their_group() -> None:
    prior = EmpiricalNormal(groups=-1).expand((4,))

    found = divergence(NORMAL.mask(MASK).to_event(1), prior.mask(MASK).to_event(1))

    kept = dist.Normal(NORMAL.loc[MASK], NORMAL.scale[MASK])
    wanted = kl_divergence(kept, EmpiricalNormal(groups=-1).expand((2,))).sum()
    torch.testing.assert_close(found.value, wanted)


def test_an_estimate_is_right_in_expectation() -> None:
    """A pair with a rule, hidden in a class that has none."""

    class Hidden(dist.TorchDistribution):
        arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
        support = constraints.real
        has_rsample = True

        def __init__(self) -> None:
            super().__init__(torch.Size([4]), validate_args=False)

        def rsample(self, sample_shape: Any = ()) -> Tensor:
            return NORMAL.rsample(sample_shape)

        def log_prob(self, value: Tensor) -> Tensor:
            return NORMAL.log_prob(value)

    draws = [divergence(Hidden().to_event(1), PRIOR.to_event(1)) for _ in range(400)]

    assert not any(draw.analytic for draw in draws)
    assert_mean(torch.stack([draw.value for draw in draws]).double(), KL.sum().double())


class Hard(dist.TorchDistribution):
    """A law with an atom and without a rule."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    has_atoms = True
    has_rsample = True
    support = constraints.unit_interval

    def __init__(self) -> None:
        super().__init__(torch.Size([4]), validate_args=False)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        return HardConcrete(logits=torch.zeros(4)).rsample(sample_shape)


@pytest.mark.parametrize(
    ("q", "p", "message"),
    [
        (Hard(), PRIOR, r"\(Hard, Normal\) at site 'w'.*Hard has atoms.*register_kl"),
        (
            dist.Beta(torch.ones(4), 1.0),
            HardConcrete(logits=torch.zeros(4)),
            r"\(Beta, HardConcrete\) at site 'w'.*HardConcrete has atoms.*register_kl",
        ),
        (
            HardConcrete(logits=torch.zeros(4)),
            dist.Beta(torch.ones(4), 1.0),
            r"\(HardConcrete, Beta\).*HardConcrete has atoms",
        ),
        (dist.Laplace(torch.zeros(4), 1.0), L0(torch.ones(4)), r"\(Laplace, L0\).*L0 has atoms"),
        (Hard().expand((2, 4)), PRIOR.expand((2, 4)), "has atoms"),
    ],
)
def test_laws_with_atoms_are_not_estimated(q: Any, p: Any, message: str) -> None:
    """The pathwise gradient is blind to what moves between an atom and the rest."""
    with pytest.raises(TypeError, match=rf"There is no KL rule for.*{message}"):
        divergence(q.to_event(1), p.to_event(1))


class Strange(dist.Normal):
    """A law whose rule has a bug."""


@register_kl(Strange, dist.Normal)
def _strange(q: Strange, p: dist.Normal) -> Tensor:
    raise NotImplementedError("the bug")


def test_errors_inside_a_rule_are_not_swallowed() -> None:
    """Pyro's mean-field bound takes this error for "no rule" and estimates."""
    with pytest.raises(NotImplementedError, match="the bug"):
        divergence(Strange(torch.zeros(4), 1.0).to_event(1), PRIOR.to_event(1))


def test_a_point_under_an_improper_prior_is_refused_by_its_rule() -> None:
    with pytest.raises(TypeError, match="point mass has no useful divergence to LogUniform"):
        divergence(dist.Delta(torch.ones(4)).to_event(1), LogUniform().expand((4,)).to_event(1))


def test_penalties_are_expected_energies() -> None:
    found = divergence(Local(NORMAL).to_event(1), L2(torch.full((4,), 3.0)).to_event(1))

    wanted = 1.5 * (NORMAL.loc.square() + 0.25).sum()
    torch.testing.assert_close(found.value, wanted)


def test_wrappers_of_torch_and_of_pyro() -> None:
    q, p = Independent(NORMAL, 1), PRIOR.to_event(1)

    found = divergence(dist.Normal(NORMAL.loc, NORMAL.scale).to_event(1), p)

    torch.testing.assert_close(found.value, kl_divergence(q, p))
