"""Closing just as much as is too much, and opening as much as fits."""

import torch
from torch import Tensor

from pyro_sparse.infer.cut import cut, refill

CHANCES = {"a": torch.tensor([0.9, 0.2, 0.6]), "b": torch.tensor([[0.1, 0.7], [0.3, 0.8]])}
KEPT = {"a": torch.ones(3), "b": torch.tensor([[0.0, 1.0], [1.0, 1.0]])}

FEW = {"a": torch.tensor([1.0, 0.0, 0.0]), "b": torch.tensor([[0.0, 0.0], [0.0, 1.0]])}


def total(kept: dict[str, Tensor]) -> float:
    return sum(mask.sum().item() for mask in kept.values())


def test_the_least_likely_go_first_and_no_more_than_needed() -> None:
    kept = cut(lambda kept: total(kept) - 4, CHANCES, KEPT, ["a", "b"])

    assert kept["a"].tolist() == [1, 0, 1]
    assert kept["b"].tolist() == [[0, 1], [0, 1]]


def test_nothing_goes_where_there_is_room() -> None:
    assert cut(lambda kept: total(kept) - 6, CHANCES, KEPT, ["a", "b"]) is KEPT


def test_only_the_named_sites_are_touched() -> None:
    kept = cut(lambda kept: total(kept) - 4, CHANCES, KEPT, ["b"])

    assert torch.equal(kept["a"], KEPT["a"]) and kept["b"].tolist() == [[0, 0], [0, 1]]


def test_the_last_entry_of_a_site_stays() -> None:
    kept = cut(lambda kept: 1.0, CHANCES, KEPT, ["a", "b"])

    assert kept["a"].tolist() == [1, 0, 0] and kept["b"].tolist() == [[0, 0], [0, 1]]


def test_the_likeliest_are_opened_and_no_more_than_fit() -> None:
    kept = refill(lambda kept: total(kept) - 4, CHANCES, FEW, ["a", "b"])

    assert kept["a"].tolist() == [1, 0, 1]
    assert kept["b"].tolist() == [[0, 1], [0, 1]]


def test_nothing_is_opened_where_there_is_no_room() -> None:
    kept = refill(lambda kept: total(kept) - 2, CHANCES, FEW, ["a", "b"])

    assert all(torch.equal(kept[site], FEW[site]) for site in FEW)


def test_smaller_entries_follow_one_that_is_too_large() -> None:
    """Those of the second site are next in line, and each as large as four of the first."""
    size = lambda kept: kept["a"].sum().item() + 4 * kept["b"].sum().item()  # noqa: E731
    kept = refill(lambda kept: size(kept) - 7, CHANCES, FEW, ["a", "b"])

    assert size(kept) == 7 and kept["a"].all() and torch.equal(kept["b"], FEW["b"])


def test_only_the_named_sites_are_opened() -> None:
    kept = refill(lambda kept: total(kept) - 3, CHANCES, FEW, ["a"])

    assert kept["a"].tolist() == [1, 0, 1] and torch.equal(kept["b"], FEW["b"])
