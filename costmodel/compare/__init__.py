"""Columns side by side: verdicts, break-even points, differences, other counters.

Imports mapping and below.
"""
