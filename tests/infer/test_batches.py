"""Batches from tensors and from loaders."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, TensorDataset

from pyro_sparse.infer.batches import LoaderBatches, TensorBatches, batches_of, moved
from pyro_sparse.infer.ranks import Ranks

X, Y = torch.arange(10.0), torch.arange(10)


def epoch(batches: Any, number: int = 1, skip: int = 0) -> list[list[float]]:
    return [args[0].tolist() for args, _ in batches.epoch(number, skip)]


def test_every_example_once_an_epoch_with_a_smaller_last_batch() -> None:
    batches = TensorBatches((X, Y), 4)
    seen = epoch(batches)

    assert [len(batch) for batch in seen] == [4, 4, 2] and len(batches) == 3
    assert sorted(chain(*seen)) == X.tolist()
    assert all(torch.equal(x.long(), y) for (x, y), _ in batches.epoch(1))


def test_the_order_follows_from_seed_and_epoch() -> None:
    batches = TensorBatches(X, 4, seed=3)

    assert epoch(batches, 1) == epoch(TensorBatches(X, 4, seed=3), 1)
    assert epoch(batches, 1) != epoch(batches, 2)
    assert epoch(batches, 1) != epoch(TensorBatches(X, 4, seed=4), 1)


@pytest.mark.parametrize("skip", range(4))
def test_skipping(skip: int) -> None:
    tensors = TensorBatches(X, 4)
    loader = LoaderBatches(DataLoader(TensorDataset(X), batch_size=4))

    assert epoch(tensors, 1, skip) == epoch(tensors)[skip:]
    assert epoch(loader, 1, skip) == epoch(loader)[skip:]


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_every_batch(count: int) -> None:
    whole = epoch(TensorBatches(X, 6))
    parts = [epoch(TensorBatches(X, 6, ranks=Ranks(index, count))) for index in range(count)]

    for batch, *shares in zip(whole, *parts, strict=True):
        assert len({len(share) for share in shares}) == 1
        assert set(chain(*shares)) <= set(batch)
        assert sum(map(len, shares)) == len(batch) - len(batch) % count


def test_a_last_batch_with_less_than_one_example_each_is_left_out() -> None:
    batches = TensorBatches(torch.arange(9.0), 4, ranks=Ranks(0, 2))

    assert len(batches) == len(epoch(batches)) == 2


@pytest.mark.parametrize(
    "data",
    [(X, Y), [X, Y], X, {"x": X, "y": Y}, TensorDataset(X, Y)],
    ids=["tuple", "list", "tensor", "dictionary", "dataset"],
)
def test_tensors_in_memory(data: Any) -> None:
    batches = batches_of(data, 4, 0, Ranks())
    args, kwargs = next(batches.epoch(1))

    assert isinstance(batches, TensorBatches) and batches.examples == 10
    assert [len(t) for t in (*args, *kwargs.values())] == [4] * (1 if data is X else 2)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(TensorDataset(X, Y), batch_size=4),
        [(X[:4], Y[:4]), (X[4:], Y[4:])],
        DataLoader([{"x": 1.0}] * 3, batch_size=2),  # type: ignore[arg-type]
    ],
    ids=["loader", "list of batches", "dictionaries"],
)
def test_loaders(loader: Any) -> None:
    batches = batches_of(loader, 4, 0, Ranks())
    args, kwargs = next(batches.epoch(1))

    assert isinstance(batches, LoaderBatches) and len(batches) == len(loader)
    assert all(isinstance(t, Tensor) for t in (*args, *kwargs.values()))


def test_a_sampler_learns_the_epoch() -> None:
    data = TensorDataset(X)
    sampler: DistributedSampler = DistributedSampler(data, num_replicas=2, rank=0, shuffle=True)
    batches = LoaderBatches(DataLoader(data, sampler=sampler))

    assert epoch(batches, 1) == epoch(batches, 1) != epoch(batches, 2)


def test_generators_of_a_loader_are_kept() -> None:
    loader = DataLoader(TensorDataset(X), shuffle=True, generator=torch.Generator())
    batches = LoaderBatches(loader)
    state = batches.state()
    first = epoch(batches)

    assert epoch(batches) != first
    batches.load_state(state)
    assert epoch(batches) == first


def test_moving_copies_nothing_that_is_there() -> None:
    (x, note), kwargs = moved(((X, "note"), {"y": Y}), torch.device("cpu"))

    assert x is X and note == "note" and kwargs["y"] is Y


class Single(Dataset):
    def __getitem__(self, index: int) -> float:
        return 0.0


def generator() -> Iterator[Tensor]:
    yield X


@pytest.mark.parametrize(
    "data, error, message",
    [
        (generator(), TypeError, "read only once"),
        (Single(), TypeError, "Wrap it: DataLoader"),
        (3, TypeError, "got int"),
        ((X, None), TypeError, "consists of tensors, got NoneType"),
        ((X, Y.numpy()), TypeError, "ndarray. Convert arrays"),
        ((X, Y[:5]), ValueError, r"lengths are \[10, 5\]"),
        ((X[:0], Y[:0]), ValueError, "at least one example"),
        ((torch.tensor(1.0),), ValueError, "at least one example"),
        ((), ValueError, "at least one example"),
    ],
)
def test_other_data_is_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        batches_of(data, 4, 0, Ranks())


@pytest.mark.parametrize("size", [0, -1, 2.5, True])
def test_batch_sizes(size: Any) -> None:
    with pytest.raises(ValueError, match="batch_size is a whole number"):
        TensorBatches(X, size)


def test_a_batch_has_an_example_for_each_process() -> None:
    with pytest.raises(ValueError, match="Each of 4 processes"):
        TensorBatches(X, 3, ranks=Ranks(0, 4))
