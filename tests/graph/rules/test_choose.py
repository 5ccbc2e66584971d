import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyro_sparse.graph.rules import Affine, BatchNorm, Concat, Embedding, Join, rule_for
from pyro_sparse.graph.rules.joins import Attribute
from pyro_sparse.graph.rules.norms import PReLU
from pyro_sparse.graph.rules.pointwise import Pointwise, Spatial
from pyro_sparse.graph.rules.rearrange import Rearrange
from pyro_sparse.graph.rules.rule import Input, Opaque, Rule
from pyro_sparse.graph.rules.sizes import Shape
from pyro_sparse.graph.trace import trace


class Everything(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.conv = nn.Conv1d(4, 6, 1)
        self.norm = nn.BatchNorm1d(6)
        self.slopes = nn.PReLU(6)
        self.slope = nn.PReLU()
        self.act = nn.GELU()
        self.pool = nn.MaxPool1d(2)
        self.twice = nn.Linear(6, 6)
        self.layer_norm = nn.LayerNorm(6)
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, words: Tensor) -> Tensor:
        x = self.embed(words).transpose(1, 2)
        x = self.act(self.slope(self.slopes(self.norm(self.conv(x)))))
        x = self.pool(x).permute(0, 2, 1)
        x = self.twice(self.twice(x)) * self.scale
        x = torch.cat([x, self.layer_norm(x) - 1, 1 - F.dropout(x)], -1)
        return x.view(x.size(0), -1) / x.shape[0]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("words", Input),
        ("embed", Embedding),
        ("transpose", Rearrange),
        ("conv", Affine),
        ("norm", BatchNorm),
        ("slopes", PReLU),
        ("slope", Pointwise),
        ("act", Pointwise),
        ("pool", Spatial),
        ("twice", Opaque),
        ("twice_1", Opaque),
        ("scale", Attribute),
        ("mul", Join),
        ("layer_norm", Opaque),
        ("sub", Pointwise),
        ("dropout", Opaque),
        ("sub_1", Pointwise),
        ("cat", Concat),
        ("size", Shape),
        ("view", Rearrange),
        ("getattr_1", Shape),
        ("truediv", Pointwise),
        ("output", Opaque),
    ],
)
def test_which_rule_an_operation_follows(name: str, rule: type[Rule]) -> None:
    found = trace(Everything(), torch.zeros(2, 4, dtype=torch.long))
    (node,) = [node for node in found.graph.nodes if node.name == name]

    assert type(rule_for(node, found)) is rule
