"""Laws: gates, priors of weights and scales, penalties."""

__all__ = ["L0", "L2", "Gate", "HardConcrete", "LogUniform", "Rectified"]

from pyro_sparse.distributions.gate import Gate
from pyro_sparse.distributions.hard_concrete import HardConcrete
from pyro_sparse.distributions.log_uniform import LogUniform
from pyro_sparse.distributions.penalty import L0, L2
from pyro_sparse.distributions.rectified import Rectified
