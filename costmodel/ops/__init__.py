"""The closed set of operations: what each is, and how many scalar operations and bytes it takes.

Imports nothing but errors, dtypes and files.
"""
