"""Every law and every divergence against the shipped conformance kit."""

import pytest
from torch.distributions import Distribution, kl

import pyro_sparse.distributions as laws
import pyro_sparse.kl  # registers the rules
from pyro_sparse.testing import LAW_CHECKS, RULE_CHECKS, LawCase, RuleCase, check_law, check_rule
from tests.cases import LAWS, RULES


@pytest.mark.parametrize("check", LAW_CHECKS)
@pytest.mark.parametrize("case", LAWS, ids=str)
def test_law(case: LawCase, check: str) -> None:
    check_law(case, check)


@pytest.mark.parametrize("check", RULE_CHECKS)
@pytest.mark.parametrize("case", RULES, ids=str)
def test_rule(case: RuleCase, check: str) -> None:
    check_rule(case, check)


def test_every_law_has_a_row() -> None:
    offered = {getattr(laws, name) for name in laws.__all__}
    concrete = {law for law in offered if not getattr(law, "__abstractmethods__", None)}

    assert concrete <= {type(case.law()) for case in LAWS}


def test_every_rule_has_a_row() -> None:
    rows = {_rule(case.q.law(), case.p.law()) for case in RULES}
    ours = {
        f for f in kl._KL_REGISTRY.values() if f.__module__.startswith(pyro_sparse.kl.__name__)
    }

    # Tested by hand in tests/kl.
    without_number = {"_delta_empirical", "_delta_log_uniform", "_masked_l2"}
    assert {f.__name__ for f in ours} - rows == without_number


def _rule(q: Distribution, p: Distribution) -> str:
    return kl._dispatch_kl(type(q), type(p)).__name__
