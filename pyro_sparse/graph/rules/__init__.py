"""How the units of a network pass through its operations, one kind of operation a file."""

__all__ = [
    "Affine",
    "BatchNorm",
    "Concat",
    "Embedding",
    "Heads",
    "Join",
    "Rule",
    "Through",
    "rule_for",
]

from pyro_sparse.graph.rules.affine import Affine
from pyro_sparse.graph.rules.choose import rule_for
from pyro_sparse.graph.rules.concat import Concat
from pyro_sparse.graph.rules.heads import Heads
from pyro_sparse.graph.rules.joins import Join
from pyro_sparse.graph.rules.norms import BatchNorm
from pyro_sparse.graph.rules.rule import Rule, Through
from pyro_sparse.graph.rules.table import Embedding
