"""Number types by name, their widths in bits and bytes; and where models run."""

from __future__ import annotations

from dataclasses import dataclass

from costmodel.errors import CostModelError


@dataclass(frozen=True, slots=True)
class Int:
    """An integer of exactly `bits` bits."""

    bits: int
    signed: bool = True

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"


@dataclass(frozen=True, slots=True)
class Float:
    """A binary float of `bits` bits; `bfloat16` is not `float16`."""

    bits: int
    brain: bool = False

    def __str__(self) -> str:
        return f"{'b' if self.brain else ''}float{self.bits}"


TYPES: dict[str, Int | Float] = {
    "float64": Float(64),
    "float32": Float(32),
    "float16": Float(16),
    "bfloat16": Float(16, brain=True),
    "int64": Int(64),
    "int32": Int(32),
    "int16": Int(16),
    "int8": Int(8),
    "uint8": Int(8, signed=False),
    "bool": Int(8, signed=False),  # stored as a byte
    "complex64": Float(64),  # two float32; only its size is used
}
# Types in which a model can run.
MODEL_DTYPES = ("float32", "float64", "bfloat16", "float16")
# Where it can run: `meta` has shapes only.
DEVICES = ("meta", "cpu", "cuda")


def parse(name: str) -> Int | Float:
    """The type called `name`.

    Raises:
        CostModelError: there is no such type.
    """
    if name in TYPES:
        return TYPES[name]
    signed = not name.startswith("u")
    kind, bits = name[: 4 - signed], name[4 - signed :]
    if kind in ("int", "uint") and bits.isdigit() and int(bits) > 0:  # any width, as widths/assign.py assigns
        return Int(int(bits), signed)
    raise CostModelError(f"unknown number type {name!r}; known: {', '.join(TYPES)}, and intN, uintN")


def stored_bytes(name: str, numel: int) -> int:
    """Bytes of `numel` elements, packed: two of 4 bits share a byte."""
    return -(-numel * parse(name).bits // 8)


def is_float(name: str) -> bool:
    return isinstance(parse(name), Float)


def short_name(name: str) -> str:
    """`float32` as `f32`, `bfloat16` as `bf16`, for the text form of a graph."""
    return name.replace("float", "f").replace("uint", "u").replace("int", "i")
