r"""Bayesian networks: conversion of torch modules, and likelihoods around them."""

__all__ = [
    "Attention",
    "BayesianLayer",
    "Classifier",
    "GateSites",
    "Regressor",
    "Selector",
    "all_but",
    "bayesian_layers",
    "bayesianize",
    "by_name",
    "by_type",
    "convolutions",
    "gate_sites",
    "layers",
    "rescale_weights",
]

from pyro_sparse.nn.attention import Attention
from pyro_sparse.nn.bayesianize import bayesianize
from pyro_sparse.nn.gate_sites import GateSites, gate_sites
from pyro_sparse.nn.layer import BayesianLayer, bayesian_layers
from pyro_sparse.nn.likelihood import Classifier, Regressor
from pyro_sparse.nn.rescale import rescale_weights
from pyro_sparse.nn.select import Selector, all_but, by_name, by_type, convolutions, layers
