"""How products and attention cores run on one machine or on many: tiles, fusion, schedule, cost.

nest*, mapper, relaxation, core_blocks, core_search and residency are the exact mapper with its bounds; schedules
do not use it yet.

Imports counting, widths, hardware and below.
"""
