"""How products and attention cores run on one machine or on many: mappings, fusion, kept values, schedule, cost.

Imports counting, widths, hardware and below.
"""
