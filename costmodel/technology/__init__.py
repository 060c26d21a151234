"""Published costs: energy, area and delay by operation, width and node. The data lie beside the code.

Imports ops and below.
"""
