"""Checks of a law's surroundings: shapes, pickling, precision, place, validation, gates."""

__all__ = [
    "device",
    "gate_contract",
    "pickles",
    "precision",
    "sample_shapes",
    "shapes",
    "support",
]

import io
import math
import pickle

import pyro
import torch
from torch import Tensor
from torch.distributions import Distribution

from pyro_sparse.distributions.gate import Gate
from pyro_sparse.testing.assertions import assert_close, assert_shape, assert_within
from pyro_sparse.testing.cases import LawCase
from pyro_sparse.testing.questions import questions, samplers
from pyro_sparse.testing.support import ends, values_inside


def shapes(case: LawCase) -> None:
    """Shapes of `log_prob`, and what `expand`, `to_event` and `mask` make of it."""
    law = case.law()
    wide = law.expand((4, *law.batch_shape))
    events = wide.to_event(len(law.batch_shape))
    value = values_inside(law)
    log_prob = law.log_prob(value)

    assert type(wide) is type(law), (
        f"expand makes a {type(wide).__name__} of a {type(law).__name__}"
    )
    assert_shape("the batch after expand", wide.batch_shape, (4, *law.batch_shape))
    assert_shape("the batch after to_event", events.batch_shape, (4,))
    assert_shape("log_prob", log_prob.shape, law.batch_shape)

    repeated = log_prob.expand(wide.batch_shape)
    summed = events.log_prob(value.expand(wide.batch_shape))
    masked = law.mask(False).log_prob(value).double()  # Pyro's zeros have the default precision
    assert_close("expand repeats log_prob", wide.log_prob(value), repeated, 0, 0)
    assert_close("to_event sums log_prob", summed, log_prob.sum().expand(4))
    assert_close("mask(False) makes log_prob 0", masked, torch.zeros_like(value), 0, 0)


def sample_shapes(case: LawCase) -> None:
    """Shapes of draws, also after `expand`."""
    law = case.law()
    wide = law.expand((4, *law.batch_shape))

    for name, draw in samplers(law).items():
        assert_shape(f"{name}()", draw().shape, law.batch_shape)
        assert_shape(f"{name}((3, 2))", draw((3, 2)).shape, (3, 2, *law.batch_shape))
    for name, draw in samplers(wide).items():
        assert_shape(f"{name}((3,)) after expand", draw((3,)).shape, (3, *wide.batch_shape))


def pickles(case: LawCase) -> None:
    """A law survives pickling and `torch.save`."""
    law, value = case.law(), values_inside(case.law())
    buffer = io.BytesIO()
    torch.save(law, buffer)
    buffer.seek(0)

    copies = {
        "pickle": pickle.loads(pickle.dumps(law)),
        "torch.save": torch.load(buffer, weights_only=False),
    }
    for name, copy in copies.items():
        assert_close(f"{name} keeps log_prob", copy.log_prob(value), law.log_prob(value), 0, 0)


def precision(case: LawCase) -> None:
    """In single precision everything is single, draws too, and agrees with double precision."""
    single, double = case.to(torch.float32).law(), case.law()
    value = values_inside(double)

    for name, ask in questions(case).items():
        found = ask(single, value.float())
        _assert_single(name, found)
        what = f"{name} in single precision is near that in double precision"
        assert_close(what, found.double(), ask(double, value), rtol=1e-3, atol=1e-3)

    if "sample_shapes" not in case.skip:
        for name, draw in samplers(single).items():
            _assert_single(name, draw())


def device(case: LawCase) -> None:
    """Draws and densities stay where the parameters are.

    On the meta device, which refuses to mix with tensors from elsewhere, and on a GPU if any.
    """
    for place in ("meta", "cuda") if torch.cuda.is_available() else ("meta",):
        with pyro.validation_enabled(False):  # tensors on the meta device have no values
            law = case.to(torch.float32, place).law()
            value = torch.full(law.batch_shape, 0.5, device=place)

            _assert_place("log_prob", law.log_prob(value), place)
            if "sample_shapes" not in case.skip:
                for name, draw in samplers(law).items():
                    _assert_place(name, draw((3,)), place)


def support(case: LawCase) -> None:
    """With `validate_args=True`, `log_prob` refuses values beyond an end of the support.

    And it takes values inside. A support without ends has nothing to refuse. Where `build` does
    not take `validate_args`, validation is on by default instead.
    """
    with pyro.validation_enabled(not case.takes_validate_args):
        law = case.law(validate_args=True)
        low, high = ends(law)
        values = values_inside(law)
        beyond = [end for end in (low - 1, high + 1) if math.isfinite(end)]
        where = f"the support [{low:g}, {high:g}]"

        assert not _refuses(law, values), f"log_prob refuses {values.tolist()}, inside {where}"
        for end in beyond:
            assert _refuses(law, torch.full_like(values, end)), (
                f"log_prob of {end:g}, outside {where}, raises no ValueError "
                "when the law validates its arguments"
            )


def gate_contract(case: LawCase) -> None:
    """`prob_active`, `active_logits`, `deterministic` and the atoms of a gate fit together."""
    gate = case.law()
    if not isinstance(gate, Gate):
        return

    for name in ("prob_active", "deterministic"):
        assert_shape(name, getattr(gate, name).shape, gate.batch_shape)
        assert_within(name, getattr(gate, name), 0, 1)

    active = gate.prob_active
    assert_close("sigmoid(active_logits) = prob_active", gate.active_logits.sigmoid(), active)
    if gate.has_atoms:
        zero = gate.log_prob(torch.zeros_like(active)).exp()
        assert_close("exp(log_prob(0)) = 1 - prob_active", zero, 1 - active)


def _assert_single(name: str, found: Tensor) -> None:
    assert found.dtype == torch.float32, (
        f"{name} is {found.dtype} under parameters of torch.float32"
    )


def _assert_place(name: str, found: Tensor, place: str) -> None:
    assert found.device.type == place, (
        f"{name} is on {found.device.type}, the parameters are on {place}"
    )


def _refuses(law: Distribution, value: Tensor) -> bool:
    try:
        law.log_prob(value)
    except ValueError:
        return True
    return False
