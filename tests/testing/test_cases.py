from typing import Any

import pytest
import torch

from pyro_sparse.distributions import L0, HardConcrete
from pyro_sparse.testing import LawCase, RuleCase
from pyro_sparse.testing.cases import applicable, require_double

CASE = LawCase(HardConcrete, {"logits": torch.zeros(2).double()}, {"low": -0.2})


def test_a_case_builds_its_law() -> None:
    law = CASE.law()

    assert isinstance(law, HardConcrete)
    assert law.low == -0.2
    assert CASE.law(torch.ones(2)).logits.tolist() == [1.0, 1.0]


def test_a_case_moves() -> None:
    single = CASE.to(torch.float32).law()

    assert single.logits.dtype == torch.float32
    assert single.low == -0.2


def test_leaves_are_fresh() -> None:
    (leaf,) = CASE.leaves()

    assert leaf.requires_grad
    assert leaf is not CASE.parameters["logits"]


def test_names() -> None:
    pair = RuleCase(CASE, LawCase(L0, name="a penalty"))

    assert (str(CASE), str(pair)) == ("HardConcrete", "HardConcrete-a penalty")


def without_validation(logits: torch.Tensor, low: float) -> HardConcrete:
    return HardConcrete(logits=logits, low=low)


def with_anything(**arguments: Any) -> HardConcrete:
    return HardConcrete(**arguments)


@pytest.mark.parametrize(
    ("build", "takes"), [(HardConcrete, True), (with_anything, True), (without_validation, False)]
)
@pytest.mark.parametrize("asked", [True, False])
def test_validation_is_asked_of_builds_that_take_it(build: Any, takes: bool, asked: bool) -> None:
    case = LawCase(build, CASE.parameters, CASE.constants)
    law = case.law(validate_args=asked)

    assert case.takes_validate_args == takes
    assert law._validate_args == (asked if takes else case.law()._validate_args)


def test_applicable_checks() -> None:
    checks = {"a": 1, "b": 2}

    assert applicable(checks, None, {}) == [1, 2]
    assert applicable(checks, None, {"a": "a reason"}) == [2]
    assert applicable(checks, "b", {}) == [2]
    assert applicable(checks, "a", {"a": "a reason"}) == []


@pytest.mark.parametrize(("name", "skip"), [("c", {}), ("", {}), (None, {"c": "a reason"})])
def test_unknown_checks(name: str | None, skip: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"got {name or ''}.*Known are a, b"):
        applicable({"a": 1, "b": 2}, name, skip)


def test_double_precision() -> None:
    require_double(CASE)

    with pytest.raises(ValueError, match=r"HardConcrete needs logits .* got torch.float32. Call"):
        require_double(CASE.to(torch.float32))
