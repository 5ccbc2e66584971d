r"""Sparse Bayesian neural networks as ordinary Pyro programs.

How the parts stand on each other, and the order to read them in:

    special        numbers
    graph          what a network's operations do to its units
    distributions  laws: gates, priors of weights and scales, penalties
    kl             divergences between laws
    local          samples that know their law
    prior          the prior of one site, as a module
    nn, guides     models and guides
    prune          masks, and the smaller network
    infer          the evidence lower bound, training, prediction
    inspect        tables, ArviZ, plots, calibration
    citations      the papers behind a model, as BibTeX

and `testing`, the conformance kit for laws and rules of one's own. Each imports only from those
above it. Importing the package registers the divergences with torch and changes nothing else.
"""

__all__ = ["Local", "__version__", "citations"]

__version__ = "0.1.0"

from pyro_sparse import kl  # noqa: F401
from pyro_sparse.citations import citations
from pyro_sparse.local import Local
