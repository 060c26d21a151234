"""Design spaces: knobs, points, Pareto fronts, search, and a store that survives being killed.

Imports mapping and below.
"""
