"""Networks with a likelihood: its value, its scale, and what it refuses."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from torch import Tensor, nn

from pyro_sparse.distributions import L0, LogUniform
from pyro_sparse.guides import AutoSparse
from pyro_sparse.infer import TraceSparse_ELBO
from pyro_sparse.local import Deferred
from pyro_sparse.nn import Classifier, Regressor, bayesianize

X = torch.randn(5, 4)
LABELS = torch.tensor([0, 2, 1, 1, 0])


def traced(model: nn.Module, *args: Any) -> Any:
    return poutine.trace(model).get_trace(*args)


def log_likelihood(model: nn.Module, *args: Any) -> Tensor:
    trace = traced(model, *args)
    trace.compute_log_prob()
    return trace.nodes["obs"]["log_prob_sum"]


def test_a_classifier_is_a_categorical_over_the_whole_data() -> None:
    net = nn.Linear(4, 3)

    found = log_likelihood(Classifier(net, num_data=50), X, LABELS)

    cross_entropy = nn.functional.cross_entropy(net(X), LABELS, reduction="sum")
    torch.testing.assert_close(found, -cross_entropy * 50 / 5)


def test_a_regressor_is_normal_over_the_whole_data() -> None:
    net, y = nn.Linear(4, 2), torch.randn(5, 2)

    found = log_likelihood(Regressor(net, num_data=50, noise=0.5), X, y)

    wanted = torch.distributions.Normal(net(X), 0.5).log_prob(y).sum() * 50 / 5
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_responses_of_any_shape(shape: tuple[int, ...]) -> None:
    net = nn.Sequential(nn.Linear(4, math.prod(shape)), nn.Unflatten(1, shape or (1,)))
    net = nn.Sequential(net, nn.Flatten(0)) if not shape else net
    model = Regressor(net, num_data=5)

    assert traced(model, X, torch.zeros(5, *shape)).nodes["obs"]["fn"].batch_shape == (5,)
    torch.testing.assert_close(
        log_likelihood(model, X, net(X).detach()),
        torch.tensor(-0.5 * math.log(2 * math.pi) * 5 * math.prod(shape)),
    )


def test_without_data_they_predict() -> None:
    classifier, regressor = Classifier(nn.Linear(4, 3), 50), Regressor(nn.Linear(4, 2), 50)

    assert traced(classifier, X).nodes["obs"]["value"].shape == (5,)
    assert traced(regressor, X).nodes["obs"]["value"].shape == (5, 2)
    assert classifier(X).shape == (5, 3)
    assert regressor(X).shape == (5, 2)


def test_noise_is_trained_unless_it_is_fixed() -> None:
    net, y = nn.Linear(4, 2), torch.randn(5, 2)
    trained, fixed = Regressor(net, 50, noise=0.3), Regressor(net, 50, 0.3, learn_noise=False)

    log_likelihood(trained, X, y).backward()

    assert trained.log_noise.grad is not None and trained.log_noise.grad != 0
    assert not fixed.log_noise.requires_grad
    torch.testing.assert_close(trained.log_noise.exp().item(), 0.3)


def test_the_size_of_the_batch_does_not_bias_the_bound() -> None:
    """The mean over batches of the scaled log-likelihood is the whole data's."""
    model = Classifier(nn.Linear(4, 3), num_data=5)

    batches = [log_likelihood(model, X[i : i + 1], LABELS[i : i + 1]) for i in range(5)]

    torch.testing.assert_close(
        torch.stack(batches).mean(), log_likelihood(model, X, LABELS), rtol=1e-5, atol=1e-5
    )


def test_gated_outputs() -> None:
    """Logits may be a gated activation; the likelihood sees one gate per example."""
    new = bayesianize(nn.Linear(4, 3), weight=LogUniform(), gate=L0(1.0), gate_dim="out")
    model = Classifier(new, 5)
    guide = AutoSparse(model)

    with poutine.block():
        trace = poutine.trace(guide).get_trace()
        logits = poutine.replay(model, trace=trace)(X, LABELS)

    assert isinstance(logits, Deferred) and logits.softmax(-1).shape == (5, 3)
    loss = TraceSparse_ELBO().differentiable_loss(model, guide, X, LABELS)
    loss.backward()
    assert all(p.grad is not None for p in guide.parameters())


def test_moving() -> None:
    model = Regressor(nn.Linear(4, 2), 50).double()

    assert log_likelihood(model, X.double(), torch.zeros(5, 2).double()).dtype == torch.float64


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "labels of another shape": (
        lambda: Classifier(nn.Linear(4, 3), 50)(X, LABELS.unsqueeze(-1)),
        r"labels \(B,\), got \(5, 3\) and \(5, 1\)",
    ),
    "logits of another shape": (
        lambda: Classifier(nn.Unflatten(1, (2, 2)), 50)(X),
        r"logits have shape \(B, classes\).*got \(5, 2, 2\) and None",
    ),
    "labels out of range": (
        lambda: log_likelihood(Classifier(nn.Linear(4, 3), 50), X, LABELS + 5),
        r"within the support \(IntegerInterval\(lower_bound=0, upper_bound=2\)\)",
    ),
    "responses of another shape": (
        lambda: Regressor(nn.Linear(4, 1), 50)(X, torch.zeros(5)),
        r"shape of the network's outputs, got \(5,\) and \(5, 1\).*Reshape",
    ),
    "labels that are no integers": (
        lambda: Classifier(nn.Linear(4, 3), 50)(X, LABELS + 0.5),
        r"Labels are integers from 0 to classes - 1, got torch.float32.*Regressor",
    ),
    "several noises": (
        lambda: Regressor(nn.Linear(4, 2), 50, noise=torch.tensor([0.1, 0.2])),  # type: ignore[arg-type]
        r"one positive standard deviation, got tensor",
    ),
    "no data": (lambda: Classifier(nn.Linear(4, 3), 0), "at least 1, got 0"),
    "half an example": (lambda: Regressor(nn.Linear(4, 3), 2.5), "at least 1, got 2.5"),  # type: ignore[arg-type]
    "noise of 0": (lambda: Regressor(nn.Linear(4, 3), 5, noise=0.0), "positive.*got 0.0"),
    "noise without end": (lambda: Regressor(nn.Linear(4, 3), 5, noise=math.inf), "got inf"),
    "another device": (
        lambda: Classifier(nn.Linear(4, 3), 50)(X.to("meta")),
        r"the data is on 'meta', the network on 'cpu'.*\.to\(device\)",
    ),
    "another device, only buffers": (
        lambda: Regressor(nn.BatchNorm1d(4, affine=False), 50)(X.to("meta")),
        r"the data is on 'meta', the network on 'cpu'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    call, message = REFUSED[name]

    with pytest.raises(ValueError, match=rf"(?s){message}"):
        call()


def test_examples_are_one_tensor() -> None:
    with pytest.raises(TypeError, match=r"one tensor, got a tuple.*by hand"):
        Classifier(nn.Linear(4, 3), 50)((X, X))


def test_the_number_of_examples_may_be_an_integer_of_numpy() -> None:
    model = Regressor(nn.Linear(4, 3), np.int64(50))  # type: ignore[arg-type]

    assert model.num_data == 50 and type(model.num_data) is int


def test_batches_are_no_larger_than_the_data() -> None:
    """A hint that is not refused: test sets may be larger than the training set."""
    model = Classifier(nn.Linear(4, 3), num_data=2)

    assert traced(model, X).nodes["obs"]["value"].shape == (5,)


def test_laws_of_the_network_stay_outside_the_plate() -> None:
    new = bayesianize(nn.Linear(4, 3), weight=dist.Normal(0.0, 1.0))

    trace = traced(Classifier(new, 50), X, LABELS)

    site: Any = trace.nodes["weight"]
    assert site["scale"] == 1.0 and not site["cond_indep_stack"]
