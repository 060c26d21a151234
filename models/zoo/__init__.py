"""Models: presets, loading, checkpoints, the students that ship.

Imports models.attention and models.files.
"""
