r"""Bayesian networks: conversion of torch modules, and likelihoods around them."""

__all__ = [
    "BayesianLayer",
    "Classifier",
    "GateSites",
    "Regressor",
    "bayesian_layers",
    "bayesianize",
    "gate_sites",
]

from pyro_sparse.nn.bayesianize import bayesianize
from pyro_sparse.nn.gate_sites import GateSites, gate_sites
from pyro_sparse.nn.layer import BayesianLayer, bayesian_layers
from pyro_sparse.nn.likelihood import Classifier, Regressor
