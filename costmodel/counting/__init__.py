"""Operations and bytes of a graph: tallies, closed forms, energies under a table.

Imports graph, technology and below.
"""
