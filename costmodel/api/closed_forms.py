"""Closed forms of a preset: from two traces at prime sizes, kept in the cache as lists of terms."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.api import cache
from costmodel.api.graphs import quiet_imports
from costmodel.counting.symbols import (
    Form,
    energy_pj,
    form_of_terms,
    prime_sizes,
    symbolic_counts,
    terms_of,
    with_layers,
)
from costmodel.errors import CostModelError
from costmodel.graph.canonical import canonicalise
from costmodel.graph.ir import Graph
from costmodel.graph.lowering import lower
from costmodel.ops.counts import ARITHMETIC, FIELDS, Counts
from costmodel.technology.loading import load_table
from models.attention.mechanisms import Mechanism, parse_mechanism
from models.zoo.presets import PRESETS, resolve_seq, size_names


def forms(model: str, attention: str) -> Counts:
    """Closed forms of a preset with a mechanism, from the cache or from two traces at prime sizes."""
    names = size_names(model)
    mechanism = parse_mechanism(attention)
    key = cache.key_of("formula", model, str(mechanism))
    entry = cache.load(key)
    if isinstance(entry, list) and len(entry) == len(FIELDS):
        try:
            return Counts(*map(form_of_terms, entry))
        except (KeyError, TypeError, ValueError):
            pass  # an entry of another form is as good as none
    made = traced_forms(model, names, mechanism)
    cache.save(key, [terms_of(getattr(made, name)) for name in FIELDS])
    return made


def traced_forms(model: str, names: Mapping[str, str], mechanism: Mechanism) -> Counts:
    """The forms from traces of one and of two layers."""
    one, two = (symbolic_counts(prime_graph(model, names, mechanism, n), "G" in names) for n in (1, 2))
    return with_layers(one, two)


def prime_graph(model: str, names: Mapping[str, str], mechanism: Mechanism, layers: int) -> Graph:
    """The canonical graph of a preset of some layers at prime sizes."""
    quiet_imports()
    from costmodel.graph.tracing import trace
    from models.zoo.loading import load_model

    at = prime_sizes("G" in names)
    values = {"D": at.width, "H": at.heads, "F": at.ffn, "G": at.groups, "L": layers}
    sizes = {key: values[name] for name, key in names.items()}
    loaded = load_model(model, mechanism=mechanism, batch=at.batch, seq=at.seq, sizes=sizes)
    return canonicalise(lower(trace(loaded.module, loaded.inputs)))


def quantity(name: str, counts: Counts, table: str | None) -> Form:
    """One quantity of a form; without a table prices are symbols."""
    if name == "flops":
        return sum(getattr(counts, op) for op in ARITHMETIC)
    if name == "operand_bytes":
        return counts.read_bytes + counts.write_bytes
    if name == "energy_pj":
        return energy_pj(counts, None if table is None else load_table(table), "float32")
    return getattr(counts, name)


def own_sizes(model: str, batch: int, seq: int | None) -> dict[str, int]:
    """The preset's own numbers for the symbols."""
    quiet_imports()
    import transformers

    names = size_names(model)
    config = getattr(transformers, PRESETS[model].config)(**PRESETS[model].sizes)
    found = {name: getattr(config, key) for name, key in names.items()}
    if found["F"] is None:  # GPT-2's own default
        found["F"] = 4 * found["D"]
    if found["D"] % found["H"]:
        raise CostModelError(f"{model}: {found['H']} heads do not divide the width {found['D']}")
    sizes = {"B": batch, "S": resolve_seq(model, seq), "d": found["D"] // found["H"], "H": found["H"]}
    return sizes | {"G": found.get("G", found["H"]), "F": found["F"], "L": found["L"]}
