"""Names and options of the attention mechanisms. No torch here, so that names are cheap to check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from models.errors import ModelError

CHOICES: dict[str, tuple[Any, ...]] = {
    "center_over": ("valid", "all"),
    "normalise": ("none", "sqrt", "n"),
    "implementation": ("fast", "broadcast", "cdist"),
}


@dataclass(frozen=True)
class Mechanism:
    """A mechanism and its options. Options that a mechanism does not use are left at their defaults."""

    name: str = "dot"
    shift: float = 0.5  # alpha of inhibitor-2023; 0 leaves the shift and its ReLU out
    gamma: float = 1.0  # initial values of the learnable parameters of `inhibitor`
    delta: float = -0.5
    eta: float = 1.0
    per_head: bool = False  # gamma, delta, eta one of each a head, not a layer
    center_over: str = "valid"  # keys over which `inhibitor` centres; "all" lets padding leak in
    normalise: str = "none"  # divide a sum over n keys by n or sqrt n
    implementation: str = "fast"  # "broadcast" spells the formula out in n^2 d memory, "cdist" half of it

    def __post_init__(self) -> None:
        if self.name not in MECHANISMS:
            raise ModelError(f"unknown attention {self.name!r}; known: {', '.join(MECHANISMS)}")
        for option, allowed in CHOICES.items():
            if getattr(self, option) not in allowed:
                raise ModelError(
                    f"attention option {option}={getattr(self, option)!r}; known: {', '.join(allowed)}"
                )
        if self.shift < 0:
            raise ModelError(f"attention option shift={self.shift} is negative")

    def __str__(self) -> str:
        default = Mechanism(self.name)
        changed = {k: v for k, v in asdict(self).items() if v != getattr(default, k)}
        shown = ",".join(f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in changed.items())
        return f"{self.name}:{shown}" if shown else self.name


@dataclass(frozen=True)
class Known:
    """What is known of a mechanism without torch; its formula is in `formulas.py`."""

    text: str  # the formula, and where it is from
    uses: tuple[str, ...] = ()  # options that change what it does; `implementation` is for those with a distance
    learned: tuple[str, ...] = ()  # of these the initial values of what it learns


MECHANISMS: dict[str, Known] = {}


def add_mechanism(name: str, text: str, *, uses: tuple[str, ...] = (), learned: tuple[str, ...] = ()) -> None:
    """Register a mechanism by name.

    Raises:
        ValueError: there is one of this name, or `Mechanism` has no such option.
    """
    if name in MECHANISMS:
        raise ValueError(f"there is an attention {name!r} already")
    unknown = sorted({*uses, *learned} - {f.name for f in fields(Mechanism)})
    if unknown:
        raise ValueError(f"attention {name!r} uses {unknown[0]}, which is no option of Mechanism")
    MECHANISMS[name] = Known(text, uses, learned)


add_mechanism("dot", "softmax(q k / sqrt d) v")
add_mechanism(
    "inhibitor-2023",
    "sum (v - z)+, z = (|q - k|_1 / sqrt d - shift)+ (arXiv 2310.02041, unsigned)",
    uses=("shift", "normalise", "implementation"),
)
add_mechanism(
    "inhibitor-2023-signed",
    "sum (v+ - z)+ + (v- + z)-, z as in inhibitor-2023 (arXiv 2310.02041)",
    uses=("shift", "normalise", "implementation"),
)
add_mechanism(
    "inhibitor",
    "eta sum (v+ - z)+ + (v- + z)-, z = (gamma |q - k|_1 / sqrt d, centred)+ (arXiv 2503.15983)",
    uses=("gamma", "delta", "eta", "per_head", "center_over", "normalise", "implementation"),
    learned=("gamma", "delta", "eta"),
)
add_mechanism("l1-softmax", "softmax(-|q - k|_1 / sqrt d) v", uses=("implementation",))
add_mechanism("relu", "relu(q k / sqrt d) / n v")
SHIPPED = frozenset(MECHANISMS)  # what changes only with this package: the cache of traces keeps these


def parse_mechanism(text: str) -> Mechanism:
    """`inhibitor`, or with options `inhibitor:per_head=true,normalise=sqrt`.

    Raises:
        ModelError: unknown name, option or value.
    """
    name, _, options = text.partition(":")
    mechanism = Mechanism(name)
    types = {f.name: type(getattr(mechanism, f.name)) for f in fields(Mechanism)}
    seen: set[str] = set()
    for item in filter(None, options.split(",")):
        option, _, value = item.partition("=")
        if option in seen:
            raise ModelError(f"attention {text!r}: {option} is given twice; leave one out")
        seen.add(option)
        if option not in MECHANISMS[name].uses:
            known = ", ".join(MECHANISMS[name].uses) or "none"
            raise ModelError(f"attention {name!r} has no option {option!r}; known: {known}")
        mechanism = replace(mechanism, **{option: convert(option, value, types[option])})
    return mechanism


def convert(option: str, value: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        number = kind(value)
    except (KeyError, ValueError):
        raise ModelError(f"attention option {option}={value!r} is not a {kind.__name__}") from None
    if kind is float and not abs(number) < float("inf"):
        raise ModelError(f"attention option {option}={value!r} is not finite")
    return number
