r"""Where batches come from: tensors in memory, or a loader."""

__all__ = ["Batches", "LoaderBatches", "TensorBatches", "batches_of", "moved"]

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten
from torch.utils.data import Dataset, TensorDataset

from pyro_sparse.infer.ranks import Ranks

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Batches(ABC):
    r"""Data, epoch by epoch, from any position in an epoch on.

    Attributes:
        examples: Number of examples, None where it is not known.
        seed: Decides the order, where it is not the business of a loader.
    """

    examples: int | None
    seed: int = 0

    @abstractmethod
    def __len__(self) -> int:
        r"""Number of batches in an epoch, 0 where it is not known."""

    @abstractmethod
    def epoch(self, number: int, skip: int = 0) -> Iterator[Arguments]:
        r"""The batches of an epoch, as positional and keyword arguments of a model.

        Args:
            number: Number of the epoch.
            skip: Number of batches to leave out at the beginning.
        """

    def generators(self) -> list[torch.Generator]:
        r"""Random number generators of the data's own."""

        return []

    def state(self) -> dict[str, Any]:
        r"""The state of these generators."""

        return {str(i): generator.get_state() for i, generator in enumerate(self.generators())}

    def load_state(self, state: dict[str, Any]) -> None:
        r"""Puts the generators back.

        Args:
            state: What `state` returned; a generator that it does not know stays as it is.
        """

        for index, generator in enumerate(self.generators()):
            if str(index) in state:
                generator.set_state(state[str(index)])


class TensorBatches(Batches):
    r"""Tensors in memory, cut along their first dimension in a new order each epoch.

    The order follows from seed and epoch alone. Several processes take turns in every batch; of
    the last, smaller one at most (number of processes - 1) examples are then left out, so that all
    have equally many.

    Args:
        tensors: A tensor, or a tuple, list or dictionary of tensors of equal length.
        size: Number of examples in a batch, over all processes.
        seed: Decides the order.
        ranks: The processes.
    """

    def __init__(self, tensors: Any, size: int, seed: int = 0, ranks: Ranks | None = None) -> None:
        self.ranks = ranks or Ranks()
        self.tensors, self.structure = _checked(tensors)
        self.examples = len(self.tensors[0])
        self.size = _checked_size(size, self.examples, self.ranks)
        self.seed = seed

    def __len__(self) -> int:
        whole, rest = divmod(self.examples or 0, self.size)
        return whole + (rest >= self.ranks.count)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Arguments]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
        order = torch.randperm(self.examples or 0, generator=generator)
        for index in order.split(self.size)[skip : len(self)]:
            yield self._batch(self._share(index))

    def _share(self, index: Tensor) -> Tensor:
        if self.ranks.count == 1:
            return index

        even = len(index) - len(index) % self.ranks.count
        return index[self.ranks.index : even : self.ranks.count]

    def _batch(self, index: Tensor) -> Arguments:
        leaves = [tensor[index.to(tensor.device)] for tensor in self.tensors]
        return _arguments(tree_unflatten(leaves, self.structure))


class LoaderBatches(Batches):
    r"""A `DataLoader`, or anything that can be iterated once an epoch.

    Batches that are skipped are read and thrown away, so that the order is the one it would have
    been.

    Args:
        loader: Yields a tensor, a tuple, a list or a dictionary.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.examples = _length(getattr(loader, "dataset", None)) or None

    def __len__(self) -> int:
        return _length(self.loader)

    def epoch(self, number: int, skip: int = 0) -> Iterator[Arguments]:
        for sampler in self._samplers():
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(number)

        batches = iter(self.loader)
        for _ in range(skip):
            next(batches, None)
        return map(_arguments, batches)

    def generators(self) -> list[torch.Generator]:
        owners = [self.loader, *self._samplers()]
        found = [getattr(owner, "generator", None) for owner in owners]
        known = {id(g): g for g in found if isinstance(g, torch.Generator)}
        return list(known.values())

    def _samplers(self) -> list[Any]:
        sampler = getattr(self.loader, "sampler", None)
        batch_sampler = getattr(self.loader, "batch_sampler", None)
        inner = getattr(batch_sampler, "sampler", None)
        found = {id(s): s for s in (sampler, batch_sampler, inner) if s is not None}
        return list(found.values())


def batches_of(data: Any, size: int, seed: int, ranks: Ranks) -> Batches:
    r"""The batches of whatever a user calls data.

    Args:
        data: Tensors in memory, a `TensorDataset`, a loader or another iterable of batches.
        size: Number of examples in a batch, for tensors in memory.
        seed: Decides the order of tensors in memory.
        ranks: The processes.

    Raises:
        TypeError: The data is none of these.
        ValueError: There is no data, or its tensors do not fit each other.
    """

    if isinstance(data, TensorDataset):
        return TensorBatches(data.tensors, size, seed, ranks)
    if isinstance(data, Tensor | tuple | Mapping):
        return TensorBatches(data, size, seed, ranks)
    if isinstance(data, list) and data and all(isinstance(t, Tensor) for t in data):
        return TensorBatches(data, size, seed, ranks)
    if isinstance(data, Iterator):
        raise TypeError(
            f"Data is read once an epoch, and a {type(data).__name__} can be read only once. "
            "Give a DataLoader, a list of batches, or tensors in memory."
        )
    if isinstance(data, Dataset) and not isinstance(data, Iterable):
        raise TypeError(
            f"fit takes batches, and {type(data).__name__} yields single examples. Wrap it: "
            "DataLoader(dataset, batch_size=128, shuffle=True)."
        )
    if isinstance(data, Iterable) and not isinstance(data, str):
        return LoaderBatches(data)
    raise TypeError(
        "Data is a tuple of tensors in memory, such as (x, y), or a DataLoader, got "
        f"{type(data).__name__}."
    )


def moved(batch: Arguments, device: torch.device) -> Arguments:
    r"""A batch on the device of the model; what is there already is not copied.

    Args:
        batch: Positional and keyword arguments.
        device: The device.
    """

    return tree_map(
        lambda x: x.to(device, non_blocking=True) if isinstance(x, Tensor) else x, batch
    )


def _arguments(batch: Any) -> Arguments:
    if isinstance(batch, Mapping):
        return (), dict(batch)
    return (tuple(batch), {}) if isinstance(batch, tuple | list) else ((batch,), {})


def _checked(data: Any) -> tuple[list[Tensor], TreeSpec]:
    leaves, structure = tree_flatten(dict(data) if isinstance(data, Mapping) else data)
    strange = [type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)]
    if strange:
        raise TypeError(
            f"Data in memory consists of tensors, got {', '.join(strange)}. Convert arrays with "
            "torch.as_tensor; leave out what is None."
        )
    if not leaves or any(tensor.ndim == 0 or not len(tensor) for tensor in leaves):
        shapes = [tuple(tensor.shape) for tensor in leaves]
        raise ValueError(f"Training needs at least one example, got tensors of shapes {shapes}.")

    lengths = [len(tensor) for tensor in leaves]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"All tensors have one entry an example, and their lengths are {lengths}."
        )
    return leaves, structure


def _checked_size(size: int, examples: int, ranks: Ranks) -> int:
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise ValueError(f"batch_size is a whole number of at least 1, got {size!r}.")
    if min(size, examples) < ranks.count:
        raise ValueError(
            f"Each of {ranks.count} processes needs an example of every batch, and a batch has "
            f"{min(size, examples)}. Use larger batches or fewer processes."
        )
    return size


def _length(sized: Any) -> int:
    try:
        return len(sized)
    except TypeError:
        return 0
