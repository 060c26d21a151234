"""A typed graph in integers, bit for bit: specifications, kernels, calibration, programs.

Imports costmodel below api.
"""
