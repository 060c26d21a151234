"""A number type for every value of a graph, with requantisation made explicit.

Imports graph, technology and below.
"""
