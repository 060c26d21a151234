"""Records as tables, figures and pages, in every output format. No arithmetic beyond sums and shares.

Imports explore, compare and below.
"""
