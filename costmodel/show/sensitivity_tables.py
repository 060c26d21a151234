"""What changes of a design save: tables, notes, rows.

The first screen has the best of them; with details it is all there.
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Collection, Sequence

from costmodel.explore.effects import Change, Effect, Figures, SensitivityRecord, Wish
from costmodel.explore.neighbours import better_pairs
from costmodel.records import Row, encode
from costmodel.show.document import SCREEN, Document, folded
from costmodel.show.grid import Grid, shown, sizes_of

NAMES = {"energy": "energy", "cycles": "cycles", "edp": "energy x delay", "bytes": "DRAM bytes"}
MOST_SINGLES, MOST_PAIRS = 12, 7  # lines of the first screen
MOST_TEXT = 42  # letters of some changes
MOST_REFUSED = 1


def sensitivity_document(record: SensitivityRecord, details: bool = False) -> Document:
    """What single changes save, then pairs of them; above both what reaches the wish."""
    better = better_pairs(record.singles, record.pairs)
    singles = record.singles if details else record.singles[:MOST_SINGLES]
    pairs = record.pairs if details else better[:MOST_PAIRS]
    size = sizes_of(record.batch, record.seq)
    own = "" if record.attention is None else f"attention {short(record.attention)}, "
    title = f"{record.model}, {own}{size}{record.widths}, on {record.target}: one change"
    grids = [effects_grid(record, title, singles)]
    if record.pairs:
        grids.append(effects_grid(record, "two changes", pairs))
    notes = [base_line(record), *left_out(record, len(better), details), *refused_lines(record, details)]
    notes += accuracy_lines(record)
    lead = () if record.wish is None else wish_lines(record, record.wish)
    return Document(tuple(grids), folded(notes), rows_of(record), lead)


# Tables


def effects_grid(record: SensitivityRecord, title: str, effects: Sequence[Effect]) -> Grid:
    """A line a combination: what it saves, and by how much other figures change."""
    base = record.base
    asic = base.area_mm2 is not None
    others = {
        "energy": "energy_uj",
        "cycles": "cycles",
        "DRAM": "dram_bytes",
        **({"area": "area_mm2"} if asic else {"LUT": "lut", "DSP": "dsp"}),
    }
    kept = {head: name for head, name in others.items() if getattr(base, name) is not None}
    head = ("change", "saves", *kept, "accuracy")
    rows = tuple(
        (
            changes_text(effect.changes, MOST_TEXT),
            percent(effect.saves),
            *(change_text(getattr(base, name), getattr(effect.figures, name)) for name in kept.values()),
            accuracy_text(record, effect),
        )
        for effect in effects
    )
    return Grid(title, head, rows)


def changes_text(changes: Collection[Change], most: int | None = None) -> str:
    """`widths w4a8 + array 64x32`."""
    text = " + ".join(f"{UNITS.get(c.knob, (c.knob, ''))[0]} {value_text(c)}" for c in changes)
    return text if most is None else textwrap.shorten(text, most, placeholder=" ...")


UNITS = {
    "buffer_kib": ("buffer", " KiB"),
    "local_kib": ("local memory", " KiB"),
    "bandwidth_mb_s": ("DRAM", " MB/s"),
    "kinds": ("PE", ""),
}


def value_text(change: Change) -> str:
    now = short(str(change.now)) if change.knob == "attention" else str(change.now)
    return now + UNITS.get(change.knob, ("", ""))[1]


def short(attention: str) -> str:
    """A mechanism without its options."""
    return attention.partition(":")[0]


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def change_text(was: float | None, now: float | None) -> str:
    """A change in percent of what was."""
    if was is None or now is None:
        return "-"
    if was == now:
        return "same"
    return f"{100 * (now / was - 1):+.1f} %" if was else f"{now - was:+g}"


def accuracy_text(record: SensitivityRecord, effect: Effect) -> str:
    if effect.same_bits:
        return "same"
    return "not known" if effect.figures.accuracy is None else f"{100 * effect.figures.accuracy:.1f}"


# Lines


def wish_lines(record: SensitivityRecord, wish: Wish) -> tuple[str, ...]:
    """What reaches the wish, or comes closest."""
    what, best = NAMES[record.of], wish.effect
    number = len(best.changes)
    words = "one change" if number == 1 else f"{number} changes"
    text = changes_text(best.changes)
    if wish.reached:
        verb = "saves" if number == 1 else "save"
        first = f"{100 * wish.asked:g} % of the {what} can be saved: "
        first += f"{words} {verb} {percent(best.saves)}: {text}."
        if wish.others:
            first += f" {wish.others} other{'s' if wish.others > 1 else ''} of as many changes would do."
    else:
        first = (
            f"{100 * wish.asked:g} % of the {what} cannot be saved: of {shown(wish.tried)} combinations the best "
            f"saves {percent(best.saves)}, {100 * wish.short:.1f} points short: {text}."
        )
    price = price_text(record.base, best.figures)
    accuracy = "the same" if best.same_bits else accuracy_text(record, best)
    lines = [first, f"Its price: {price}; accuracy {accuracy}." if price else f"Its accuracy: {accuracy}."]
    if wish.same_bits is not None:
        other = wish.same_bits
        lines.append(
            f"With all bits as they are {changes_text(other.changes)} would do, too: it saves "
            f"{percent(other.saves)}; {price_text(record.base, other.figures)}."
        )
    if wish.beyond_pairs:
        lines.append(f"Three changes and more were tried of the best {len(wish.beyond_pairs)} only.")
    return (*folded(lines), *continued(wish.command))


def continued(command: str) -> list[str]:
    """A command in lines of a screen, which a shell takes as one."""
    lines = [""]
    for word in map(shlex.quote, shlex.split(command)):
        if lines[-1] and len(lines[-1]) + len(word) > SCREEN - 3:
            lines[-1] += " \\"
            lines.append("  " + word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def price_text(was: Figures, now: Figures) -> str:
    """What the changed machine takes more or less."""
    units = (("area_mm2", "mm²"), ("lut", "LUT"), ("dsp", "DSP"), ("bram36", "BRAM36"))
    found = []
    for name, unit in units:
        old, new = getattr(was, name), getattr(now, name)
        if old is not None and new is not None:
            old_text, new_text = (f"{x:.4g}" if isinstance(x, float) else shown(x) for x in (old, new))
            grown = f"{old_text} -> {new_text} {unit} ({change_text(old, new)})"
            found.append(f"{old_text} {unit} as before" if old == new else grown)
    return ", ".join(found)


def base_line(record: SensitivityRecord) -> str:
    """The base in figures."""
    b = record.base
    known = [
        None if b.energy_uj is None else f"{b.energy_uj:.6g} µJ",
        f"{b.latency_ms:.4g} ms",
        f"{shown(b.cycles)} cycles",
        f"{shown(b.dram_bytes)} DRAM bytes",
        None if b.area_mm2 is None else f"{b.area_mm2:.4g} mm²",
        None if b.lut is None else f"{shown(b.lut)} LUT, {shown(b.dsp)} DSP, {shown(b.bram36)} BRAM36",
        None if b.accuracy is None else f"{record.metric} {100 * b.accuracy:.1f}",
    ]
    machine = ", ".join(
        changes_text([Change(name, None, value)]) for name, value in record.machine.items() if value is not None
    )
    return (
        f"Base: {', '.join(text for text in known if text)}; {machine}. "
        f"What a change saves is a share of its {NAMES[record.of]}; other columns say how it differs."
    )


def left_out(record: SensitivityRecord, better: int, details: bool) -> list[str]:
    if details:
        return []
    singles = max(0, len(record.singles) - MOST_SINGLES)
    lines = []
    if record.pairs:
        lines.append(
            f"Of {len(record.pairs)} pairs {better} save more than either of their changes; shown are the best."
        )
    if singles or record.pairs:
        more = f"{singles} more changes" if singles else "All pairs"
        lines.append(f"{more}: `details=True` shows all.")
    return lines


def refused_lines(record: SensitivityRecord, details: bool) -> list[str]:
    """Changes that do not run."""
    lines = [f"Not possible: {changes_text([each.change])}: {each.why}" for each in record.refused]
    if details or len(lines) <= MOST_REFUSED:
        return lines
    return [*lines[:MOST_REFUSED], f"{len(lines) - MOST_REFUSED} more are not possible: `details=True` says why."]


def accuracy_lines(record: SensitivityRecord) -> list[str]:
    if record.task is not None:
        return [f"Accuracy: {record.metric} of {record.task} in %, as stored; same where the bits are the same."]
    return ["Accuracy: same where the bits are the same; `task` shows what is stored of minilm-distilbert."]


# Rows


def rows_of(record: SensitivityRecord) -> tuple[Row, ...]:
    """The base, every combination, and a wish of three changes and more."""
    rows = [row_of((), 0.0, record.base)]
    effects = [*record.singles, *record.pairs]
    if record.wish is not None and record.wish.effect not in effects:
        effects.append(record.wish.effect)
    return (*rows, *(row_of(e.changes, e.saves, e.figures) for e in effects))


def row_of(changes: Collection[Change], saves: float, figures: Figures) -> Row:
    return {"changes": changes_text(changes), "number": len(changes), "saves": saves, **encode(figures)}
