"""Arrays of a target beside its first one: from `[[arrays]]` of its file, varied in place, checked.

Each has `array`, `kinds` and `dataflow` as the target has them of its first array, and on an FPGA `use_dsp` where
its PEs multiply; `[arrays.sources]` says where these are from. In place they are named by the number of the array:
`array2=8x8,kinds2=l1+clip,dataflow2=ws,use_dsp2=false` changes the second array, or adds it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from costmodel.errors import BadTarget
from costmodel.hardware.accelerator import Accelerator, PeArray, build
from costmodel.hardware.pe import PE_KINDS, terms_of
from costmodel.hardware.timing import DATAFLOWS, parse_array
from costmodel.technology.memories import multiplying

FIELDS = ("array", "kinds", "dataflow", "use_dsp")
NUMBERED = re.compile(f"({'|'.join(FIELDS)})([2-9])")
Sources = tuple[tuple[str, str], ...]


def kinds_of(built: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a target whose PEs are of some kinds: the terms that they do, and how."""
    known = all(isinstance(kind, str) for kind in built)  # if not, the field is refused by its name
    terms = terms_of(built) if known else built
    return {"kinds": terms, "built": () if terms == built else built}


def parse_more(
    records: Any, where: str, checked_sources: Callable[[dict[str, Any], str], Sources]
) -> tuple[tuple[PeArray, ...], Sources]:
    """The arrays of `[[arrays]]`, and the sources of their figures by name and number.

    Raises:
        BadTarget: a field or a source is missing, unknown or of the wrong type.
    """
    if not isinstance(records, list):
        raise BadTarget(f"{where}: arrays is no list of tables; write each as [[arrays]]")
    found, sources = [], []
    for number, record in enumerate(records, 2):
        spot = f"{where}: [[arrays]] {number - 1}"
        if not isinstance(record, dict):
            raise BadTarget(f"{spot} is not a table of fields")
        flat = {name: value for name, value in record.items() if name != "sources"}
        if "built" in flat:
            raise BadTarget(f"{spot} has the unknown field built; known: {', '.join(FIELDS)}")
        if not isinstance(flat.get("use_dsp", False), bool):
            raise BadTarget(f"{spot}: use_dsp = {flat['use_dsp']!r} is not a bool")
        if isinstance(flat.get("array"), str):
            flat["array"] = parse_array(flat["array"])
        if isinstance(flat.get("kinds"), list):
            flat |= kinds_of(tuple(flat["kinds"]))
        found.append(build(PeArray, flat, spot))
        sources += [(f"{name}{number}", text) for name, text in checked_sources(record, spot)]
    return tuple(found), tuple(sources)


def vary_more(more: tuple[PeArray, ...], given: Mapping[str, str], where: str) -> tuple[PeArray, ...]:
    """Arrays beside the first one with some fields exchanged, by name and number; or one added.

    Raises:
        BadTarget: a number beyond the next one, a new array that lacks a field, a value of the wrong form.
    """
    changes: dict[int, dict[str, Any]] = {}
    for key, value in given.items():
        name, number = key[:-1], int(key[-1])
        own = changes.setdefault(number, {})
        if name == "array":
            own[name] = parse_array(value)
        elif name == "kinds":
            own |= kinds_of(tuple(value.split("+")))
        elif name == "use_dsp":
            if value not in ("true", "false"):
                raise BadTarget(f"{where}: {key} = {value!r} is neither true nor false")
            own[name] = value == "true"
        else:
            own[name] = value
    found = list(more)
    for number, own in sorted(changes.items()):
        if number - 2 < len(found):
            found[number - 2] = replace(found[number - 2], **own)
            continue
        lacking = [f"{name}{number}" for name in FIELDS[:3] if name not in own]
        if number - 2 > len(found):
            raise BadTarget(
                f"{where}: there is no array {number - 1} before array {number}; number them from 2 on"
            )
        if lacking:
            raise BadTarget(f"{where}: array {number} lacks {', '.join(lacking)}; say all of a new array")
        found.append(PeArray(**own))
    return tuple(found)


def check_arrays(target: Accelerator) -> None:
    """Refuse arrays with a dataflow or kinds that do not exist, and a DSP where there is none or it is not said.

    Raises:
        BadTarget: the first array that is wrong.
    """
    for number, each in enumerate(target.arrays, 1):
        where = f"target {target.name}" + (f": array {number}" if number > 1 else "")
        if each.dataflow not in DATAFLOWS:
            raise BadTarget(f"{where}: unknown dataflow {each.dataflow!r}; known: {', '.join(DATAFLOWS)}")
        unknown = [k for k in each.pe_kinds if k not in PE_KINDS]
        if unknown or not each.kinds:
            raise BadTarget(f"{where}: kinds of PE are of {', '.join(PE_KINDS)}, not {unknown or 'none'}")
        if len(set(each.kinds)) < len(each.kinds):
            raise BadTarget(f"{where}: a kind of PE is given twice: {', '.join(each.pe_kinds)}")
        if number == 1:
            continue
        if target.part is None and each.use_dsp is not None:
            raise BadTarget(f"{where}: use_dsp is of an FPGA, and this target has no [part]; leave it out")
        if target.part is not None and each.use_dsp is None and multiplies(each):
            raise BadTarget(
                f"{where} multiplies: say use_dsp = true for a DSP in each PE, or use_dsp = false for LUTs only"
            )


def multiplies(array: PeArray) -> bool:
    """Whether a PE of an array has a multiplier that could sit in a DSP."""
    return not multiplying().isdisjoint(PE_KINDS[kind].fpga for kind in array.pe_kinds)
