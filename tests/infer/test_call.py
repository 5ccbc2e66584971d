"""When two evaluations are alike."""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from pyro import poutine

from pyro_sparse.infer.call import Call

X, W = torch.zeros(3), torch.tensor(1.0)


class Owner:
    def model(self, *args: Any) -> None: ...

    def guide(self, *args: Any) -> None: ...


@dataclass
class Batch:
    x: torch.Tensor


OWNER = Owner()


def call(*args: Any, model: Any = OWNER.model) -> Call:
    return Call(W, model, OWNER.guide, args, {})


def test_bound_methods_and_partials_are_known_again() -> None:
    assert call(X, model=OWNER.model).key(None) == call(X, model=OWNER.model).key(None)
    assert call(X, model=Owner().model).key(None) != call(X).key(None)
    one, same, other = (functools.partial(OWNER.model, n) for n in (1, 1, 2))
    assert call(model=one).key(None) == call(model=same).key(None) != call(model=other).key(None)


def test_one_tensor_twice_is_not_two_tensors() -> None:
    assert call(X, X).key(None) != call(X, X.clone()).key(None)


def test_handlers_around_count_by_what_they_say() -> None:
    def key(scale: float) -> Any:
        with poutine.scale(scale=scale), poutine.trace(param_only=True):
            return call(X).key(None)

    assert key(1.0) == key(1.0) != key(0.1)


def test_the_precision_of_autocast_counts() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        one = call(X).key(None)
    with torch.autocast("cpu", dtype=torch.float16):
        assert call(X).key(None) != one


def test_arguments_that_cannot_be_looked_into() -> None:
    assert call(X, 1, None, "a", [2.0, {"b": X}]).opaque is None
    assert call(Batch(X)).opaque is Batch


def test_aliases_are_objects_of_their_own() -> None:
    weight, one, two = call(X, X).aliases()
    assert one is two and one is not X and weight is not W
