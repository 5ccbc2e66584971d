"""One variable has one draw: second uses, reuse over a batch, and recomputation."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pyro.distributions import Delta, Laplace
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pyro_sparse import Local
from pyro_sparse.local import SecondUseError
from pyro_sparse.local.draw import Draw
from tests.common import assert_mean
from tests.local.weight_space import assert_standard_normal, double, gate, normal, sample

REMEDY = r"site 'fc\.weight'.*Local\(law, shared=True\)"


def named(law: Any) -> Any:
    value = sample(law)
    value.factors[0].draw.site = "fc.weight"
    return value


def test_a_number_is_kept() -> None:
    law = normal(3, 4)
    draw = Draw(law)

    assert draw.number() is draw.number()
    assert draw.is_number and draw.used == "global"


def test_rows_are_kept_for_the_same_batch() -> None:
    draw = Draw(gate(4))

    assert draw.rows(5) is draw.rows(5)
    assert draw.rows(5).shape == (5, 4)
    assert draw.used == "per example (5)"


def test_rows_are_independent_draws_of_the_law() -> None:
    law = gate(4)
    rows = Draw(law).rows(20_000).detach()

    assert_mean(rows, law.mean.detach())
    assert_mean((rows != 0).double(), law.prob_active.detach())
    centred = rows - law.mean.detach()
    assert_mean(centred[1:] * centred[:-1], 0.0)


def test_moments() -> None:
    law = normal(3, 4)
    mean, variance = Draw(law).moments()

    assert variance is not None
    torch.testing.assert_close(mean, law.loc)
    torch.testing.assert_close(variance, law.scale.square())
    assert Draw(Delta(mean)).moments() == (mean, None)


def test_only_normals_and_points_have_moments() -> None:
    assert Draw(normal(3)).has_moments and Draw(Delta(torch.zeros(3))).has_moments
    assert not Draw(Laplace(torch.zeros(3), 1.0)).has_moments

    drawn = Draw(normal(3))
    drawn.number()
    assert not drawn.has_moments


SECOND_USES: dict[str, Callable[[Any, Tensor], Any]] = {
    "two pre-activations": lambda w, x: (F.linear(x, w), F.linear(x, w)),
    "pre-activation and its transpose": lambda w, x: (F.linear(x, w), x[:, :3] @ w),
    "pre-activation, then a number": lambda w, x: (F.linear(x, w), w.sum()),
    "pre-activation, then metadata of a sample": lambda w, x: (F.linear(x, w), w.stride()),
    "reshaped and itself": lambda w, x: (F.linear(x, w.reshape(3, 4)), F.linear(x, w)),
}


@pytest.mark.parametrize("name", SECOND_USES)
def test_a_second_use_names_the_site_and_the_remedy(name: str) -> None:
    with pytest.raises(SecondUseError, match=REMEDY):
        SECOND_USES[name](named(normal(3, 4)), double(5, 4))


@pytest.mark.parametrize("name", SECOND_USES)
def test_shared_samples_may_be_used_again(name: str) -> None:
    weight = Local(normal(3, 4), shared=True).rsample()

    first, second = SECOND_USES[name](weight, double(5, 4))

    assert type(weight) is Tensor and type(first) is Tensor
    assert second is not None


def test_a_number_may_be_used_again() -> None:
    weight, x = sample(normal(3, 4)), double(5, 4)
    number = weight.clone()

    torch.testing.assert_close(F.linear(x, weight), F.linear(x, number))
    torch.testing.assert_close(x @ weight.T, F.linear(x, number))
    torch.testing.assert_close(weight.sum(), number.sum())


def test_a_silent_second_draw_would_be_wrong() -> None:
    """E[(x w)(x w)] is E[w^2] when the draw is shared and 0 when it is two draws."""
    law = torch.distributions.Normal(torch.zeros(1, 1).double(), 1.0)
    products = []
    for _ in range(2000):
        weight, x = Local(law, shared=True).rsample(), torch.ones(1, 1).double()
        products.append((F.linear(x, weight) * F.linear(x, weight)).squeeze())

    assert_mean(torch.stack(products), 1.0)


def test_a_gate_is_the_same_for_queries_keys_and_values() -> None:
    law, x = gate(4), double(6, 4)
    units = sample(law)
    weights = [nn.Parameter(double(3, 4)) for _ in range(3)]

    outputs = [F.linear(x, weight * units) for weight in weights]

    rows = law.drawn
    assert rows.shape == (6, 4)
    for output, weight in zip(outputs, weights, strict=True):
        torch.testing.assert_close(output, F.linear(x * rows, weight))


def test_a_gated_activation_is_the_same_in_every_branch() -> None:
    law, x = gate(4), double(6, 4)
    h = x * sample(law)

    torch.testing.assert_close(F.linear(h, torch.eye(4).double()) + h, 2 * (x * law.drawn))
    torch.testing.assert_close(torch.relu(h), torch.relu(x * law.drawn))


def test_another_batch_is_another_use() -> None:
    units, weight = named(gate(4)), nn.Parameter(double(3, 4))
    F.linear(double(6, 4), weight * units)

    with pytest.raises(SecondUseError, match=rf"(?s){REMEDY}") as error:
        F.linear(double(7, 4), weight * units)
    assert "per example (6)" in str(error.value) and "7 examples" in str(error.value)


def test_a_gate_of_examples_is_not_a_number_too() -> None:
    units = named(gate(4))
    F.linear(double(6, 4), nn.Parameter(double(3, 4)) * units)

    with pytest.raises(SecondUseError, match=REMEDY):
        units.sum()


def test_a_gate_drawn_as_a_number_stays_one() -> None:
    law, weight, x = gate(4), nn.Parameter(double(3, 4)), double(6, 4)
    units = sample(law)
    units.sum()

    torch.testing.assert_close(F.linear(x, weight * units), F.linear(x, weight * law.drawn))
    torch.testing.assert_close(x * units + 0, x * law.drawn)
    assert law.drawn.shape == (4,)


@pytest.mark.parametrize("shape", [(7, 4), (7, 3, 4)])
def test_batch_dim(shape: tuple[int, ...]) -> None:
    """Sequences first, examples second; where there is no second one, one draw."""
    law, x = gate(4), double(*shape)
    units = Local(law, batch_dim=1).rsample()

    torch.testing.assert_close(x * units + 0, x * law.drawn)
    assert law.drawn.shape == shape[1:]


@pytest.mark.parametrize(
    "view",
    [
        lambda h: h.transpose(1, 2),
        lambda h: h.permute(0, 2, 1),
        lambda h: h.flatten(1),
        lambda h: h.reshape(6, 2, -1),
        lambda h: h[:, None],
        lambda h: h.transpose(0, 1),
    ],
)
def test_views_of_a_gated_activation_keep_one_draw_per_example(view: Callable) -> None:
    law, x = gate(4), double(6, 3, 4)
    h = x * sample(law)

    torch.testing.assert_close(view(h) + 0, view(x * law.drawn.unsqueeze(1)))
    torch.testing.assert_close(torch.relu(h), torch.relu(x * law.drawn.unsqueeze(1)))
    assert law.drawn.shape == (6, 4)


# Segments that consume a weight and a gate in every way a draw can be given out.
SEGMENTS: dict[str, Callable[[Tensor, Any, Any], Tensor]] = {
    "local": lambda x, w, z: F.linear(x, w).tanh(),
    "local and gated": lambda x, w, z: F.linear(x, w * z).tanh(),
    "gated activation": lambda x, w, z: F.linear((x * z).tanh(), w).tanh(),
    "numbers": lambda x, w, z: torch.einsum("bi,oi->bo", x, w * z).tanh(),
    "numbers, used twice": lambda x, w, z: (x @ (w * 2).T).tanh() @ (w + 0).cos() @ (w - 1).T,
    "with dropout": lambda x, w, z: F.linear(F.dropout(x * z, 0.5), w).tanh(),
}
PLACES = ["closure", "argument", "drawn before"]


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("place", PLACES)
def test_checkpointing_gives_the_same_gradients(name: str, place: str) -> None:
    segment = SEGMENTS[name]
    laws, x = (normal(3, 4), gate(4)), double(6, 4)

    def gradients(checkpointed: bool) -> list[Tensor]:
        torch.manual_seed(3)
        w, z = (sample(law) for law in laws)
        if place == "drawn before":
            w.clone(), z.clone()

        if not checkpointed:
            output = segment(x, w, z)
        elif place == "closure":
            output = checkpoint(lambda x: segment(x, w, z), x, use_reentrant=False)
        else:
            output = checkpoint(segment, x, w, z, use_reentrant=False)

        inputs = [laws[0].loc, laws[0].scale, laws[1].logits]
        grads = torch.autograd.grad((output**2).sum(), inputs, allow_unused=True)
        return [output, *(g for g in grads if g is not None)]

    found, wanted = gradients(True), gradients(False)

    assert len(found) == len(wanted) >= 3
    for mine, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_second_backward_pass_recomputes_the_same_draws() -> None:
    law, x = normal(4, 4), double(6, 4)
    weight = sample(law)

    output = checkpoint(
        lambda x: F.dropout(x @ (weight + 0), 0.5).square(), x, use_reentrant=False
    ).sum()
    (first,) = torch.autograd.grad(output, law.loc, retain_graph=True)
    (second,) = torch.autograd.grad(output, law.loc, retain_graph=True)

    torch.testing.assert_close(first, second)


def test_two_checkpointed_segments_cannot_share_a_draw() -> None:
    units, x = named(gate(4)), double(6, 4)
    h = checkpoint(lambda x: (x * units).relu(), x, use_reentrant=False)

    with pytest.raises(SecondUseError, match=r"(?s)'fc\.weight'.*Checkpoint both uses together"):
        checkpoint(lambda x: (x * units).relu(), h, use_reentrant=False)


@pytest.mark.parametrize("name", ["local", "with dropout"])
def test_reentrant_checkpointing_is_right_or_refused(name: str) -> None:
    """A local weight leaves nothing behind; a draw kept without gradients is refused."""
    laws, x = (normal(3, 4), gate(4)), double(6, 4).requires_grad_()
    w, z = named(laws[0]), named(laws[1])
    segment = SEGMENTS[name]

    torch.manual_seed(3)
    output = checkpoint(lambda x: segment(x, w, z), x, use_reentrant=True)
    loss = (output**2).sum()

    if name == "with dropout":
        with pytest.raises(SecondUseError, match=r"(?s)'fc\.weight'.*use_reentrant=False"):
            loss.backward()
        return

    loss.backward()
    found = laws[0].loc.grad
    torch.manual_seed(3)
    wanted = torch.autograd.grad((segment(x, sample(laws[0]), z) ** 2).sum(), laws[0].loc)[0]
    torch.testing.assert_close(found, wanted)


def test_a_kept_number_follows_the_law() -> None:
    law = normal(2000)

    assert_standard_normal(((Draw(law).number() - law.loc) / law.scale).detach())
