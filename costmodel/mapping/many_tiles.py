"""The loops of `many.py`: best tiles and costs of many machines, in closed forms, by numba.

All numbers are int64. A step is a row of `many_tiles.FIELDS`, a machine (rows, columns, dataflow, lanes,
buffer, bandwidth, clock). It is a second implementation of `tile.py` and `schedule.py`, see there for what
the numbers mean; tests hold both equal.
"""

import numba
import numpy as np

from costmodel.mapping.tile import PARTS

NEVER = 1 << 62  # a value that no buffer keeps
# Columns of a step. `*_need`: bytes of buffer for activations from which on the value stays on chip.
FIELDS = (
    *("kind", "B", "M", "N", "K", "D", "a_bits", "b_bits", "v_bits", "between_bits", "acc_bits"),
    *("a_need", "b_need", "v_need", "out_need", "first_on", "second_on", "bypass", "shared"),
    *("ops", "cut", "cut_bits", "head_ops", "rest_ops"),
)
(
    F_KIND,
    F_B,
    F_M,
    F_N,
    F_K,
    F_D,
    F_A_BITS,
    F_B_BITS,
    F_V_BITS,
    F_BETWEEN_BITS,
    F_ACC_BITS,
    F_A_NEED,
    F_B_NEED,
    F_V_NEED,
    F_OUT_NEED,
    F_FIRST_ON,
    F_SECOND_ON,
    F_BYPASS,
    F_SHARED,
    F_OPS,
    F_CUT,
    F_CUT_BITS,
    F_HEAD_OPS,
    F_REST_OPS,
) = range(len(FIELDS))
VECTOR, PRODUCT, CORE = 0, 1, 2
MOST_VALUES = 29  # that a step reads or writes: two bits each, of 63

_PARTS = np.array(PARTS, np.int64)
njit = numba.njit(cache=True, error_model="numpy")


@njit
def ceil_div(a, b):
    """Of a >= 0 and b > 0, rounded up; unsigned division is the faster one."""
    return np.int64(np.uint64(a + b - 1) // np.uint64(b))


@njit
def split_tables(largest):
    """For every number of whole units: even splits in units, largest first; parts of each; how many."""
    units = np.zeros((largest + 1, len(_PARTS)), np.int64)
    parts = np.zeros((largest + 1, len(_PARTS)), np.int64)
    number = np.zeros(largest + 1, np.int64)
    for whole in range(1, largest + 1):
        count, last = 0, -1
        for p in _PARTS:
            if p > whole:
                break
            size = ceil_div(whole, p)
            if size != last:
                units[whole, count], parts[whole, count] = size, ceil_div(whole, size)
                count += 1
                last = size
        number[whole] = count
    return units, parts, number


@njit
def streamed_cycles(stream, cut, passes, R):
    """Under ws and is: cycles of one fold whose stream is cut into passes."""
    return (passes - 1) * max(cut, 2 * R) + max(stream - (passes - 1) * cut, 2 * R)


@njit
def array_cycles(flow, M, N, K, R, C):
    """Steady cycles of one product in one pass."""
    if flow == 0:
        fm, fn = ceil_div(M, R), ceil_div(N, C)
        return fn * (fm * K + (fm - 1) * (R - 1) + M - (fm - 1) * R - 1)
    across, stream = (N, M) if flow == 1 else (M, N)
    return ceil_div(K, R) * ceil_div(across, C) * max(stream, 2 * R)


@njit
def tail_of(flow, M, N, K, R, C):
    """Fill and drain of a product [M,K] x [K,N]."""
    down, across, T = (M, N, K) if flow == 0 else ((K, N, M) if flow == 1 else (K, M, N))
    rows, columns = ceil_div(down, R), ceil_div(across, C)
    narrow = across - (columns - 1) * C
    if flow == 0:
        column = (rows - 1) * (T + R - 1) + T + down - (rows - 1) * R - 1
        ends = R - 1
    else:
        step = max(T, 2 * R)
        column = rows * step
        ends = 2 * R - step + T - 1
    return ends + (max(narrow, C - column) if columns > 1 else narrow)


@njit
def search(
    p,
    ob,
    am,
    bm,
    om,
    extra,
    vector,
    whole_rows,
    tile_bytes,
    R,
    C,
    flow,
    bandwidth,
    clock,
    units,
    parts,
    number,
    best,
):
    """The best tile of a product. `best`: hidden, bits, cycles, buffer bits, read, write, buffer read, write.

    Traffic depends on two dims, which run outside; further cuts of them only move more, so that a loop ends
    where its bytes cannot be the fewest any more. Of the third dim the smallest tile is best, for it shortens
    the ends; only where it is the streaming dim of the array do its cuts cost cycles, and all are tried.
    """
    B, M, N, K = p[F_B], p[F_M], p[F_N], p[F_K]
    ab, bb, cb = p[F_A_BITS], p[F_B_BITS], p[F_ACC_BITS]
    on, bypass = p[F_FIRST_ON], p[F_BYPASS]
    um, un, uk = (R, C, R) if flow != 2 else (C, R, R)
    wm, wn, wk = ceil_div(M, um), ceil_div(N, un), ceil_div(K, uk)
    ms, ns, ks = number[wm], number[wn], number[wk]
    speed, room = 8 * bandwidth, 8 * tile_bytes
    A, W, Z = B * M * K * ab * am, B * K * N * bb * bm, B * M * N * ob * om
    spill = B * M * N * cb
    fm, fn, fk = (wm, wn, wk) if flow == 0 else (ceil_div(M, C), ceil_div(N, C), wk)
    drain = (fm - 1) * (R - 1) + M - (fm - 1) * R - 1  # under os, once for each part of K
    tail = tail_of(flow, M, N, K, R, C) if on else 0
    least = 0
    if on:
        if flow == 0:
            least = B * fn * (fm * K + drain)
        else:
            least = B * fk * (fn if flow == 1 else fm) * max(M if flow == 1 else N, 2 * R)
    bound = max(least, vector)
    best[0] = NEVER
    best[1] = NEVER
    for stay in range(3):
        outer, middle, inner = (ms, ns, ks) if stay == 0 else ((ms, ks, ns) if stay == 1 else (ns, ks, ms))
        matters = (stay == 0 and flow == 0) or (stay == 1 and flow == 2) or (stay == 2 and flow == 1)
        for i in range(outer):
            for j in range(middle):
                m = n = k = 1
                mt = nt = kt = 0
                if stay == 0:
                    m, n = parts[wm, i], parts[wn, j]
                    mt, nt = min(M, um * units[wm, i]), min(N, un * units[wn, j])
                    bits = A * n + W * m + Z + extra
                elif stay == 1:
                    m, k = parts[wm, i], parts[wk, j]
                    mt, kt = min(M, um * units[wm, i]), min(K, uk * units[wk, j])
                    bits = A + W * m + Z + 2 * (k - 1) * spill + extra
                else:
                    n, k = parts[wn, i], parts[wk, j]
                    nt, kt = min(N, un * units[wn, i]), min(K, uk * units[wk, j])
                    bits = A * n + W + Z + 2 * (k - 1) * spill + extra
                if best[0] < NEVER:
                    moved = bits * clock
                    if moved > best[0] * speed:
                        break
                    if bits > best[1] and (bound >= best[0] or moved > (best[0] - 1) * speed):
                        break
                if whole_rows and ((stay != 1 and n > 1) or (stay != 0 and k > 1)):
                    continue
                h = 0 if matters else inner - 1
                while h < inner:
                    if stay == 0:
                        k, kt = parts[wk, h], min(K, uk * units[wk, h])
                    elif stay == 1:
                        n, nt = parts[wn, h], min(N, un * units[wn, h])
                    else:
                        m, mt = parts[wm, h], min(M, um * units[wm, h])
                    if whole_rows and n > 1:
                        # Rows are finished in one pass: only the whole of N will do.
                        h = 0
                        n, nt = 1, N
                    h += 1
                    a_size = mt * kt * ab * (1 if m * k == 1 else 2)
                    b_size = 0 if bypass else kt * nt * bb * (1 if n * k == 1 else 2)
                    sets = 1
                    if k > 1 and stay != 0:
                        sets = 2
                    elif k == 1 and (flow == 0 or kt <= R):
                        sets = 0
                    if a_size + b_size + sets * mt * nt * cb > room:
                        if whole_rows and stay == 1:
                            break
                        continue
                    array = 0
                    if on:
                        if flow == 0:
                            array = B * fn * (fm * K + k * drain)
                        elif flow == 1:
                            array = B * fk * fn * streamed_cycles(M, mt, m, R)
                        else:
                            array = B * fk * fm * streamed_cycles(N, nt, n, R)
                    hidden = max(array, vector)
                    if bits * clock > hidden * speed:
                        hidden = ceil_div(bits * clock, speed)
                    if hidden > best[0] or (hidden == best[0] and bits > best[1]):
                        if whole_rows and stay == 1:
                            break
                        continue
                    load, store = mt * kt * ab * am + kt * nt * bb * bm, mt * nt * ob * om
                    cycles = hidden + ceil_div(load * clock, speed) + ceil_div(store * clock, speed) + tail
                    if hidden == best[0] and bits == best[1] and cycles > best[2]:
                        if whole_rows and stay == 1:
                            break
                        continue
                    loads_a = A * (n if stay != 1 else 1)
                    loads_b = W * (m if stay != 2 else 1)
                    spills = (k - 1) * spill if stay != 0 else 0
                    if flow == 0:
                        pairs, sums = fn * M * K * ab + (0 if bypass else fm * N * K * bb), k * M * N * cb
                    elif flow == 1:
                        pairs, sums = fn * M * K * ab + (0 if bypass else m * N * K * bb), fk * M * N * cb
                    else:
                        pairs, sums = n * M * K * ab + (0 if bypass else fm * N * K * bb), fk * M * N * cb
                    reads = B * (pairs + sums) + spills + extra
                    writes = B * sums + loads_a + spills + (0 if bypass else loads_b) + extra
                    writes += 0 if om else B * M * N * ob
                    better = hidden < best[0]
                    if not better:
                        better = bits < best[1]
                        if bits == best[1]:
                            better = cycles < best[2] or (cycles == best[2] and reads + writes < best[3])
                    if better:
                        best[0], best[1], best[2], best[3] = hidden, bits, cycles, reads + writes
                        best[4], best[5] = loads_a + loads_b + spills + extra, Z + spills
                        best[6], best[7] = reads, writes
                    if whole_rows and stay == 1:
                        break
    return best[0] < NEVER


@njit
def search_core(
    p, ob, qm, km, vm, om, vector, tile_bytes, R, C, flow, bandwidth, clock, units, parts, number, best
):
    """The best block of rows of a fused core; `best` as in `search`."""
    B, M, N, d, D = p[F_B], p[F_M], p[F_N], p[F_K], p[F_D]
    qb, kb, vb, zb, cb = p[F_A_BITS], p[F_B_BITS], p[F_V_BITS], p[F_BETWEEN_BITS], p[F_ACC_BITS]
    on1, on2, shared = p[F_FIRST_ON], p[F_SECOND_ON], p[F_SHARED]
    um = R if flow != 2 else C
    wm = ceil_div(M, um)
    speed = 8 * bandwidth
    best[0] = NEVER
    key_bits = N * d * kb * km + N * D * vb * vm
    writes = B * M * D * ob * om
    for i in range(number[wm]):
        rows, blocks = min(M, um * units[wm, i]), parts[wm, i]
        last = M - (blocks - 1) * rows
        for streamed in range(2):
            chunk = min(N, C) if streamed else N
            copies = 1 if not streamed and shared == B else 2
            size = copies * chunk * (d * kb + D * vb) + 2 * rows * d * qb
            size += 2 * rows * N * (cb + zb) + rows * D * cb
            if ceil_div(size, 8) > tile_bytes:
                continue
            reads = B * M * d * qb * qm + key_bits * (B * blocks if streamed else B // shared)
            dma = ceil_div((reads + writes) * clock, speed)
            array = 0
            for block in range(2):
                m, times = (rows, blocks - 1) if block == 0 else (last, 1)
                if on1:
                    array += times * B * array_cycles(flow, m, N, d, R, C)
                if on2:
                    array += times * B * array_cycles(flow, m, D, N, R, C)
            hidden = max(array, max(dma, vector))
            load = rows * d * qb * qm + chunk * key_bits // N
            store = rows * D * ob * om
            cycles = hidden + ceil_div(load * clock, speed) + ceil_div(store * clock, speed)
            cycles += ceil_div(vector, B * blocks) + (tail_of(flow, rows, D, N, R, C) if on2 else 0)
            buffer_reads, buffer_writes = core_buffer(flow, M, N, d, D, B, rows, R, C, qb, kb, vb, zb, cb)
            buffer_writes += reads + (0 if om else B * M * D * ob)
            total = buffer_reads + buffer_writes
            bits = reads + writes
            better = hidden < best[0]
            if hidden == best[0]:
                better = bits < best[1]
                if bits == best[1]:
                    better = cycles < best[2] or (cycles == best[2] and total < best[3])
            if better:
                best[0], best[1], best[2], best[3] = hidden, bits, cycles, total
                best[4], best[5], best[6], best[7] = reads, writes, buffer_reads, buffer_writes
    return best[0] < NEVER


@njit
def core_buffer(flow, M, N, d, D, B, rows, R, C, qb, kb, vb, zb, cb):
    """Bits that a core reads from the buffer, and writes of sums and of what lies between."""
    blocks = ceil_div(M, rows)
    if flow == 0:
        fm = (blocks - 1) * ceil_div(rows, R) + ceil_div(M - (blocks - 1) * rows, R)
        pairs = ceil_div(N, C) * M * d * qb + fm * N * d * kb + ceil_div(D, C) * M * N * zb + fm * N * D * vb
        sums = M * N + M * D
    elif flow == 1:
        pairs = ceil_div(N, C) * M * d * qb + blocks * N * d * kb
        pairs += ceil_div(D, C) * M * N * zb + blocks * N * D * vb
        sums = ceil_div(d, R) * M * N + ceil_div(N, R) * M * D
    else:
        fm = (blocks - 1) * ceil_div(rows, C) + ceil_div(M - (blocks - 1) * rows, C)
        pairs = M * d * qb + fm * N * d * kb + M * N * zb + fm * N * D * vb
        sums = ceil_div(d, R) * M * N + ceil_div(N, R) * M * D
    return B * (pairs + sums * cb), B * (sums * cb + M * N * zb)
