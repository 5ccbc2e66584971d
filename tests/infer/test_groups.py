"""Parameter groups, optimisers and their schedules."""

from functools import partial
from typing import Any

import pytest
import torch
from pyro.optim import PyroOptim
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from pyro_sparse.infer.groups import build_optimizer, build_scheduler, parameter_groups
from pyro_sparse.infer.schedules import linear
from tests.infer.programs import program


def named(model: nn.Module, guide: nn.Module) -> dict[str, Any]:
    return dict(nn.ModuleDict({"model": model, "guide": guide}).named_parameters())


def groups() -> list[dict[str, Any]]:
    model, guide = program()
    return parameter_groups(guide, named(model, guide), 1e-3, 1e-2)


def test_gates_have_a_group_of_their_own() -> None:
    model, guide = program()
    parameters = named(model, guide)
    weights, gates = parameter_groups(guide, parameters, 1e-3, 1e-2)

    assert (weights["name"], weights["lr"], gates["name"], gates["lr"]) == (
        "weights",
        1e-3,
        "gates",
        1e-2,
    )
    expected = {id(p) for name, p in parameters.items() if name.endswith("logits")}
    assert {id(p) for p in gates["params"]} == expected
    assert len(weights["params"]) + len(gates["params"]) == len(parameters)


def test_a_guide_by_hand_is_asked_by_name() -> None:
    parameters = {name: torch.zeros(1) for name in ("guide.gate.logits", "guide.delegate.loc")}
    found = parameter_groups(lambda: None, parameters, 1.0, 2.0)

    assert [group["lr"] for group in found] == [1.0, 2.0]
    assert found[1]["params"][0] is parameters["guide.gate.logits"]


def test_an_empty_group_is_left_out() -> None:
    found = parameter_groups(lambda: None, {"loc": torch.zeros(1)}, 1.0, 2.0)

    assert [group["name"] for group in found] == ["weights"]


def test_optimisers() -> None:
    given = groups()
    own = torch.optim.SGD(given[0]["params"], lr=0.1)

    assert isinstance(build_optimizer(None, given), torch.optim.Adam)
    assert build_optimizer(own, given) is own
    made = build_optimizer(partial(torch.optim.SGD, momentum=0.9), given)
    assert [group["momentum"] for group in made.param_groups] == [0.9, 0.9]
    assert [group["lr"] for group in made.param_groups] == [1e-3, 1e-2]


@pytest.mark.parametrize(
    "given, error, message",
    [
        (PyroOptim(torch.optim.Adam, {"lr": 0.1}), TypeError, "one of torch.optim"),
        ("adam", TypeError, "got 'adam'"),
        (lambda groups: None, TypeError, "returned None"),
        (torch.optim.SGD([torch.zeros(1)], lr=0.1), ValueError, "trains none of the parameters"),
    ],
)
def test_other_optimisers_are_refused(given: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build_optimizer(given, groups())


def rates(scheduler: Any, steps: int) -> list[float]:
    optimizer = build_optimizer(None, groups())
    made = build_scheduler(scheduler, optimizer, steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"] / 1e-3)
        optimizer.step()
        if made is not None:
            made.step()
    return found


def test_schedules_of_the_rate() -> None:
    assert rates("decay", 8) == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])
    assert rates(None, 3) == pytest.approx([1, 1, 1])
    assert rates(linear(1.0, 0.0, steps=4), 4) == pytest.approx([1, 0.75, 0.5, 0.25])
    assert rates(partial(CosineAnnealingLR, T_max=2), 2) == pytest.approx([1, 0.5])


@pytest.mark.parametrize("given", ["fast", 0.1, lambda optimizer: 3])
def test_other_schedules_are_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="The scheduler is 'decay', None"):
        build_scheduler(given, build_optimizer(None, groups()), 10)
