"""What settings mean; what `fit` says of those it cannot mean is in `test_fit.py`."""

import pytest
import torch

from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.infer.batches import LoaderBatches, TensorBatches
from pyro_sparse.infer.ranks import Ranks
from pyro_sparse.infer.settings import (
    COMPILED_FROM,
    WARM_UP,
    build_bound,
    check_functions,
    examples_of,
    seed_all,
)
from tests.infer.programs import data, program


def weights(bound: object, steps: tuple[int, ...]) -> list[float]:
    assert isinstance(bound, TraceSparse_ELBO) and callable(bound.kl_weight)
    return [float(bound.kl_weight(step)) for step in steps]


def test_the_warm_up() -> None:
    assert weights(build_bound(None, 0.5, (0.1, 0.3), 100), (0, 10, 20, 30, 99)) == pytest.approx(
        [0.0, 0.0, 0.25, 0.5, 0.5]
    )
    assert weights(build_bound(None, 1.0, WARM_UP, 100), (0, 5, 10)) == pytest.approx([0, 0.5, 1])


def test_no_warm_up() -> None:
    bound = build_bound(None, 0.5, None, 0)

    assert isinstance(bound, TraceSparse_ELBO) and bound.kl_weight == 0.5


def test_a_function_of_the_step_replaces_it() -> None:
    assert weights(build_bound(None, lambda step: step / 2, WARM_UP, 0), (3,)) == [1.5]


def test_a_bound_of_ones_own_stays_what_it_is() -> None:
    bound = TraceSparse_ELBO(kl_weight=0.1)

    assert build_bound(bound, 1.0, WARM_UP, 10) is bound and bound.kl_weight == 0.1


@pytest.mark.parametrize(
    "compile, steps, compiled",
    [
        ("auto", COMPILED_FROM, "auto"),
        ("auto", COMPILED_FROM - 1, False),
        ("auto", 0, False),
        (True, 1, True),
        (False, COMPILED_FROM, False),
    ],
)
def test_long_trainings_are_compiled(compile: bool | str, steps: int, compiled: object) -> None:
    bound = build_bound(None, 1.0, None, steps, compile)

    assert isinstance(bound, TraceSparse_ELBO) and bound.compile == compiled


def test_what_is_scheduled_follows_a_function() -> None:
    check_functions([], {"temperature": lambda step: 0.5}, None)

    with pytest.raises(TypeError, match=r"'temperature' was given 0\.5"):
        check_functions([], {"temperature": 0.5}, None)


def test_seeds() -> None:
    assert seed_all(3, Ranks()) == 3
    first = torch.rand(2)
    seed_all(3, Ranks())
    assert torch.equal(first, torch.rand(2))

    torch.manual_seed(1)
    drawn = seed_all(None, Ranks())
    torch.manual_seed(1)
    assert seed_all(None, Ranks()) == drawn != seed_all(None, Ranks())


def test_examples() -> None:
    model, _ = program()

    assert examples_of(model, TensorBatches(data(), 10)) == 90
    assert examples_of(lambda: None, TensorBatches(data(40), 10)) == 40


def test_the_rows_of_a_list_of_batches_are_counted() -> None:
    x, y = data(40)

    assert examples_of(lambda: None, LoaderBatches([(x, y), {"y": y[:5]}])) == 45


def test_an_unknown_number_of_examples_is_a_warning() -> None:
    stream = LoaderBatches(iter([data(40)]))

    with pytest.warns(UserWarning, match=r"not known.*model\.num_data = N"):
        assert examples_of(lambda: None, stream) == 1
    assert examples_of(program()[0], stream) == 90
