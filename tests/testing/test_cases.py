import torch

from pyro_sparse.distributions import L0, HardConcrete
from pyro_sparse.testing import LawCase, RuleCase

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
