from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.graph.attend import Attend
from pyro_sparse.graph.liveness import forward_facts
from pyro_sparse.graph.populations import Population, populations, readers_of_inputs
from pyro_sparse.graph.trace import trace
from tests.prune.nets import Asking, Residual


def of(net: nn.Module, x: Any) -> dict[str, Population]:
    return {p.maker: p for p in populations(*forward_facts(trace(net, x)))}


def test_norms_readers_and_sizes() -> None:
    net = nn.Sequential(
        nn.Linear(3, 5), nn.ReLU(), nn.BatchNorm1d(5), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 2)
    )
    found = of(net, torch.randn(2, 3))

    assert [(p.size, p.norms, p.reader) for p in found.values()] == [
        (5, ["2"], "3"),
        (4, [], "5"),
        (2, [], None),
    ]


def test_layers_taken_apart_are_found_by_the_module_that_ran() -> None:
    found = of(Asking(), torch.randn(2, 2, 9, 9))

    assert found.keys() == {"conv", "fc", "last"}
    assert found["conv"].norms == ["norm"]
    # Flattening makes several features of a channel.
    assert found["conv"].reader is None and found["fc"].reader == "last"


def test_what_is_added_is_kin() -> None:
    found = of(Residual(), torch.randn(2, 2, 8, 8))

    assert found["stem"].kin == found["blocks.0.conv2"].kin != found["blocks.0.conv1"].kin
    assert found["stem"].reader is None and found["blocks.0.conv1"].reader == "blocks.0.conv2"


def test_a_depthwise_layer_follows() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1))
    found = of(net, torch.randn(2, 1, 5, 5))

    assert found["0"].follower is found["1"].node
    assert found["1"].follower is None and found["1"].reader == "2"


def test_a_weight_read_behind_the_back_of_its_layer() -> None:
    class Reading(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 4)
            self.last = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(F.linear(x, self.layer.weight))

    assert of(Reading(), torch.ones(2, 3)).keys() == {"last"}


def test_heads_go_as_a_whole() -> None:
    class Seeing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(3, 6) for _ in range(3))
            self.attend = Attend(2)
            self.out = nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.attend(self.q(x), self.k(x), self.v(x)))

    found = of(Seeing(), torch.randn(5, 2, 3))

    assert {name: (p.size, p.width) for name, p in found.items()} == {
        "q": (2, 3), "k": (2, 3), "v": (2, 3), "out": (4, 1)
    }  # fmt: skip
    assert found["v"].reader == "out" and found["q"].kin == found["v"].kin


def test_a_network_that_is_one_layer() -> None:
    assert [(p.maker, p.size) for p in of(nn.Linear(3, 4), torch.ones(2, 3)).values()] == [("", 4)]
    assert of(nn.Embedding(5, 3), torch.ones(2, dtype=torch.long))[""].size == 3


def test_readers_of_the_input() -> None:
    def readers(net: nn.Module, x: Tensor) -> list[str]:
        traced = trace(net, x)
        return readers_of_inputs(forward_facts(traced)[0], traced)

    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 3), nn.Linear(3, 2))
    assert readers(flat, torch.ones(2, 3, 4)) == ["1"]
    assert readers(nn.Sequential(nn.Conv1d(3, 3, 1), flat), torch.ones(2, 3, 4)) == []
    assert readers(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), torch.ones(2, 4)) == []
