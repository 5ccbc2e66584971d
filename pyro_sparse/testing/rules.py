"""What every registered divergence must pass."""

__all__ = ["RULE_CHECKS", "check_rule"]

from collections.abc import Callable
from typing import Any

import pyro
import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck
from torch.distributions import Distribution, kl_divergence
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.testing.assertions import assert_close, assert_shape
from pyro_sparse.testing.cases import RuleCase, applicable, require_double
from pyro_sparse.testing.integrate import grid


def value(case: RuleCase) -> None:
    """The rule agrees with the integral over the densities, or bounds it."""
    q, p = case.q.law(), case.p.law()
    found = kl_divergence(q, p)
    expected = _integral(q, p) if case.expected is None else case.expected(q, p)

    if case.compare == "bound":
        low = found < expected - case.tolerance
        assert not low.any(), f"the bound {found.tolist()} is below {expected.tolist()}"
        return
    if case.compare == "up to a constant":
        found, expected = found - found.mean(), expected - expected.mean()

    assert_close("the rule gives the expected value", found, expected, 0, case.tolerance)


def zero_where_equal(case: RuleCase) -> None:
    """The divergence of a law from itself is 0."""
    if case.equal is not None:
        kl = kl_divergence(*(side.law() for side in case.equal))
        assert_close("a law has no divergence from itself", kl, torch.zeros_like(kl), 0, 1e-9)


def infinite_where_disjoint(case: RuleCase) -> None:
    """The divergence is infinite where p excludes what q allows."""
    if case.infinite is not None:
        kl = kl_divergence(*(side.law() for side in case.infinite))
        assert kl.isposinf().all(), f"the divergence is {kl.tolist()}, expected infinity"


def batch_shape(case: RuleCase) -> None:
    """The divergence has the batch shape, also after `expand` on either side."""
    q, p = case.q.law(), case.p.law()
    kl = kl_divergence(q, p)
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    wide = (4, *shape)

    assert_shape("the divergence", kl.shape, shape)
    for pair in ((q.expand(wide), p), (q, p.expand(wide)), (q.expand(wide), p.expand(wide))):
        assert_close("expand repeats the divergence", kl_divergence(*pair), kl.expand(wide))


def through_independent(case: RuleCase) -> None:
    """`to_event` on both sides sums the divergence."""
    q, p = _expanded(case)
    kl = kl_divergence(q, p)
    events = kl_divergence(q.to_event(len(q.batch_shape)), p.to_event(len(p.batch_shape)))

    assert_close("to_event sums the divergence", events, kl.sum())


def through_mask(case: RuleCase) -> None:
    """A mask on both sides switches entries off."""
    q, p = _expanded(case)
    kl = kl_divergence(q, p)
    mask = torch.arange(q.batch_shape.numel()).reshape(q.batch_shape) % 2 == 0

    masked = kl_divergence(q.mask(mask), p.mask(mask))
    assert_close("a mask switches entries of the divergence off", masked, kl * mask)


def elementwise(case: RuleCase) -> None:
    """Each entry depends on its own parameters alone."""
    leaves = case.q.leaves()
    kl = kl_divergence(case.q.law(*leaves), case.p.law())
    first = torch.autograd.grad(kl.reshape(-1)[0], leaves, allow_unused=True)

    for name, gradient in zip(case.q.parameters, first, strict=True):
        if gradient is not None and gradient.numel() == kl.numel():
            others = gradient.reshape(-1)[1:]
            assert (others == 0).all(), (
                f"the first entry depends on {name} of the others: {others.tolist()}"
            )


def gradients(case: RuleCase) -> None:
    """Gradients in the parameters of both laws agree with finite differences."""
    count = len(case.q.parameters)

    def run(*leaves: Tensor) -> Tensor:
        return kl_divergence(case.q.law(*leaves[:count]), case.p.law(*leaves[count:]))

    try:
        gradcheck(run, case.q.leaves() + case.p.leaves())
    except GradcheckError as error:
        raise AssertionError(
            f"the gradient of the divergence is not that of finite differences: {error}"
        ) from error


def single_precision(case: RuleCase) -> None:
    """In single precision the result is single, and agrees with double precision."""
    q, p = (side.to(torch.float32).law() for side in (case.q, case.p))
    found, expected = kl_divergence(q, p), kl_divergence(case.q.law(), case.p.law())

    assert found.dtype == torch.float32, (
        f"the divergence is {found.dtype} under parameters of torch.float32"
    )
    what = "the divergence in single precision is near that in double precision"
    assert_close(what, found.double(), expected, rtol=1e-3, atol=1e-4)


def device(case: RuleCase) -> None:
    """The divergence stays where the parameters are; on the meta device, and on a GPU if any."""
    for place in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        with pyro.validation_enabled(False):  # tensors on the meta device have no values
            q, p = (side.to(torch.float32, place).law() for side in (case.q, case.p))
            found = kl_divergence(q, p).device.type
            assert found == place, f"the divergence is on {found}, the parameters are on {place}"


def traceable(case: RuleCase) -> None:
    """The rule can be recorded as a graph, and the graph gives the same numbers."""
    count = len(case.q.parameters)

    def run(*leaves: Tensor) -> Tensor:
        return kl_divergence(case.q.law(*leaves[:count]), case.p.law(*leaves[count:]))

    leaves = [leaf.detach() for leaf in case.q.leaves() + case.p.leaves()]
    with pyro.validation_enabled(False):  # values cannot be looked at while a graph is recorded
        graph = make_fx(run)(*leaves)

    assert_close("the graph gives the numbers of the rule", graph(*leaves), run(*leaves))


def _integral(q: Distribution, p: Distribution) -> Tensor:
    points = grid(q)
    ratio = points.log_prob - p.log_prob(points.nodes)
    return torch.where(points.masses > 0, points.masses * ratio, 0.0).sum(0)


def _expanded(case: RuleCase) -> tuple[Any, Any]:
    q, p = case.q.law(), case.p.law()
    shape = torch.broadcast_shapes(q.batch_shape, p.batch_shape)
    return q.expand(shape), p.expand(shape)


RULE_CHECKS: dict[str, Callable[[RuleCase], None]] = {
    check.__name__: check
    for check in (
        value,
        zero_where_equal,
        infinite_where_disjoint,
        batch_shape,
        through_independent,
        through_mask,
        elementwise,
        gradients,
        single_precision,
        device,
        traceable,
    )
}
"""The checks by name, for `pytest.mark.parametrize`."""


def check_rule(case: RuleCase, name: str | None = None) -> None:
    """Runs one check by name, or all; those that the case skips do not run.

    Raises an `AssertionError` at the first defect found, and a `ValueError` for unknown checks
    and for parameters of the two laws that are not in double precision. What the rule or a law
    raises is passed on.

    Args:
        case: the pair of laws and what to expect.
        name: a key of `RULE_CHECKS`; all of them by default.

    Example:
        >>> from pyro.distributions import Normal
        >>> from pyro_sparse.distributions import L2
        >>> from pyro_sparse.testing import LawCase
        >>> ones = torch.ones(2).double()
        >>> q = LawCase(Normal, {"loc": ones, "scale": ones})
        >>> p = LawCase(L2, {"penalty": ones})
        >>> check_rule(RuleCase(q, p, expected=lambda q, p: ones))
    """
    for side in (case.q, case.p):
        require_double(side)
    for check in applicable(RULE_CHECKS, name, case.skip):
        check(case)
