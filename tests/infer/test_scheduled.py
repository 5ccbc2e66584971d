"""Temperatures and penalties that change during a training."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pyro_sparse.distributions import L0
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, Training, schedules
from pyro_sparse.infer.scheduled import Scheduled
from pyro_sparse.nn import Classifier, bayesianize
from tests.infer.programs import Stopping, assert_same, data, numbers, program, train

COOLING = schedules.linear(1.0, 0.25, steps=12)


def temperatures(guide: nn.Module) -> set[float]:
    named = guide.named_buffers()
    return {t.item() for name, b in named if name.endswith("temperature") for t in b.unique()}


def test_all_temperatures_follow() -> None:
    seen = []

    def look(training: Training) -> None:
        seen.append(temperatures(training.guide))  # type: ignore[arg-type]

    train(*program(), scheduled={"temperature": COOLING}, callbacks=[look])

    wanted = [2 / 3 * COOLING(step) for step in (2, 5, 8, 11)]
    assert [pytest.approx(value) for value in wanted] == [value for (value,) in seen]


def test_one_site_follows() -> None:
    model, guide = program()
    scheduled = Scheduled((model, guide), {"3.gate.temperature": schedules.constant(0.5)})
    scheduled.set(0)

    assert [*temperatures(guide.sites.get_submodule("3"))] == pytest.approx([1 / 3])
    assert [*temperatures(guide.sites.get_submodule("0"))] == pytest.approx([2 / 3])


def test_a_penalty_that_grows() -> None:
    """Without a penalty the gates' divergence is 0; each gate's keeps its share."""
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    model = Classifier(bayesianize(net, gate=L0(0.1)), num_data=90)
    guide = AutoSparse(model)
    schedule = schedules.piecewise({0: 0.0, 6: 2.0})
    training = train(model, guide, scheduled={"penalty": schedule}, warm_up=None)

    assert [row["kl"] > 0 for row in training.rows] == [False, False, True, True]
    penalties = {n: b.item() for n, b in model.named_buffers() if n.endswith("penalty")}
    assert sorted(penalties.values()) == pytest.approx([2 * 0.1 * 3, 2 * 0.1 * 6])


def test_an_interruption_changes_nothing(tmp_path: Path) -> None:
    def run(**settings: Any) -> Any:
        settings |= {"scheduled": {"temperature": COOLING}, "warm_up": None}
        return train(*program(), **settings)

    path = tmp_path / "training.pt"
    whole = numbers(run(elbo=TraceSparse_ELBO()))
    with pytest.raises(KeyboardInterrupt):
        run(elbo=Stopping(5), checkpoint=path, every=0.0)
    resumed = numbers(run(elbo=TraceSparse_ELBO(), checkpoint=path, resume=True))

    assert_same(whole, resumed)


def test_the_same_program_goes_on_from_what_it_was_made_with(tmp_path: Path) -> None:
    """Not from what the schedule had made of it."""
    path = tmp_path / "training.pt"
    model, guide = program()
    constant = {"scheduled": {"temperature": schedules.constant(0.5)}, "checkpoint": path}
    train(model, guide, **constant)
    train(model, guide, epochs=6, resume=True, **constant)

    assert [*temperatures(guide)] == pytest.approx([1 / 3])


def test_nothing_compiles_anew(captured: list) -> None:
    train(
        *program(),
        batch_size=90,
        epochs=8,
        em=False,
        elbo=TraceSparse_ELBO(compile=True),
        scheduled={"temperature": COOLING, "penalty": schedules.linear(0.0, 1.0, steps=5)},
    )

    assert len(captured) == 1


def test_a_compiled_bound_sees_it(captured: list) -> None:
    def last(compile: bool) -> float:
        pyro_schedule = {"penalty": schedules.linear(0.0, 1.0, steps=4)}
        bound = TraceSparse_ELBO(compile=compile)
        training = train(*program(), epochs=5, batch_size=90, elbo=bound, scheduled=pyro_schedule)
        return training.row["kl"]

    assert last(compile=True) == pytest.approx(last(compile=False), rel=1e-4)


def test_names() -> None:
    one = schedules.constant(1.0)

    with pytest.raises(ValueError, match=r"none is named 'heat'. There are .*temperature"):
        Scheduled(program(), {"heat": one})
    with pytest.raises(ValueError, match="'logits' is trained"):
        Scheduled(program(), {"logits": one})
    with pytest.raises(ValueError, match=r"3\.gate\.temperature' would be by nan at step 2"):
        Scheduled(program(), {"3.gate.temperature": lambda step: float("nan")}).set(2)


def test_programs_that_are_no_modules_have_no_such_tensors() -> None:
    with pytest.raises(ValueError, match="none is named 'temperature'"):
        Scheduled((data, data), {"temperature": schedules.constant(1.0)})
