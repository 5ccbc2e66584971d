"""Conformance kit: a new law, or a new divergence, is one row in a table.

Write a row, then run every check on it, for instance under pytest:

    LAWS = [LawCase(MyGate, {"logits": torch.tensor([-1.0, 2.0]).double()})]

    @pytest.mark.parametrize("check", LAW_CHECKS)
    @pytest.mark.parametrize("case", LAWS, ids=str)
    def test_law(case, check):
        check_law(case, check)

A check that does not apply is skipped in the row, with the reason: `skip={"icdf_inverts_cdf":
"nothing needs it"}`. Laws are elementwise, parameters in double precision, atoms at 0 and 1.
"""

__all__ = [
    "FAILURE_RATE",
    "LAW_CHECKS",
    "RULE_CHECKS",
    "LawCase",
    "RuleCase",
    "check_law",
    "check_rule",
    "expectation",
    "grid",
    "kolmogorov",
    "two_sided",
]

from pyro_sparse.testing.cases import LawCase, RuleCase
from pyro_sparse.testing.integrate import expectation, grid
from pyro_sparse.testing.laws import LAW_CHECKS, check_law
from pyro_sparse.testing.rules import RULE_CHECKS, check_rule
from pyro_sparse.testing.statistics import FAILURE_RATE, kolmogorov, two_sided
