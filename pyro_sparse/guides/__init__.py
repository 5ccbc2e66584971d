r"""Guides: posterior families for the priors of sparse networks."""

__all__ = [
    "AutoSparse",
    "Family",
    "LawFamily",
    "LogNormalFamily",
    "NormalFamily",
    "Options",
    "PointFamily",
    "SiteSpec",
    "TransformedFamily",
    "TruncatedLogNormalFamily",
    "fan_in",
    "fan_in_scale",
    "register_family",
]

from pyro_sparse.guides.auto import AutoSparse
from pyro_sparse.guides.family import (
    Family,
    LawFamily,
    LogNormalFamily,
    NormalFamily,
    PointFamily,
    TransformedFamily,
    TruncatedLogNormalFamily,
)
from pyro_sparse.guides.initial import fan_in, fan_in_scale
from pyro_sparse.guides.site import SiteSpec
from pyro_sparse.guides.table import Options, register_family
