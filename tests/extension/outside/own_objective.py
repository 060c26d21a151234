"""An objective of tiles: hidden cycles times the bits that move, DRAM's counted 20 times."""

from costmodel.mapping.tile import TileCost, objective


@objective("moves_delay")
def moves_delay(cost: TileCost) -> tuple[float, ...]:
    return cost.hidden_cycles * (20 * cost.dram_bits + cost.buffer_bits), cost.cycles
