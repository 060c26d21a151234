"""Names and options of the attention mechanisms. No torch here, so that names are cheap to check."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from models.errors import ModelError

MECHANISMS = {
    "dot": "softmax(q k / sqrt d) v",
    "inhibitor-2023": "sum (v - z)+, z = (|q - k|_1 / sqrt d - shift)+ (arXiv 2310.02041, unsigned)",
    "inhibitor-2023-signed": "sum (v+ - z)+ + (v- + z)-, z as in inhibitor-2023 (arXiv 2310.02041)",
    "inhibitor": "eta sum (v+ - z)+ + (v- + z)-, z = (gamma |q - k|_1 / sqrt d, centred)+ (arXiv 2503.15983)",
    "l1-softmax": "softmax(-|q - k|_1 / sqrt d) v",
    "relu": "relu(q k / sqrt d) / n v",
}
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


# The options that change what each mechanism does; `implementation` is for those with a distance.
USES: dict[str, tuple[str, ...]] = {
    "dot": (),
    "inhibitor-2023": ("shift", "normalise", "implementation"),
    "inhibitor-2023-signed": ("shift", "normalise", "implementation"),
    "inhibitor": ("gamma", "delta", "eta", "per_head", "center_over", "normalise", "implementation"),
    "l1-softmax": ("implementation",),
    "relu": (),
}


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
        if option not in USES[name]:
            known = ", ".join(USES[name]) or "none"
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
