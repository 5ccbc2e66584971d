r"""Bayesian networks: conversion of torch modules, and likelihoods around them."""

__all__ = ["BayesianLayer", "Classifier", "Regressor", "bayesian_layers", "bayesianize"]

from pyro_sparse.nn.bayesianize import bayesianize
from pyro_sparse.nn.layer import BayesianLayer, bayesian_layers
from pyro_sparse.nn.likelihood import Classifier, Regressor
