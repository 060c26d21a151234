"""A model's computation as a graph in our operations: traced from torch, lowered, brought to one canonical form.

Imports ops.
"""
