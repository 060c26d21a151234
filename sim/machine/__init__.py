"""A program on an accelerator: cycles, bytes and events as they happen, and their energy.

Imports sim.integer, and costmodel below api.
"""
