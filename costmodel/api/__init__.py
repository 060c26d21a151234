"""The public functions and their results. Only this package and sim meet models.

Imports everything but cli.
"""
