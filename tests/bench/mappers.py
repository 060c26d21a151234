"""Best mappings of products that other mappers find, at equal prices and capacities; kept in mappers.toml.

    python -m tests.bench.mappers accelforge     # in an environment with accelforge 1.0.467, Python 3.12
    python -m tests.bench.mappers zigzag         # in one with zigzag-dse 3.9.1 and six, Python 3.11

Run in this project's folder; neither tool is needed for anything else, and neither is in its environment. Results
go to mappers.toml, one by one; what is there already is not asked again unless the tool's version differs or
`--again` is given. Timeloop is not on PyPI (`timeloop` there is another project;
`timeloopfe`, `pytimeloop` are not there).

The model is that of `tests.witness.nests`, which counts what each mapping found here moves; tests hold that it
counts what the tools count. One array, one buffer for all, DRAM. What each tool assumes, as described here:

accelforge, its mapper FFM, an exhaustive search with pruning; objective energy
  - Buffer: one tile of each operand, not two (no double buffering); operands may have tiles cut by different
    loops (uneven), any number of loops. `keep: All`: everything goes through the buffer, nothing past it, but B
    where `b_bypasses` says so: `keep: A | C`.
  - Partial sums have the same width in the buffer and in DRAM where `out_bits` = `sum_bits`, and may go to DRAM
    and back. Where `out_bits` is less they may not (`no_refetch_from_above: C`): the tool has one width for C in
    DRAM. It does not read the first, empty sum, neither from DRAM nor from the buffer.
  - Array: `ws` is a column of R PEs that adds for C (reuses the output) and C columns that share A. A register of
    one element a PE holds B, at no cost. `os`, `is` in the same way. PEs may idle. Columns and rows *may* reuse;
    if the tool then finds a mapping that no such array can do (k across, say), it is asked again where they must
    (`reuse`). That is not done at once, since the tool then tries fewer loops and finds worse mappings.
  - MACs and registers cost 0; no leakage, no time.
  - space "divisors": tiles divide tiles. space "all": `explore_imperfect_temporal_loops` and `_spatial_loops`. In
    this space its own figure is off where loops do not divide, mostly too low: it multiplies fractions of tiles
    (768 columns in 7 tiles of 110, in tiles of 31: 7 x 110/31 = 24.84 reads of A, where there are 27), and some of
    its choices are worse than those of "divisors". `energy_pj` is what the tool says; compare with the count of
    `nest`. Products are asked in the order of their size: "all" takes minutes for the largest.

zigzag, its mapper LOMA: loop orders of prime factors (`lpf_limit` of them, small ones merged), memory by a greedy
rule
  - Buffer: one tile of each operand (`force_double_buffering` off), uneven; everything goes through it.
  - Only pairs with `out_bits` = `sum_bits`. It reads the first, empty sum from the buffer: M N `sum_bits` more
    than all others; compare with the count of `nest`.
  - Array: given, as above, min(R, dim) x min(C, dim); what does not divide is rounded up.
  - `access_same_data_considered_as_no_access` cannot apply: a word is 8 bits, a step of the array reads more.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import platform
import tempfile
import time
import tomllib
import warnings
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.witness.nests import ACROSS, DOWN, LACKS, STAYS, Pair, count

FILE = Path(__file__).resolve().with_name("mappers.toml")
PACKAGES = {"accelforge": ("accelforge", "hwcomponents", "islpy-barvinok"), "zigzag": ("zigzag-dse",)}
KIB = 1024
LPF_LIMIT = 6
SPACES = {"accelforge": ("divisors", "all"), "zigzag": (f"lpf_limit {LPF_LIMIT}",)}


@dataclass(frozen=True)
class Found:
    """The best mapping that a tool found for a pair."""

    pair: str
    tool: str
    space: str
    energy_pj: float  # as the tool says
    nest: str  # see `tests.witness.nests`
    seconds: float


def name_of(pair: Pair) -> str:
    size = f"{pair.M}x{pair.N}x{pair.K} {pair.flow} {pair.R}x{pair.C} {pair.buffer_bytes} B"
    widths = f"{pair.a_bits}/{pair.b_bits}/{pair.sum_bits}/{pair.out_bits}"
    return f"{size} {widths} {pair.dram_pj:g}:{pair.buffer_pj:g}" + " past" * pair.b_bypasses


def pairs() -> list[Pair]:
    """Products of DistilBERT, MiniLM, GPT-2, odd ones; buffers of 32 KiB to 1 MiB; small ones for brute force."""
    found = []
    for M, N, K, flow, side, kib, dram, buffer, sums, out in (
        # DistilBERT
        (128, 768, 768, "ws", 32, 32, 100, 5, 32, 32),
        (128, 768, 768, "os", 32, 32, 100, 5, 32, 32),
        (128, 768, 768, "is", 32, 32, 100, 5, 32, 32),
        (128, 768, 768, "ws", 32, 64, 100, 5, 32, 8),
        (128, 768, 768, "os", 32, 64, 100, 5, 32, 8),
        (128, 768, 768, "ws", 32, 512, 160, 2, 32, 8),
        (128, 3072, 768, "ws", 32, 64, 100, 5, 32, 32),
        (128, 3072, 768, "os", 32, 64, 100, 5, 32, 32),
        (128, 3072, 768, "ws", 64, 128, 20, 10, 32, 8),
        (128, 3072, 768, "ws", 128, 1024, 160, 2, 16, 16),
        (128, 768, 3072, "ws", 32, 128, 100, 5, 32, 8),
        (128, 768, 3072, "os", 32, 32, 40, 1, 32, 32),
        (128, 768, 3072, "is", 32, 256, 20, 10, 16, 16),
        (512, 768, 768, "ws", 32, 128, 160, 2, 32, 8),
        (512, 768, 768, "os", 16, 64, 1000, 1, 8, 8),
        (384, 3072, 768, "ws", 32, 256, 100, 5, 32, 8),
        (384, 768, 3072, "os", 32, 128, 100, 5, 32, 8),
        (128, 128, 64, "ws", 16, 32, 100, 5, 32, 8),
        (512, 512, 64, "os", 32, 32, 100, 5, 32, 32),
        (512, 64, 512, "ws", 32, 64, 100, 5, 32, 8),
        # MiniLM
        (128, 384, 384, "ws", 32, 32, 160, 2, 32, 8),
        (128, 384, 384, "os", 16, 32, 20, 10, 32, 32),
        (128, 1536, 384, "ws", 32, 64, 100, 5, 16, 16),
        (128, 384, 1536, "os", 32, 32, 100, 5, 32, 32),
        (256, 384, 384, "is", 32, 64, 100, 5, 32, 8),
        (256, 384, 1536, "ws", 16, 32, 40, 1, 8, 8),
        # GPT-2
        (1024, 2304, 768, "ws", 32, 256, 100, 5, 32, 8),
        (1024, 768, 768, "os", 32, 128, 160, 2, 32, 32),
        (64, 3072, 768, "ws", 128, 64, 100, 5, 32, 32),
        (1, 2304, 768, "ws", 32, 32, 100, 5, 32, 8),
        (1, 768, 3072, "os", 32, 32, 100, 5, 32, 32),
        (1024, 1024, 64, "ws", 32, 128, 100, 5, 32, 8),
        # Odd ones
        (97, 101, 53, "ws", 16, 32, 100, 5, 32, 8),
        (385, 768, 768, "ws", 32, 128, 100, 5, 32, 8),
        (200, 300, 500, "os", 16, 32, 100, 5, 32, 32),
        (200, 300, 500, "ws", 16, 32, 20, 10, 32, 32),
        (49, 96, 384, "ws", 8, 32, 160, 2, 32, 8),
        (331, 257, 127, "os", 32, 32, 100, 5, 16, 16),
    ):
        found.append(Pair(M, N, K, flow, side, side, kib * KIB, float(dram), float(buffer), 8, 8, sums, out))
    for M, N, K, kib in ((128, 768, 768, 32), (128, 768, 3072, 64), (128, 3072, 768, 256), (200, 300, 500, 32)):
        found.append(Pair(M, N, K, "ws", 32, 32, kib * KIB, 100.0, 5.0, 8, 8, 32, 32, b_bypasses=True))
    for M, N, K, flow, R, C, size, dram, buffer, sums, past in (
        (16, 12, 8, "ws", 2, 2, 48, 100, 5, 16, False),
        (16, 12, 8, "os", 4, 4, 64, 100, 5, 16, False),
        (8, 16, 24, "is", 2, 4, 96, 100, 5, 32, False),
        (24, 16, 12, "ws", 4, 2, 128, 20, 10, 8, False),
        (12, 12, 12, "os", 2, 2, 100, 40, 1, 32, False),
        (16, 8, 32, "os", 1, 1, 64, 100, 5, 32, False),
        (12, 18, 8, "ws", 3, 3, 64, 100, 5, 16, True),
        (6, 6, 6, "ws", 2, 3, 40, 160, 2, 8, False),
    ):
        found.append(Pair(M, N, K, flow, R, C, size, float(dram), float(buffer), 8, 8, sums, sums, past))
    return found


# accelforge


def accelforge_text(pair: Pair, reuse: str) -> str:
    """The description that it reads: architecture and workload."""
    stays = STAYS[pair.flow]
    shared = {dim: tensor for tensor, dim in LACKS.items()}  # along PEs of this dim
    across, down = shared[ACROSS[pair.flow]], shared[DOWN[pair.flow]]
    once = "" if pair.out_bits == pair.sum_bits else ", no_refetch_from_above: C"
    keep = "A | C" if pair.b_bypasses else "All"
    nodes = [
        memory("DRAM", "inf", pair.dram_pj / 8, f"tensors: {{keep: All}}, bits_per_value: {{C: {pair.out_bits}}}"),
        memory("Buffer", pair.buffer_bytes * 8, pair.buffer_pj / 8, f"tensors: {{keep: {keep}{once}}}"),
        "{name: PE, spatial: ["
        f"{{name: X, fanout: {pair.C}, {reuse}: {across}}}, {{name: Y, fanout: {pair.R}, {reuse}: {down}}}]}}",
        memory("Register", pair.bits(stays), 0.0, f"tensors: {{keep: {stays}}}"),
        "{name: MAC, leak_power: 0, area: 0, actions: [{name: compute, energy: 0, throughput: inf}]}",
    ]
    kinds = ("Memory", "Memory", "Container", "Memory", "Compute")
    arch = "".join(f"  - !{kind} {node}\n" for kind, node in zip(kinds, nodes, strict=True))
    ranges = "".join(f"    {d}: 0 <= {d} < {s}\n" for d, s in (("m", pair.M), ("n", pair.N), ("k", pair.K)))
    return (
        f"arch:\n  nodes:\n{arch}workload:\n  iteration_space_shape:\n{ranges}"
        f"  bits_per_value: {{A: {pair.a_bits}, B: {pair.b_bits}, C: {pair.sum_bits}}}\n"
        "  einsums:\n  - name: P\n    tensor_accesses:\n"
        "    - {name: A, projection: [m, k]}\n    - {name: B, projection: [k, n]}\n"
        "    - {name: C, projection: [m, n], output: True}\n"
    )


def memory(name: str, size: object, pj_a_bit: float, more: str) -> str:
    actions = ", ".join(f"{{name: {a}, energy: {pj_a_bit!r}, throughput: inf}}" for a in ("read", "write"))
    return f"{{name: {name}, size: {size}, leak_power: 0, area: 0, {more}, actions: [{actions}]}}"


def run_accelforge(pair: Pair, space: str) -> Found:
    try:
        return ask_accelforge(pair, space, "may_reuse")
    except NoSuchArray:
        return ask_accelforge(pair, space, "reuse")


def ask_accelforge(pair: Pair, space: str, reuse: str) -> Found:
    import accelforge
    from accelforge.frontend.mapper.metrics import Metrics
    from accelforge.mapper.FFM.mappings import Mappings

    # It draws each mapping with graphviz, which need not be here.
    Mappings.render = lambda self: ""
    accelforge.set_n_parallel_jobs(1)
    path = Path("problem.yaml")
    path.write_text(accelforge_text(pair, reuse))
    spec = accelforge.Spec.from_yaml(str(path))
    spec.mapper.metrics = Metrics.ENERGY
    spec.mapper.info_metrics = Metrics.ENERGY | Metrics.ACTIONS
    spec.mapper.explore_imperfect_temporal_loops = spec.mapper.explore_imperfect_spatial_loops = space == "all"
    start = time.perf_counter()
    row = spec.map_workload_to_arch(print_progress=False).data.iloc[0]
    seconds = time.perf_counter() - start
    energy = float(row["Total<SEP>energy"])
    nest = accelforge_nest(pair, row["Total<SEP>mapping"]())
    return Found(name_of(pair), "accelforge", space, energy, nest, round(seconds, 1))


class NoSuchArray(Exception):
    """The mapping is none of the array that is meant."""


def accelforge_nest(pair: Pair, mapping: Any) -> str:
    axes = {"X": ACROSS[pair.flow], "Y": DOWN[pair.flow]}
    words: list[str] = []
    spatial: set[str] = set()
    for node in mapping.nodes:
        kind = type(node).__name__
        if kind == "Temporal":
            if node.rank_variable in spatial:  # each PE has a block of its own
                raise NoSuchArray
            words.append(f"{node.rank_variable}:{int(node.tile_shape)}")
        elif kind == "Spatial":
            if node.rank_variable != axes[node.name]:
                raise NoSuchArray
            spatial.add(str(node.rank_variable))
        elif kind == "Storage" and node.component == "Buffer":
            words += [f"[{tensor}]" for tensor in sorted(node.tensors)]
    return " ".join(words)


# ZigZag


def run_zigzag(pair: Pair, space: str) -> Found:
    import yaml
    from zigzag.api import get_hardware_performance_zigzag

    for name, content in zigzag_files(pair).items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    start = time.perf_counter()
    energy, _, results = get_hardware_performance_zigzag(
        "workload.yaml",
        "accelerator.yaml",
        "mapping.yaml",
        opt="energy",
        dump_folder="out",
        pickle_filename="out/all.pickle",
        lpf_limit=LPF_LIMIT,
        loma_show_progress_bar=False,
    )
    seconds = time.perf_counter() - start
    loops = results[0][1][0][0].temporal_mapping.mapping_dic_origin
    return Found(name_of(pair), "zigzag", space, float(energy), zigzag_nest(pair, loops), round(seconds, 1))


def zigzag_files(pair: Pair) -> dict[str, Any]:
    everything, stays = ["I1", "I2", "O"], {"A": "I1", "B": "I2", "C": "O"}[STAYS[pair.flow]]
    dims = {"m": pair.M, "n": pair.N, "k": pair.K}
    across, down = ACROSS[pair.flow], DOWN[pair.flow]

    def level(
        size: int, price: float, operands: list[str], served: list[str], top: bool = False
    ) -> dict[str, Any]:
        ways = [f"{o}, {w}" for o in operands for w in (("tl", "fl") if o == "O" else ("tl",))]
        ways += [f"{o}, {w}" for o in operands if not top for w in (("fh", "th") if o == "O" else ("fh",))]
        word = {"bandwidth_min": 8, "bandwidth_max": 8}  # so that prices are for a byte
        port = {"name": "rw_port_1", "type": "read_write", **word, "allocation": ways}
        memory = {"size": size, "r_cost": price, "w_cost": price, "area": 0, "latency": 1, "operands": operands}
        return {**memory, "ports": [port], "served_dimensions": served}

    memories = {
        "register": level(pair.bits(STAYS[pair.flow]), 0, [stays], []),
        "buffer": level(pair.buffer_bytes * 8, pair.buffer_pj, everything, ["D1", "D2"]),
        "dram": level(1 << 40, pair.dram_pj, everything, ["D1", "D2"], top=True),
    }
    array = {"input_precision": [pair.a_bits, pair.b_bits], "unit_energy": 0, "unit_area": 0}
    array |= {"dimensions": ["D1", "D2"], "sizes": [pair.C, pair.R]}
    unrolled = {
        "D1": [f"{across.upper()}, {min(pair.C, dims[across])}"],
        "D2": [f"{down.upper()}, {min(pair.R, dims[down])}"],
    }
    widths = {"I": pair.a_bits, "W": pair.b_bits, "O": pair.sum_bits, "O_final": pair.out_bits}
    links = {"O": "O", "W": "I2", "I": "I1"}
    layer = {"id": 0, "name": "P", "operator_type": "Gemm", "equation": "O[m][n]+=I[m][k]*W[k][n]"}
    layer |= {"loop_dims": ["M", "N", "K"], "loop_sizes": [pair.M, pair.N, pair.K], "operand_precision": widths}
    return {
        "accelerator": {"name": "one_buffer", "memories": memories, "operational_array": array},
        "mapping": [{"name": "default", "spatial_mapping": unrolled, "memory_operand_links": links}],
        "workload": [{**layer, "operand_source": {"I": 0, "W": 0}}],
    }


def zigzag_nest(pair: Pair, loops: Any) -> str:
    """Its loops stand from the innermost, by operand, in a list for each memory."""
    levels = {{"I": "A", "W": "B", "O": "C"}[str(operand)]: found for operand, found in loops.items()}
    dims = {"m": pair.M, "n": pair.N, "k": pair.K}
    tile = {dim: min(pair.most(dim), dims[dim]) for dim in dims}
    words = []
    order = [loop for level in levels["A"] for loop in level]
    inside = {tensor: sum(len(level) for level in found[:-1]) for tensor, found in levels.items()}
    for at in range(len(order) + 1):
        words += [f"[{tensor}]" for tensor, loops_inside in inside.items() if loops_inside == at]
        if at < len(order):
            dim, size = str(order[at][0]).lower(), int(order[at][1])
            if tile[dim] < dims[dim]:
                words.append(f"{dim}:{tile[dim]}")
            tile[dim] *= size
    return " ".join(reversed(words))


# The file


def read() -> tuple[dict[str, Pair], list[dict[str, Any]], list[Found]]:
    """Pairs by name, tools, what they found."""
    kept = tomllib.loads(FILE.read_text()) if FILE.exists() else {}
    by_name = {str(p.pop("name")): Pair(**p) for p in kept.get("pair", ())}
    return by_name, kept.get("tool", []), [Found(**f) for f in kept.get("found", ())]


def least_found() -> list[tuple[Pair, float, Found]]:
    """For each pair the least energy that any tool's mapping takes, as our witness counts it; and the mapping."""
    by_name, _, found = read()
    best = []
    for name, pair in by_name.items():
        counted = [(count(pair, f.nest).energy_pj(pair), f) for f in found if f.pair == name]
        energy, mapping = min(counted, key=lambda pair_found: pair_found[0])
        best.append((pair, energy, mapping))
    return best


def write(tools: list[dict[str, Any]], found: list[Found]) -> None:
    def table(kind: str, record: dict[str, Any]) -> str:
        lines = (f"{k} = {str(v).lower() if isinstance(v, bool) else toml(v)}" for k, v in record.items())
        return f"[[{kind}]]\n" + "\n".join(lines) + "\n"

    def toml(value: Any) -> str:
        return '"' + value + '"' if isinstance(value, str) else repr(value)

    defaults = {f.name: f.default for f in fields(Pair)}
    records = [{k: v for k, v in asdict(p).items() if v != defaults[k]} | {"name": name_of(p)} for p in pairs()]
    text = "# Made by tests/bench/mappers.py: see there what each tool assumes.\n\n"
    text += "\n".join([table("tool", t) for t in tools] + [table("pair", r) for r in records])
    order = {pair["name"]: i for i, pair in enumerate(records)}
    found = sorted((f for f in found if f.pair in order), key=lambda f: (order[f.pair], f.tool, f.space))
    text += "\n" + "\n".join(table("found", asdict(f)) for f in found)
    FILE.write_text(text)


def run_all(tool: str, again: bool) -> None:
    """Asks for what the file lacks, and writes it down at once; all of it if the tool is another version now."""
    run = {"accelforge": run_accelforge, "zigzag": run_zigzag}[tool]
    _, tools, found = read()
    mine = {"name": tool, "versions": ", ".join(f"{p} {version(p)}" for p in PACKAGES[tool])}
    mine |= {"python": platform.python_version(), "command": f"python -m tests.bench.mappers {tool}"}
    if again or not any(t["name"] == tool and t["versions"] == mine["versions"] for t in tools):
        found = [f for f in found if f.tool != tool]
    mine["date"] = datetime.date.today().isoformat()
    tools = sorted([t for t in tools if t["name"] != tool] + [mine], key=lambda t: str(t["name"]))
    for space in SPACES[tool]:
        for pair in sorted(pairs(), key=lambda p: p.M * p.N * p.K):
            done = any((f.pair, f.tool, f.space) == (name_of(pair), tool, space) for f in found)
            if done or (tool == "zigzag" and (pair.b_bypasses or pair.out_bits != pair.sum_bits)):
                continue
            result = run(pair, space)
            found.append(result)
            write(tools, found)
            moved = count(pair, result.nest)
            share = moved.energy_pj(pair) / result.energy_pj
            print(f"{result.pair} {space}: {result.energy_pj:.0f} pJ, counted {share:.6f} of it,", end=" ")
            print(f"{moved.room_bytes} B, {result.seconds} s, {result.nest}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool", choices=PACKAGES)
    parser.add_argument("--again", action="store_true", help="also what the file has already")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # both tools write beside themselves
        run_all(options.tool, options.again)
        os.chdir(home)


if __name__ == "__main__":
    main()
