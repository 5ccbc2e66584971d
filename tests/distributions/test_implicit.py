import pyro
import pytest
import torch
from torch import Size, Tensor
from torch.distributions import Normal
from torch.fx.experimental.proxy_tensor import make_fx

from pyro_sparse.distributions.implicit import attach, bisect, implicit, in_blocks, moves, stop


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_stop_keeps_the_number_and_drops_the_gradient_of_a_recorded_graph(
    dtype: torch.dtype,
) -> None:
    x = torch.tensor([1.5, -0.0, 2.0**-14], dtype=dtype)
    graph = make_fx(lambda x: x * stop(x))(x)

    x.requires_grad_()
    y = graph(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, x.detach() ** 2)
    assert torch.equal(gradient, x.detach())


def test_stop_outside_a_graph() -> None:
    assert not stop(torch.ones(1, requires_grad=True)).requires_grad


def test_attach() -> None:
    theta = torch.tensor(2.0, requires_grad=True)
    value = attach(torch.tensor([1.0, 5.0]), torch.tensor([3.0, -4.0]), theta)

    assert value.tolist() == [1.0, 5.0]
    assert torch.autograd.grad(value.sum(), theta)[0] == -1


def test_attach_survives_a_recorded_graph() -> None:
    graph = make_fx(lambda theta: attach(theta.new_ones(2), theta.new_full((2,), 3.0), theta))
    theta = torch.tensor(2.0)
    recorded = graph(theta)

    theta.requires_grad_()
    assert torch.autograd.grad(recorded(theta).sum(), theta)[0] == 6


def test_implicit_gradient_of_a_normal_is_the_pathwise_one() -> None:
    loc = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(10, dtype=torch.float64)
    law = Normal(loc, scale)

    value = (loc + scale * noise).detach()
    value = implicit(value, law.cdf(value), law.log_prob(value))
    gradients = torch.autograd.grad(value.sum(), [loc, scale])
    torch.testing.assert_close(gradients, (torch.tensor(10.0).double(), noise.sum()))


def test_moves() -> None:
    parameter = torch.ones(1, requires_grad=True)
    seen = []

    def look(x: Tensor) -> Tensor:
        seen.append(moves(x.detach()))
        return x + 1

    make_fx(look)(torch.ones(1))

    assert moves(parameter)
    assert not moves(parameter.detach())
    with torch.no_grad():
        assert not moves(parameter)
    assert seen == [True]


def double(shape: Size, *tensors: Tensor) -> tuple[Tensor, ...]:
    a, b = tensors
    return (2 * a + b).expand(shape), (a - b).expand(shape)


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        (torch.randn(300_001), torch.tensor(2.0), (300_001,)),
        (torch.randn(2000, 300), torch.randn(300), (2000, 300)),
        (torch.randn(2000, 1), torch.randn(1, 300), (2000, 300)),
        (torch.tensor(1.0), torch.tensor(2.0), ()),
    ],
)
def test_blocks_change_nothing(a: Tensor, b: Tensor, shape: tuple[int, ...]) -> None:
    blocked, whole = in_blocks(double, Size(shape), [a, b]), double(Size(shape), a, b)

    assert all(torch.equal(x, y) for x, y in zip(blocked, whole, strict=True))


def test_bisect_resolves_small_numbers() -> None:
    u = torch.tensor([0.01, 0.1, 0.5, 0.9], dtype=torch.float64)
    root = bisect(lambda z: z**0.1, u)

    torch.testing.assert_close(root, u**10, rtol=1e-10, atol=0)
    assert (root**0.1 >= u).all()


def test_bisect_stays_inside() -> None:
    u = torch.tensor([0.0, 1.0])

    with pyro.validation_enabled(False):
        root = bisect(lambda z: z, u)
    assert ((root > 0) & (root < 1)).all()


def test_where_the_density_is_not_finite_the_number_stays() -> None:
    theta = torch.ones(4, requires_grad=True)
    value = torch.full((4,), 0.5)
    cdf = theta * torch.tensor([1.0, 1.0, 1.0, torch.nan])
    log_prob = torch.tensor([0.0, -torch.inf, torch.nan, 0.0])

    drawn = implicit(value, cdf, log_prob)

    assert torch.equal(drawn.detach(), value)
    (gradient,) = torch.autograd.grad(drawn[:3].sum(), theta)
    assert gradient[:3].tolist() == [-1.0, 0.0, 0.0]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own
def test_forward_derivatives_are_asked_for_too() -> None:
    def marked(x: Tensor) -> Tensor:
        return x * (2.0 if moves(x) else 0.0)

    assert not moves(torch.ones(1))
    assert torch.func.jvp(marked, (torch.ones(1),), (torch.ones(1),))[1] == 2
