"""Accelerators: arrays, memories, targets, timing conventions, what fits. The data lie in targets/.

Imports graph, technology and below.
"""
