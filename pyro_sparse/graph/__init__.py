"""What the operations of a network do to its units: read off an example, nothing is changed."""

__all__ = ["Plan", "Trace", "analyse", "trace"]

from pyro_sparse.graph.liveness import analyse
from pyro_sparse.graph.plan import Plan
from pyro_sparse.graph.trace import Trace, trace
