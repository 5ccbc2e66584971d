"""Laws: gates and their components, priors of weights and scales, penalties."""

__all__ = [
    "L0",
    "L2",
    "EmpiricalNormal",
    "Gate",
    "GroupGaussianMixture",
    "HardConcrete",
    "HardNormal",
    "LogUniform",
    "Mirrored",
    "MixtureGate",
    "PowerFunction",
    "Rectified",
    "Smoothing",
    "TruncatedExponential",
    "TruncatedLogNormal",
    "TruncatedLogUniform",
    "UniformExponential",
]

from pyro_sparse.distributions.empirical_normal import EmpiricalNormal
from pyro_sparse.distributions.gate import Gate
from pyro_sparse.distributions.gaussian_mixture import GroupGaussianMixture
from pyro_sparse.distributions.hard_concrete import HardConcrete
from pyro_sparse.distributions.hard_normal import HardNormal
from pyro_sparse.distributions.log_uniform import LogUniform
from pyro_sparse.distributions.mirrored import Mirrored
from pyro_sparse.distributions.mixture_gate import MixtureGate
from pyro_sparse.distributions.penalty import L0, L2
from pyro_sparse.distributions.power_function import PowerFunction
from pyro_sparse.distributions.rectified import Rectified
from pyro_sparse.distributions.smoothing import Smoothing
from pyro_sparse.distributions.truncated_exponential import TruncatedExponential
from pyro_sparse.distributions.truncated_log_normal import TruncatedLogNormal
from pyro_sparse.distributions.truncated_log_uniform import TruncatedLogUniform
from pyro_sparse.distributions.uniform_exponential import UniformExponential
