"""How the units of a network pass through its operations, one kind of operation a file."""

__all__ = ["Affine", "Rule", "rule_for"]

from pyro_sparse.prune.rules.affine import Affine
from pyro_sparse.prune.rules.choose import rule_for
from pyro_sparse.prune.rules.rule import Rule
