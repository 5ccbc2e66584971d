"""A training step in one call: the same numbers as the loop written out, compiled or not."""

import functools
import shutil
from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from torch import Tensor, nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO, TrainingStep, UntraceableError
from pyro_sparse.nn import Classifier, bayesianize

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")

X, Y = torch.randn(8, 6), torch.randint(3, (8,))


def program() -> nn.ModuleList:
    pyro.set_rng_seed(0)
    net = nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3))
    model = Classifier(bayesianize(net, weight=LogUniform(), gate=L0(0.1)), num_data=80)
    return nn.ModuleList([model, AutoSparse(model)])


def train(make: Callable[..., torch.optim.Optimizer], steps: int = 6, **options: Any) -> Any:
    """The parameters and losses of a few steps at a falling rate."""
    modules = program()
    optimizer = make(modules.parameters())
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    step = TrainingStep(TraceSparse_ELBO(**options), modules[0], modules[1], optimizer)
    torch.manual_seed(1)
    losses = []
    for _ in range(steps):
        losses.append(step(X, Y).item())
        rate.step()
    assert step.elbo.step == steps
    return modules.state_dict(), losses, optimizer


def by_hand(make: Callable[..., torch.optim.Optimizer], steps: int = 6) -> Any:
    modules = program()
    optimizer = make(modules.parameters())
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    bound = TraceSparse_ELBO()(*modules)
    torch.manual_seed(1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = bound(X, Y)
        loss.backward()
        optimizer.step()
        rate.step()
        losses.append(loss.item())
    return modules.state_dict(), losses, optimizer


def agree(left: Any, right: Any) -> None:
    assert left[1] == pytest.approx(right[1], rel=1e-5)
    for name, value in left[0].items():
        torch.testing.assert_close(right[0][name], value, rtol=1e-4, atol=1e-5)


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "Adam": functools.partial(torch.optim.Adam, lr=1e-2),
    "AdamW": functools.partial(torch.optim.AdamW, lr=1e-2),
    "fused Adam": functools.partial(torch.optim.Adam, lr=1e-2, fused=True),
    "Nesterov": functools.partial(torch.optim.SGD, lr=1e-4, momentum=0.9, nesterov=True),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=1e-3),
    "Adagrad": functools.partial(torch.optim.Adagrad, lr=1e-2),
    "rate in a tensor": lambda p: torch.optim.Adam(p, lr=torch.tensor(1e-2)),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
def test_a_captured_step_is_the_loop_by_hand(make: Callable[..., Any], captured: list) -> None:
    expected = by_hand(make)
    agree(train(make), expected)
    assert not captured

    agree(train(make, compile=True), expected)
    assert [alone for _, alone in captured] == [True]


@needs_compiler
@pytest.mark.slow
def test_a_compiled_step_is_the_loop_by_hand() -> None:
    make = OPTIMIZERS["Adam"]
    agree(train(make, compile=True), by_hand(make))


def test_the_optimiser_is_left_as_it_is(captured: list) -> None:
    _, _, expected = by_hand(OPTIMIZERS["Adam"])
    _, _, found = train(OPTIMIZERS["Adam"], compile=True)
    groups = [
        {k: v for k, v in o.param_groups[0].items() if k != "params"} for o in (found, expected)
    ]
    assert groups[0] == groups[1]
    assert not torch.compiler.is_compiling()

    found.step()  # goes on by hand, from the same state
    assert found.state_dict()["state"].keys() == expected.state_dict()["state"].keys()


def change_weight_decay(optimizer: torch.optim.Optimizer) -> None:
    optimizer.param_groups[0]["weight_decay"] = 10.0


def load_state(optimizer: torch.optim.Optimizer) -> None:
    state = optimizer.state_dict()
    for values in state["state"].values():
        values["exp_avg"] = -values["exp_avg"]
    optimizer.load_state_dict(state)


@pytest.mark.parametrize("change", [change_weight_decay, load_state])
def test_a_changed_optimiser_is_never_stale(change: Callable[[Any], None], captured: list) -> None:
    found: list[Any] = []
    for compile in (False, True):
        modules = program()
        optimizer = torch.optim.Adam(modules.parameters(), lr=1e-2)
        step = TrainingStep(TraceSparse_ELBO(compile=compile), modules[0], modules[1], optimizer)
        torch.manual_seed(1)
        for turn in range(7):
            if turn == 3:
                change(optimizer)
            loss = step(X, Y)
        found.append((modules.state_dict(), [loss.item()]))
    agree(*found)


def test_gradients_are_clipped_before_the_update(captured: list) -> None:
    found: list[Any] = []
    for compile in (False, True):
        modules = program()
        parameters = list(modules.parameters())
        before = [parameter.detach().clone() for parameter in parameters]
        step = TrainingStep(
            TraceSparse_ELBO(compile=compile),
            modules[0],
            modules[1],
            torch.optim.SGD(parameters, lr=1.0),
            before_update=functools.partial(nn.utils.clip_grad_norm_, parameters, 1e-3),
        )
        torch.manual_seed(1)
        for _ in range(3):
            step(X, Y)
        moved = [p.detach() - b for p, b in zip(parameters, before, strict=True)]
        assert 0 < torch.cat([m.flatten() for m in moved]).norm() <= 3.001e-3
        found.append((modules.state_dict(), []))
    agree(*found)


def test_an_optimiser_that_reads_numbers_says_so(captured: list) -> None:
    class Counting(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            if self.param_groups[0]["params"][0].sum() > 1e9:
                raise RuntimeError("diverged")
            return super().step(closure)

    with pytest.raises(UntraceableError, match="compile=False"):
        train(functools.partial(Counting, lr=1e-3), compile=True)


def test_only_optimisers_of_torch() -> None:
    modules = program()
    with pytest.raises(TypeError, match=r"torch\.optim, got dict"):
        TrainingStep(TraceSparse_ELBO(), modules[0], modules[1], {})  # type: ignore[arg-type]


def test_the_loss_is_detached(captured: list) -> None:
    modules = program()
    step = TrainingStep(
        TraceSparse_ELBO(), modules[0], modules[1], torch.optim.Adam(modules.parameters())
    )
    loss: Tensor = step(X, Y)
    assert not loss.requires_grad
    assert all(parameter.grad is None for parameter in modules.parameters())
