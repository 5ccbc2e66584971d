"""What a sample not yet drawn answers, what it gives to others, and that it never gives a mean."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse import Local
from pyro_sparse.distributions import HardConcrete
from pyro_sparse.local import Deferred
from pyro_sparse.local.deferred import as_activation, as_number, defer, handles, mark_weight
from tests.local.weight_space import assert_standard_normal, double, gate, normal, sample

INDICES = torch.tensor([[0, 2], [1, 1]])

# Operations without a rule: each must see one ordinary sample of the weight, `(3, 4)`.
NUMBERS: dict[str, Callable[[Any], Any]] = {
    "+": lambda w: w + 1,
    "- on the right": lambda w: 1 - w,
    "* a number": lambda w: w * 3,
    "* a tensor": lambda w: w * torch.ones(4, dtype=torch.float64),
    "/": lambda w: w / 2,
    "itself * itself": lambda w: w * w,
    "sum": lambda w: w.sum(),
    "mean over rows": lambda w: torch.mean(w, dim=0),
    "norm": lambda w: torch.linalg.vector_norm(w, dim=1),
    "exp": torch.exp,
    "clone": lambda w: w.clone(),
    "contiguous": lambda w: w.contiguous(),
    "to float32": lambda w: w.to(torch.float32),
    "float": lambda w: w.float(),
    "type": lambda w: w.type(torch.float16).double(),
    "element": lambda w: w[1, 2],
    "slice": lambda w: w[1:, ::2],
    "mask": lambda w: w[torch.tensor([True, False, True])],
    "index_select": lambda w: torch.index_select(w, 1, torch.tensor([3, 0])),
    "gather": lambda w: w.gather(1, torch.tensor([[0], [2], [1]])),
    "where": lambda w: torch.where(w > 0, w, -w),
    "maximum": lambda w: torch.maximum(w, torch.zeros_like(w)),
    "topk": lambda w: w.topk(2).values,
    "cat": lambda w: torch.cat([w, torch.zeros(1, 4, dtype=torch.float64)]),
    "stack": lambda w: torch.stack([w, w]),
    "chunk": lambda w: w.chunk(3)[1],
    "unbind": lambda w: torch.unbind(w)[2],
    "rows": lambda w: next(iter(w)),
    "expand": lambda w: w.expand(2, 3, 4),
    "repeat": lambda w: w.repeat(2, 1),
    "flip": lambda w: w.flip(0),
    "einsum of one": lambda w: torch.einsum("oi->io", w),
    "tensordot": lambda w: torch.tensordot(w, torch.ones(4, 2, dtype=torch.float64), 1),
    "bmm": lambda w: torch.bmm(w.expand(2, 3, 4), torch.ones(2, 4, 1, dtype=torch.float64)),
    "mv": lambda w: w @ torch.arange(4.0, dtype=torch.float64),
    "F.embedding": lambda w: F.embedding(INDICES, w, scale_grad_by_freq=True),
    "F.embedding_bag": lambda w: F.embedding_bag(INDICES, w, mode="sum"),
    "F.bilinear as an input": lambda w: F.bilinear(
        w, torch.ones(3, 2, dtype=torch.float64), torch.ones(5, 4, 2, dtype=torch.float64)
    ),
    "F.layer_norm": lambda w: F.layer_norm(torch.ones(2, 12).double(), (12,), w.flatten()),
    "F.linear as the input": lambda w: F.linear(w, torch.ones(2, 4, dtype=torch.float64)),
    "view as a row, then sum": lambda w: w.view(1, -1).sum(),
    "permuted, then sum": lambda w: w.permute(1, 0).cumsum(0),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_operations_without_a_rule_see_one_sample(name: str) -> None:
    operation, law = NUMBERS[name], normal(3, 4)
    weight = sample(law)

    result = operation(weight)
    number = weight.clone()

    torch.testing.assert_close(result, operation(number))
    assert type(result) is Tensor

    found = torch.autograd.grad(result.sum(), (law.loc, law.scale), retain_graph=True)
    noise = ((number - law.loc) / law.scale).detach()
    (wanted,) = torch.autograd.grad(operation(number).sum(), number)
    torch.testing.assert_close(found[0], wanted)
    torch.testing.assert_close(found[1], wanted * noise)


def test_numbers_follow_the_law() -> None:
    law = normal(3, 4)
    draws = torch.stack([sample(law).clone() for _ in range(300)])

    assert_standard_normal(((draws - law.loc) / law.scale).detach())


ESCAPES: dict[str, Callable[[Any], Any]] = {
    "detach": lambda w: w.detach(),
    "data": lambda w: w.data,
    "numpy": lambda w: torch.as_tensor(w.detach().numpy()),
    "asarray of a detached one": lambda w: torch.as_tensor(np.asarray(w.detach())),
    "tolist": lambda w: torch.tensor(w.tolist(), dtype=torch.float64),
    "item": lambda w: torch.stack([torch.tensor(v.item()) for v in w.flatten()]).view(3, 4),
    "pickle": lambda w: pickle.loads(pickle.dumps(w)).detach(),
    "dlpack": lambda w: torch.from_dlpack(w.detach()),
    "storage": lambda w: torch.tensor(w.detach().untyped_storage().tolist(), dtype=torch.uint8)
    .view(torch.float64)
    .view(3, 4),
    "copy of a detached one": lambda w: copy.deepcopy(w.detach()),
    "new_tensor": lambda w: w.new_zeros(3, 4).copy_(w.detach()),
    "view as another type": lambda w: w.detach().view(torch.int64).view(torch.float64),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_ways_out_of_torch_give_the_sample_and_not_the_mean(name: str) -> None:
    law = normal(3, 4)
    weight = sample(law)

    value = ESCAPES[name](weight)

    torch.testing.assert_close(value.double(), weight.clone().detach(), rtol=1e-7, atol=0)
    assert not torch.isclose(value.double(), law.loc, rtol=0, atol=1e-9).any()


def test_numpy_of_a_trained_sample_is_refused_as_for_any_tensor() -> None:
    weight = sample(normal(3, 4))

    with pytest.raises(RuntimeError, match="detach"):
        weight.numpy()
    with pytest.raises(RuntimeError, match="detach"):
        np.asarray(weight)


METADATA: dict[str, Callable[[Any], Any]] = {
    "shape": lambda w: w.shape,
    "size": lambda w: w.size(),
    "size of a dimension": lambda w: w.size(-1),
    "dim": lambda w: w.dim(),
    "ndim": lambda w: w.ndim,
    "numel": lambda w: w.numel(),
    "len": len,
    "dtype": lambda w: w.dtype,
    "device": lambda w: w.device,
    "layout": lambda w: w.layout,
    "is_floating_point": lambda w: w.is_floating_point(),
    "requires_grad": lambda w: w.requires_grad,
    "is_leaf": lambda w: w.is_leaf,
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_answered_without_a_draw(name: str) -> None:
    law = normal(3, 4)
    weight = sample(law)
    ordinary = law.rsample()
    state = torch.get_rng_state()

    assert METADATA[name](weight) == METADATA[name](ordinary)

    assert torch.equal(torch.get_rng_state(), state)
    assert weight.weight.draw.used is None


def test_only_metadata_is_answered_without_a_draw() -> None:
    """Whatever else is asked, strides included, is asked of a sample."""
    weight = sample(normal(3, 4))

    assert weight.stride() == (4, 1)
    assert weight.weight.draw.used == "global"


def test_samples_without_trained_parameters_are_leaves() -> None:
    weight = Local(torch.distributions.Normal(torch.zeros(3), 1.0)).rsample()

    assert weight.is_leaf and not weight.requires_grad
    with torch.no_grad():
        assert not sample(normal(3)).requires_grad


def test_repr_shows_the_law_and_draws_nothing() -> None:
    weight = sample(normal(3, 4))
    product = weight * Local(HardConcrete(logits=torch.zeros(4))).rsample()
    weight.weight.draw.site = "fc.weight"

    assert repr(weight) == "Deferred(fc.weight: Normal, shape=(3, 4))"
    assert repr(
        product
    ) == "Deferred(fc.weight: Normal, <unnamed>: KeptGate, shape=(3, 4))".replace(
        "KeptGate", "HardConcrete"
    )
    assert product.sites == ["fc.weight", "<unnamed>"]
    assert weight.weight.draw.used is None


def test_precision_and_shape_are_those_of_the_product() -> None:
    product = sample(gate(4)) * torch.zeros(2, 1, 4)

    assert product.shape == (2, 1, 4)
    assert product.dtype == (product + 0).dtype == torch.float64


def test_a_sample_stays_hashable() -> None:
    left, right = sample(normal(2)), sample(normal(2))

    assert len({left, right, left}) == 2


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value * 2

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * 2


def test_custom_autograd_functions_cannot_lose_the_gradient() -> None:
    weight = sample(normal(3))
    weight.weight.draw.site = "fc.weight"

    with pytest.raises(RuntimeError, match=r"(?s)custom autograd.Function.*w.clone\(\)"):
        Doubled.apply(weight).sum().backward()


def test_custom_autograd_functions_take_an_ordinary_sample() -> None:
    law = normal(3)

    Doubled.apply(sample(law).clone()).sum().backward()

    torch.testing.assert_close(law.loc.grad, torch.full((3,), 2.0, dtype=torch.float64))


def test_below_the_level_of_functions_a_sample_is_refused_by_name() -> None:
    weight = sample(normal(3))
    weight.weight.draw.site = "fc.weight"

    with pytest.raises(RuntimeError, match=r"aten\.\w+.*\['fc\.weight'\].*shared=True"):
        torch.vmap(lambda row: row * 2)(weight)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.relu_(),
        lambda h: F.relu(h, inplace=True),
        lambda h: h.add_(2.0),
        lambda h: h.clamp_(0, 1),
        lambda h: h.__setitem__((0, 0), 7.0),
        lambda h: h.mul_(0.5),
    ],
    ids=["relu_", "F.relu", "add_", "clamp_", "setitem", "mul_"],
)
def test_in_place_operations_change_a_gated_activation(change: Callable[[Any], Any]) -> None:
    law, x = gate(4), double(5, 4)
    activation = x * sample(law)
    seen = activation

    change(activation)

    wanted = x * law.drawn
    change(wanted)
    torch.testing.assert_close(activation + 0, wanted)
    torch.testing.assert_close(seen + 0, wanted)
    torch.testing.assert_close(F.linear(activation, torch.eye(4).double()), wanted)


def test_in_place_operations_change_a_sample() -> None:
    with torch.no_grad():
        weight = sample(normal(3))
        before = weight.clone()
        weight.mul_(2)

        torch.testing.assert_close(weight + 0, 2 * before)


def test_in_place_operations_change_a_gated_weight() -> None:
    weight = sample(normal(3, 4)) * sample(gate(4))
    before = weight.clone()

    weight.neg_()

    torch.testing.assert_close(weight + 0, -before)


def test_augmented_assignment() -> None:
    law, x, residual = gate(4), double(5, 4), double(5, 4)
    out = x * sample(law)

    out += residual

    torch.testing.assert_close(out, x * law.drawn + residual)


def test_a_gated_activation_has_one_draw_per_example() -> None:
    law, x = gate(4), double(6, 3, 4)

    activation = x * sample(law)

    torch.testing.assert_close(activation.sum(), (x * law.drawn.unsqueeze(1)).sum())
    assert law.drawn.shape == (6, 4)


def test_a_gate_without_examples_to_gate_has_one_draw() -> None:
    law, x = gate(4), double(4)

    torch.testing.assert_close(x * sample(law) + 0, x * law.drawn)
    assert law.drawn.shape == (4,)


def test_a_parameter_times_a_gate_is_a_weight() -> None:
    parameter, law = nn.Parameter(double(3, 4)), gate(4)

    product = (parameter * sample(law)).clone()

    torch.testing.assert_close(product, parameter * law.drawn)
    assert law.drawn.shape == (4,)


def test_a_view_of_a_parameter_times_a_gate_is_a_weight() -> None:
    parameter, law = nn.Parameter(double(4, 3)), gate(4)

    product = torch.einsum("oi,bi->bo", parameter.T * sample(law), double(2, 4))

    assert product.shape == (2, 3)
    assert law.drawn.shape == (4,)


def test_as_number_and_as_activation() -> None:
    law, x = gate(4), double(5, 4)
    activation = x * sample(law)

    assert as_activation(x) is x
    torch.testing.assert_close(as_activation(activation), as_number(activation))
    torch.testing.assert_close(as_activation(activation), x * law.drawn)


def test_products_of_the_parts() -> None:
    weight, units = sample(normal(3, 4)), sample(gate(4))

    product = defer(None, weight.weight, units.gates)

    assert isinstance(product, Deferred) and product.is_product and product.is_weight
    assert not weight.is_product
    torch.testing.assert_close(product + 0, weight.clone() * units.clone())


def test_a_handler_may_decline() -> None:
    def twice(value: Tensor) -> Tensor:
        if torch.overrides.has_torch_function((value,)):
            return torch.overrides.handle_torch_function(twice, (value,), value)
        return 2 * value

    @handles(twice)
    def _(value: Tensor) -> Any:
        return NotImplemented

    weight = sample(normal(3))

    torch.testing.assert_close(twice(weight), 2 * weight.clone())


@pytest.mark.parametrize("view", [lambda w: w, lambda w: w.T.T])
def test_a_gated_tensor_that_is_known_as_a_weight_is_one_number(view: Callable) -> None:
    law, weight = gate(4), double(3, 4)
    mark_weight(weight)

    torch.testing.assert_close((view(weight) * sample(law)).abs(), weight.abs() * law.drawn)
    assert law.drawn.shape == (4,)
