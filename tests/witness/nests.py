"""One product on DRAM, a buffer and an array, as a nest of loops: counted exactly; the best nest by brute force.

This is the model in which our mapper is compared with others (`tests.bench.mappers`). It shares no code with
either. C = A B, A is [m, k], B is [k, n], C is [m, n].

A *nest* is a row of loops, the outermost first. `m:16` cuts what is left of m into tiles of 16, the last one of
what remains. `[A]` says that from here inwards the tile of A lies in the buffer: one tile, it is replaced when
the loops outside `[A]` reach another one. What the loops leave over, the array does in one step:

    ws  a tile of B, up to R of k and C of n, lies in registers; each step takes one row of m
    os  a tile of C, up to R of m and C of n, lies in registers; each step takes one of k
    is  a tile of A, up to R of k and C of m, lies in registers; each step takes one of n

Counted are elements that move between DRAM and the buffer, and between the buffer and the array:

  - A tile of A or B comes from DRAM into the buffer (a read there, a write here) when it is another one than
    before. It counts as another one whenever a loop outside has gone on, but for loops over the dim it lacks that
    lie within all loops that change it. The array reads it from the buffer, once for all PEs of a row or column:
    what lies in registers when it changes, by the same rule; the others in each step.
  - The array adds a partial sum for all its k at once. It writes a sum into the buffer (under os when its
    registers take another tile) and reads it before that, unless it is the first. A tile of C that leaves the
    buffer is read there and written to DRAM; if it is not finished it comes back.
  - Sums have `sum_bits` everywhere but for finished ones in DRAM, which have `out_bits`.
  - With `b_bypasses` there is no `[B]`: B goes past the buffer, from DRAM to the registers.

The buffer holds one tile of A, of B, and of C in `sum_bits`. Registers and arithmetic cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

DIMS = "mnk"
TENSORS = {"A": ("m", "k"), "B": ("k", "n"), "C": ("m", "n")}
LACKS = {"A": "n", "B": "m", "C": "k"}
STAYS = {"ws": "B", "os": "C", "is": "A"}  # in registers
ACROSS = {"ws": "n", "os": "n", "is": "m"}  # the dim along the C columns
DOWN = {"ws": "k", "os": "m", "is": "k"}  # and along the R rows

Parts = tuple[tuple[int, int], ...]  # of a dim: sizes of its tiles, and how many there are of each


@dataclass(frozen=True)
class Pair:
    """A product and a hierarchy. Prices are pJ a byte, the same for reads and writes."""

    M: int
    N: int
    K: int
    flow: str
    R: int
    C: int
    buffer_bytes: int
    dram_pj: float
    buffer_pj: float
    a_bits: int = 8
    b_bits: int = 8
    sum_bits: int = 32
    out_bits: int = 32
    b_bypasses: bool = False

    def size(self, tensor: str) -> int:
        """Elements of a tensor."""
        sizes = {"m": self.M, "n": self.N, "k": self.K}
        x, y = TENSORS[tensor]
        return sizes[x] * sizes[y]

    def bits(self, tensor: str) -> int:
        """Of an element in the buffer."""
        return {"A": self.a_bits, "B": self.b_bits, "C": self.sum_bits}[tensor]

    def most(self, dim: str) -> int:
        """Of a dim in one step of the array."""
        return self.C if dim == ACROSS[self.flow] else self.R if dim == DOWN[self.flow] else 1


@dataclass(frozen=True)
class Traffic:
    """Bits that move, and bytes that a nest needs in the buffer."""

    dram_read: int
    dram_write: int
    buffer_read: int
    buffer_write: int
    room_bytes: int

    def energy_pj(self, pair: Pair) -> float:
        dram, buffer = self.dram_read + self.dram_write, self.buffer_read + self.buffer_write
        return (dram * pair.dram_pj + buffer * pair.buffer_pj) / 8


def traffic(pair: Pair, visits: dict[str, int], steps: dict[str, int], room_bits: int) -> Traffic:
    """All traffic from how often each element comes into the buffer, and to the array."""
    moved, A, B, C = dict(visits), pair.size("A"), pair.size("B"), pair.size("C")
    loads_a, loads_b = A * moved["A"] * pair.a_bits, B * moved["B"] * pair.b_bits
    spills = C * (moved["C"] - 1) * pair.sum_bits
    through_b = 0 if pair.b_bypasses else 1
    sums = C * steps["C"] * pair.sum_bits
    return Traffic(
        dram_read=loads_a + loads_b + spills,
        dram_write=spills + C * pair.out_bits,
        buffer_read=A * steps["A"] * pair.a_bits + B * steps["B"] * pair.b_bits * through_b + sums + spills,
        buffer_write=loads_a + loads_b * through_b + sums + spills,
        room_bytes=-(-room_bits // 8),
    )


def cut(parts: Parts, size: int) -> Parts:
    """Tiles of a dim, each cut into tiles of a size and a rest."""
    found: dict[int, int] = {}
    for whole, times in parts:
        full, rest = divmod(whole, size)
        found[size] = found.get(size, 0) + times * full
        if rest:
            found[rest] = found.get(rest, 0) + times
    return tuple(sorted((s, t) for s, t in found.items() if t))


def number(parts: Parts) -> int:
    return sum(times for _, times in parts)


def largest(parts: Parts) -> int:
    return parts[-1][0]


def parse(nest: str) -> list[tuple[str, int]]:
    """`n:110 [C] k:32` -> [("n", 110), ("C", 0), ("k", 32)]."""
    found = []
    for word in nest.split():
        dim, _, size = word.partition(":")
        found.append((dim, int(size)) if size else (word.strip("[]"), 0))
    return found


def count(pair: Pair, nest: str) -> Traffic:
    """What a nest moves, counted exactly.

    An element of a tensor comes once for each tile of the dim that the tensor lacks, as that dim is cut outside
    the innermost loop that still changes the tensor's tile. Loops further in see the same tile again.
    """
    parts: dict[str, Parts] = {dim: ((d, 1),) for dim, d in zip(DIMS, (pair.M, pair.N, pair.K), strict=True)}
    seen = dict.fromkeys(TENSORS, 1)  # tiles of the dim it lacks, outside the last loop that changes a tensor
    visits: dict[str, int] = {}
    room = 0
    for word, size in parse(nest):
        if word in TENSORS:
            visits[word] = seen[word]
            x, y = TENSORS[word]
            room += largest(parts[x]) * largest(parts[y]) * pair.bits(word)
        else:
            parts[word] = cut(parts[word], size)
            seen |= {tensor: number(parts[lacks]) for tensor, lacks in LACKS.items() if lacks != word}
    if any(largest(parts[dim]) > pair.most(dim) for dim in DIMS):
        raise ValueError(f"{nest}: the array cannot do {parts} in one step")
    stays = STAYS[pair.flow]
    steps = {t: seen[t] if t == stays else number(parts[lacks]) for t, lacks in LACKS.items()}
    if pair.b_bypasses:
        visits["B"] = steps["B"]
    return traffic(pair, visits, steps, room)


def walk(pair: Pair, nest: str) -> Traffic:
    """The same, by running the nest step by step with a buffer and registers that hold one tile each."""
    words = parse(nest)
    in_buffer: dict[str, object] = {}
    in_array: dict[str, object] = {}
    loads, steps, room = dict.fromkeys(TENSORS, 0), dict.fromkeys(TENSORS, 0), dict.fromkeys(TENSORS, 0)

    def elements(tensor: str, box: dict[str, range]) -> int:
        x, y = TENSORS[tensor]
        return len(box[x]) * len(box[y])

    def name(tensor: str, at: int, starts: tuple[int, ...]) -> object:
        """Of the tile in use: where the loops are, out to the innermost that changes it."""
        changing = [i for i, (word, size) in enumerate(words[:at]) if size and word in TENSORS[tensor]]
        return starts[: changing[-1] + 1] if changing else ()

    def step(box: dict[str, range], starts: tuple[int, ...]) -> None:
        for tensor in TENSORS:
            tile = name(tensor, len(words), starts)
            if tensor != STAYS[pair.flow] or in_array.get(tensor) != tile:
                steps[tensor] += elements(tensor, box)
            in_array[tensor] = tile

    def run(at: int, box: dict[str, range], starts: tuple[int, ...]) -> None:
        if at == len(words):
            step(box, starts)
            return
        word, size = words[at]
        if word in TENSORS:
            if in_buffer.get(word) != name(word, at, starts):
                in_buffer[word] = name(word, at, starts)
                loads[word] += elements(word, box)
                room[word] = max(room[word], elements(word, box))
            run(at + 1, box, (*starts, 0))
        else:
            for start in range(box[word].start, box[word].stop, size):
                tile = range(start, min(start + size, box[word].stop))
                run(at + 1, box | {word: tile}, (*starts, start))

    run(0, {"m": range(pair.M), "n": range(pair.N), "k": range(pair.K)}, ())
    if pair.b_bypasses:
        loads["B"] = steps["B"]
    for tensor in TENSORS:
        assert loads[tensor] % pair.size(tensor) == steps[tensor] % pair.size(tensor) == 0
    visits, each = ({t: n[t] // pair.size(t) for t in TENSORS} for n in (loads, steps))
    return traffic(pair, visits, each, sum(room[t] * pair.bits(t) for t in TENSORS))


def least_energy(pair: Pair, perfect: bool = False) -> tuple[float, str]:
    """The least energy of all nests that fit the buffer, and one such nest. For small products only.

    Every loop order, every number of loops, every tile size of all integers (`perfect`: of divisors), every place
    of `[A]`, `[B]`, `[C]`. Only a `[T]` that stands right behind a loop over one of T's dims, or in front of all,
    is tried: any other moves as much and needs as much room as one further out.
    """
    kept = tuple(t for t in TENSORS if not (t == "B" and pair.b_bypasses))
    stays, room_bits = STAYS[pair.flow], pair.buffer_bytes * 8
    none = dict.fromkeys(TENSORS, 0)

    def price(visits: dict[str, int], steps: dict[str, int]) -> float:
        return traffic(pair, none | visits, none | steps, 0).energy_pj(pair)

    base = price({}, {})  # what does not depend on visits and steps

    def cuts(parts: Parts) -> Iterator[int]:
        for size in range(1, largest(parts)):
            if not perfect or largest(parts) % size == 0:
                yield size

    @cache
    def best(
        parts: tuple[Parts, Parts, Parts], seen: int, left: str, last: str
    ) -> tuple[tuple[int, float, str], ...]:
        """(room, energy, nest) of what is further in; none that needs more room and more energy than another.

        `seen`: tiles of the dim that the tensor in registers lacks, when its tile changed last.
        `left`: tensors that are not in the buffer yet. `last`: the dim of the loop just outside.
        """
        of = dict(zip(DIMS, parts, strict=True))
        found: list[tuple[int, float, str]] = []
        if not left and all(largest(of[dim]) <= pair.most(dim) for dim in DIMS):
            steps = {t: seen if t == stays else number(of[lacks]) for t, lacks in LACKS.items()}
            visits = {"B": steps["B"]} if pair.b_bypasses else {}
            found.append((0, price(visits, steps) - base, ""))
        for tensor in left:
            if last and last not in TENSORS[tensor]:
                continue
            x, y = TENSORS[tensor]
            room = largest(of[x]) * largest(of[y]) * pair.bits(tensor)
            energy = price({tensor: number(of[LACKS[tensor]])}, {}) - base
            for more, pj, nest in best(parts, seen, left.replace(tensor, ""), last):
                found.append((room + more, energy + pj, f"[{tensor}] {nest}"))
        for dim in DIMS:
            for size in cuts(of[dim]):
                cut_parts = of | {dim: cut(of[dim], size)}
                now = number(cut_parts[LACKS[stays]]) if dim != LACKS[stays] else seen
                inner = best((cut_parts["m"], cut_parts["n"], cut_parts["k"]), now, left, dim)
                found.extend((room, pj, f"{dim}:{size} {nest}") for room, pj, nest in inner)
        front: list[tuple[int, float, str]] = []
        for room, pj, nest in sorted(found):
            if room <= room_bits and (not front or pj < front[-1][1]):
                front.append((room, pj, nest))
        return tuple(front)

    whole: tuple[Parts, Parts, Parts] = (((pair.M, 1),), ((pair.N, 1),), ((pair.K, 1),))
    front = best(whole, 1, "".join(kept), "")
    if not front:
        raise ValueError("no nest fits the buffer")
    energy, nest = front[-1][1] + base, front[-1][2].strip()
    return energy, nest
