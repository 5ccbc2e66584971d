"""A text that ships with Python, cut into pieces for a model of characters."""

__all__ = ["ALPHABET", "characters"]

from pydoc_data.topics import topics

import torch

from examples.support.data import Data

TEXT = "\n".join(topics[name] for name in sorted(topics))
ALPHABET = sorted(set(TEXT))


def characters(seed: int, length: int) -> Data:
    """Python's own help texts; inputs are pieces, labels what follows each of their characters.

    A tenth of the pieces is for testing.

    Args:
        seed: Decides the split.
        length: Characters of a piece.
    """
    numbers = {symbol: number for number, symbol in enumerate(ALPHABET)}
    text = torch.tensor([numbers[symbol] for symbol in TEXT])
    pieces = text.unfold(0, length + 1, length)
    order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(seed))
    test, train = pieces[order].tensor_split([len(pieces) // 10])
    return Data(train[:, :-1], train[:, 1:], test[:, :-1], test[:, 1:])
