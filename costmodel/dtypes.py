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
class IntPair(Int):
    """Two integers that are multiplied, of `bits` and of fewer, `narrow`, bits: `int8xint4`."""

    narrow: int = 1

    def __str__(self) -> str:
        return f"int{self.bits}xint{self.narrow}"


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


def product_type(a: Int, b: Int) -> Int:
    """The type of a multiplication of a and b: an `IntPair` where their widths differ.

    Beside a signed operand an unsigned one takes a bit for its sign, as far as the wider one has it.
    """
    wide, narrow = max(a.bits, b.bits), min(x.bits + (a.signed != b.signed and not x.signed) for x in (a, b))
    return Int(wide) if narrow >= wide else IntPair(wide, narrow=narrow)


def parse(name: str) -> Int | Float:
    """The type called `name`.

    Raises:
        CostModelError: there is no such type.
    """
    if name in TYPES:
        return TYPES[name]
    wide, times, narrow = name.partition("x")
    if times:
        pair = parse(wide), parse(narrow)
        if all(type(kind) is Int and kind.signed for kind in pair) and pair[0].bits > pair[1].bits:
            return IntPair(pair[0].bits, narrow=pair[1].bits)
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
