"""Tasks: data, text, predictions, metrics.

Imports models.zoo.
"""
