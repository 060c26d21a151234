"""Attention mechanisms: names and options, cores for torch, kernels.

Imports models.errors.
"""
