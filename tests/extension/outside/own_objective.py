"""An objective of mappings: cycles times the bits that move, DRAM's counted 20 times."""

from costmodel.mapping.objectives import Taken, objective


@objective("moves_delay")
def moves_delay(cost: Taken) -> tuple[float, ...]:
    return cost.cycles * (20 * cost.dram_bits + cost.buffer_bits), cost.cycles
