"""How products and attention cores run on one machine or on many: tiles, fusion, schedule, cost.

Imports counting, widths, hardware and below.
"""
