"""One step of a schedule, and all steps of many machines, by numba; see `many_tiles.py` for the columns."""

import numpy as np

from costmodel.mapping.many_tiles import (
    F_A_NEED,
    F_B,
    F_B_NEED,
    F_CUT,
    F_CUT_BITS,
    F_D,
    F_HEAD_OPS,
    F_K,
    F_KIND,
    F_M,
    F_N,
    F_OPS,
    F_REST_OPS,
    F_V_NEED,
    PRODUCT,
    VECTOR,
    ceil_div,
    njit,
    search,
    search_core,
    split_tables,
)


@njit
def step_cost(
    p, reads, writes, kept, tile_bytes, R, C, flow, lanes, bandwidth, clock, units, parts, number, best, other
):  # fmt: skip
    """Cycles of one step, 0 where nothing fits. `best[4:]`: bits read, written, read and written in the buffer."""
    speed = 8 * bandwidth
    beside = kept_in = behind = 0
    for e in range(reads.shape[0]):
        bits = reads[e, 0]
        if reads[e, 1] <= kept:
            if reads[e, 2] == 0:
                kept_in += bits
        elif reads[e, 2]:
            behind += bits
        else:
            beside += bits
    kept_behind = 0
    away = stay = 0
    for e in range(reads.shape[0]):
        if writes[e, 1] <= kept:
            stay += writes[e, 0]
        else:
            away += writes[e, 0]
    if p[F_KIND] == VECTOR:
        vector = ceil_div(p[F_OPS], lanes)
        dma = ceil_div((beside + away) * clock, speed)
        took = max(max(vector, dma), 1)
        best[4], best[5] = beside, away
        best[6], best[7] = beside + kept_in + away, beside + away + stay
    elif p[F_KIND] == PRODUCT:
        am, bm, om = p[F_A_NEED] > kept, p[F_B_NEED] > kept, away > 0
        ob = ceil_div(away if om else stay, p[F_B] * p[F_M] * p[F_N])
        also = stay if om else 0  # results that stay while others leave
        if p[F_CUT]:
            # With the norm behind it: what only the norm reads joins in.
            for e in range(reads.shape[0]):
                if reads[e, 2] and reads[e, 1] <= kept:
                    kept_behind += reads[e, 0]
            vector = ceil_div(p[F_OPS], lanes)
            whole = search(
                p, ob, am, bm, om, beside + behind, vector, True, tile_bytes, R, C, flow,
                bandwidth, clock, units, parts, number, other,
            )  # fmt: skip
            cut_bits = ceil_div(p[F_CUT_BITS], p[F_B] * p[F_M] * p[F_N])
            cut = search(
                p, cut_bits, am, bm, True, beside, ceil_div(p[F_HEAD_OPS], lanes), False, tile_bytes, R, C, flow,
                bandwidth, clock, units, parts, number, best,
            )  # fmt: skip
            if not cut:
                return 0
            rest_reads = p[F_CUT_BITS] + behind
            rest = max(max(ceil_div(p[F_REST_OPS], lanes), ceil_div((rest_reads + away) * clock, speed)), 1)
            split_cycles = best[2] + rest
            split_bits = best[4] + best[5] + rest_reads + away
            together = whole and (
                other[2] < split_cycles or (other[2] == split_cycles and other[4] + other[5] <= split_bits)
            )
            if together:
                for e in range(8):
                    best[e] = other[e]
                took = best[2]
                best[6] += kept_in + kept_behind
                best[7] += also
            else:
                took = split_cycles
                best[4] += rest_reads
                best[5] += away
                best[6] += kept_in + rest_reads + away
                best[7] += rest_reads + away + stay
        else:
            vector = ceil_div(p[F_OPS], lanes)
            if not search(
                p, ob, am, bm, om, beside, vector, False, tile_bytes, R, C, flow,
                bandwidth, clock, units, parts, number, best,
            ):  # fmt: skip
                return 0
            took = best[2]
            best[6] += kept_in
            best[7] += also
    else:
        vector = ceil_div(p[F_OPS], lanes)
        ob = ceil_div(away if away else stay, p[F_B] * p[F_M] * p[F_D])
        if not search_core(
            p, ob, p[F_A_NEED] > kept, p[F_B_NEED] > kept, p[F_V_NEED] > kept, away > 0, vector, tile_bytes, R, C,
            flow, bandwidth, clock, units, parts, number, best,
        ):  # fmt: skip
            return 0
        took = best[2] + ceil_div(beside * clock, speed)
        best[4] += beside
        best[6] += beside + kept_in
        best[7] += beside + (stay if away else 0)
    return took


@njit
def run_points(steps, reads, writes, times, core, same_as, machine, prices, out, memory_pj):
    count, values = reads.shape[0], reads.shape[1]
    largest = max(steps[:, F_M].max(), max(steps[:, F_N].max(), steps[:, F_K].max()))
    smallest = min(machine[:, 0].min(), machine[:, 1].min())
    units, parts, number = split_tables(ceil_div(largest, smallest))
    best, other = np.zeros(8, np.int64), np.zeros(8, np.int64)
    # Of each form of step the last result of this point, and which values were kept when it was made.
    known, known_kept = np.zeros((count, 9), np.int64), np.zeros(count, np.int64)
    for point in range(machine.shape[0]):
        R, C, flow, lanes, buffer, bandwidth, clock = machine[point]
        kept = buffer // 2
        known_kept[:] = -1
        cycles = read = write = buffer_read = buffer_write = core_cycles = 0
        fits = True
        for s in range(count):
            p, form = steps[s], same_as[s]
            mask = (p[F_A_NEED] <= kept) + 2 * (p[F_B_NEED] <= kept) + 4 * (p[F_V_NEED] <= kept)
            bit = 8
            for e in range(values):
                mask += bit * (reads[s, e, 1] <= kept) + 2 * bit * (writes[s, e, 1] <= kept)
                bit *= 4
            if known_kept[form] == mask:
                for e in range(8):
                    best[e] = known[form, e]
                took = known[form, 8]
            else:
                took = step_cost(
                    p, reads[s], writes[s], kept, buffer - kept, R, C, flow, lanes, bandwidth, clock,
                    units, parts, number, best, other,
                )  # fmt: skip
                if took == 0:
                    fits = False
                    break
                known_kept[form] = mask
                for e in range(8):
                    known[form, e] = best[e]
                known[form, 8] = took
            cycles += took * times[s]
            core_cycles += took * times[s] * core[s]
            read += best[4] * times[s]
            write += best[5] * times[s]
            buffer_read += best[6] * times[s]
            buffer_write += best[7] * times[s]
        if fits:
            out[point, 0], out[point, 5] = cycles, core_cycles
            out[point, 1], out[point, 2] = read, write
            out[point, 3], out[point, 4] = buffer_read, buffer_write
            memory_pj[point] = (
                buffer_read / 8 * prices[point, 0]
                + buffer_write / 8 * prices[point, 1]
                + (read + write) / 8 * prices[point, 2]
            )
