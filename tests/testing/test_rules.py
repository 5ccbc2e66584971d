"""Each check must catch a rule that is wrong in the way it looks for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro.distributions import Normal
from torch import Tensor
from torch.distributions import register_kl

from pyro_sparse.testing import RULE_CHECKS, LawCase, RuleCase, check_rule

Rule = Callable[[Any, Any], Tensor]

LOC = torch.tensor([-1.0, 0.5, 2.0], dtype=torch.float64)
SCALE = torch.tensor([0.5, 0.7, 1.1], dtype=torch.float64)


class Bell(Normal):
    """A normal whose subclasses survive `expand`, so that each can have its own rule."""

    def expand(self, batch_shape: Any, _instance: object = None) -> "Bell":
        return type(self)(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


def right(q: Normal, p: Normal) -> Tensor:
    ratio = (q.scale / p.scale).square()
    return (ratio + ((q.loc - p.loc) / p.scale).square() - 1 - ratio.log()) / 2


def stuck(q: Normal, p: Normal) -> Tensor:
    return right(q, p) + (q.loc.detach() - q.loc)


def looks_at_a_value(q: Normal, p: Normal) -> Tensor:
    return right(q, p) * (1.0 if q.loc.sum().item() < 100 else 2.0)


MUTANTS: dict[str, Rule] = {
    "value": lambda q, p: right(q, p) + 0.01,
    "zero_where_equal": lambda q, p: right(q, p) + 0.01,
    "infinite_where_disjoint": right,
    "batch_shape": lambda q, p: right(q, p).sum(),
    "through_independent": lambda q, p: right(q, p).unsqueeze(0),
    "through_mask": lambda q, p: right(q, p)[:2],
    "elementwise": lambda q, p: right(q, p).mean().expand(q.batch_shape),
    "gradients": stuck,
    "single_precision": lambda q, p: right(q, p).double(),
    "device": lambda q, p: right(q, p) + torch.zeros(3),
    "traceable": looks_at_a_value,
}


MESSAGES = {
    "value": "(?s)gives the expected value.*difference: 0.01",
    "zero_where_equal": "(?s)no divergence from itself.*difference: 0.01",
    "infinite_where_disjoint": r"is \[0.0, 0.0, 0.0\], expected infinity",
    "batch_shape": r"the divergence has shape \(\), expected \(3,\)",
    "through_independent": "(?s)to_event sums the divergence.*shape",
    "through_mask": "size of tensor",
    "elementwise": r"depends on loc of the others: \[",
    "gradients": "the gradient of the divergence is not that of finite differences",
    "single_precision": "the divergence is torch.float64 under",
    "device": "device",
    "traceable": "trace",
}


def case(rule: Rule, **arguments: Any) -> RuleCase:
    q, p = (type(name, (Bell,), {}) for name in "QP")
    register_kl(q, p)(rule)
    first, second = LawCase(q, {"loc": LOC, "scale": SCALE}), {"loc": SCALE, "scale": SCALE}

    equal = first, LawCase(p, {"loc": LOC, "scale": SCALE})
    return RuleCase(first, LawCase(p, second), equal=equal, **arguments)


@pytest.mark.parametrize("check", RULE_CHECKS)
def test_each_check_catches_its_mutant(check: str) -> None:
    row = case(MUTANTS[check])
    row = RuleCase(row.q, row.p, equal=row.equal, infinite=row.equal)

    with pytest.raises((AssertionError, RuntimeError), match=MESSAGES[check]):
        check_rule(row, check)


@pytest.mark.parametrize("check", RULE_CHECKS)
def test_a_right_rule_passes(check: str) -> None:
    check_rule(case(right), check)


def test_a_bound_and_a_free_constant() -> None:
    check_rule(case(lambda q, p: right(q, p) + 1, compare="bound"), "value")
    check_rule(case(lambda q, p: right(q, p) + 1, compare="up to a constant"), "value")

    with pytest.raises(AssertionError, match="is below"):
        check_rule(case(lambda q, p: right(q, p) - 1, compare="bound"), "value")


def test_a_reference_of_ones_own() -> None:
    check_rule(case(lambda q, p: q.loc, expected=lambda q, p: q.loc), "value")


def test_skipped_checks_do_not_run() -> None:
    check_rule(case(lambda q, p: torch.ones(7), skip=dict.fromkeys(RULE_CHECKS, "a reason")))


def test_unknown_checks() -> None:
    with pytest.raises(ValueError, match=r"known name, got valu. Known are value, zero_where"):
        check_rule(case(right), "valu")
    with pytest.raises(ValueError, match=r"names of checks, got shapes. Known are value, "):
        check_rule(case(right, skip={"shapes": "a reason"}))


def test_parameters_in_single_precision() -> None:
    row = case(right)

    with pytest.raises(ValueError, match=r"P needs loc in double precision .* torch.float32"):
        check_rule(RuleCase(row.q, row.p.to(torch.float32)))
