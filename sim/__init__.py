"""The simulated accelerator: integer/ has the bits, machine/ the cycles, bytes, events and their energy.

Imports costmodel below api; costmodel.api runs it.
"""
