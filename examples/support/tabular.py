"""Tables of features: real ones that scikit-learn brings, and one with planted features."""

__all__ = ["TABLES", "Table", "split"]

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, make_friedman1
from sklearn.model_selection import train_test_split

from examples.support.data import Data


@dataclass(frozen=True)
class Table:
    """A table of features and the size of a network for it.

    Args:
        load: Features, responses and names of the features, given a seed.
        hidden: Units of the hidden layer.
        epochs: Passes over the data.
        lr: Learning rate of the weights.
        classes: Number of classes; None for regression.
        relevant: How many features matter, the first ones; None where nobody knows.
    """

    load: Callable[[int], tuple[Any, Any, list[str]]]
    hidden: int
    epochs: int
    lr: float = 1e-2
    classes: int | None = None
    relevant: int | None = None


def split(table: Table, seed: int) -> tuple[Data, list[str]]:
    """Standardised inputs and responses, and the features' names; a quarter is for testing.

    Args:
        table: The table.
        seed: Decides the split, and the planted data.
    """
    features, response, names = table.load(seed)
    labels = response if table.classes else None
    x, x_test, y, y_test = train_test_split(
        features, response, test_size=0.25, random_state=seed, stratify=labels
    )
    inputs = [torch.tensor((a - x.mean(0)) / x.std(0)).float() for a in (x, x_test)]
    outputs = [torch.tensor(a) for a in (y, y_test)]
    if not table.classes:
        outputs = [((a - y.mean()) / y.std()).float()[:, None] for a in outputs]
    return Data(inputs[0], outputs[0], inputs[1], outputs[1]), names


def _planted(seed: int) -> tuple[Any, Any, list[str]]:
    x, y = make_friedman1(1000, 20, noise=1.0, random_state=seed)
    return x, y, [f"x{i + 1}" for i in range(20)]


def _bundled(load: Callable[[], Any]) -> Callable[[int], tuple[Any, Any, list[str]]]:
    bunch = load()
    return lambda seed: (bunch.data, bunch.target, [str(name) for name in bunch.feature_names])


TABLES = {
    "planted": Table(_planted, hidden=32, epochs=250, relevant=5),
    "cancer": Table(_bundled(load_breast_cancer), hidden=8, epochs=400, lr=3e-3, classes=2),
    "diabetes": Table(_bundled(load_diabetes), hidden=8, epochs=400),
}
