"""At which lengths who takes less, in words and rows; for a report, a page and a formula alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from costmodel.compare.lengths import Interval, Intervals, Takes, takes_at
from costmodel.compare.records import ReportRecord
from costmodel.show.document import Row
from costmodel.show.grid import Grid

MOST_INTERVALS = 4  # of one kind that are told one by one
FIGURES = {"cycles": "fewer", "energy_pj": "less", "moved_bytes": "fewer"}  # and the word for less of it
LABELS = {"cycles": "cycles", "energy_pj": "energy", "moved_bytes": "bytes from and to DRAM"}
# A mechanism takes, at the prices of each end of their ranges too: a row each.
THAN = {"less": "less than", "equal": "equal to", "more": "more than", "unknown": "unknown beside"}
IN_ROWS = ("cycles", "energy_pj", "energy_low_pj", "energy_high_pj", "moved_bytes")


def word(said: Takes, less: str) -> str:
    """`fewer`, `as many`, `more`."""
    words = {"less": less, "equal": "as many" if less == "fewer" else "as much", "more": "more"}
    return words.get(said, "an unknown number, for no schedule fits,")


def interval_words(found: Sequence[Interval], less: str, symbol: str = "S", at: int | None = None) -> str:
    """`fewer at S=16..384 and 481..512, more at 385..480`; of many intervals how many, and what holds at `at`."""
    kinds = list(dict.fromkeys(i.takes for i in found))
    if len(kinds) == 1:
        return f"{word(kinds[0], less)} at every {symbol} from {found[0].first} to {found[-1].last}"
    kinds.sort(key=("less", "equal", "more", "unknown").index)
    parts, summed = [], []
    for n, kind in enumerate(kinds):
        some = [i for i in found if i.takes == kind]
        sign = f"{symbol}=" if n == 0 else ""
        if len(some) <= MOST_INTERVALS:
            parts.append(f"{word(kind, less)} at {sign}{listed([ends(i.first, i.last) for i in some])}")
            continue
        summed.append(kind)
        number = sum(i.lengths for i in some)
        where = f"in {len(some)} intervals from {symbol}={some[0].first} to {some[-1].last}"
        what = "lengths" if symbol == "S" else "numbers"
        parts.append(f"{word(kind, less)} at {number} of {sum(i.lengths for i in found)} {what} {where}")
    here = takes_at(found, at)
    if here is not None and here in summed:
        parts.append(f"{word(here, less)} at {symbol}={at}")
    return ", ".join(parts)


def ends(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}..{last}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


# In a report


def length_lines(record: ReportRecord, names: Sequence[str]) -> list[str]:
    """One line a mechanism: at which lengths it takes fewer cycles, and less energy, than the first."""
    over = record.over_lengths or {}
    seq = record.columns[0].count.subject.seq
    lines = []
    for name, column in list(zip(names, record.columns, strict=True))[1:]:
        found = over.get(column.attention)
        if found is None:
            continue
        parts = []
        for figure, less in FIGURES.items():
            each = getattr(found, figure)
            if each is not None and figure != "moved_bytes":
                parts.append(f"{LABELS[figure]}: {name} takes {interval_words(each, less, at=seq)}")
        lines.append(f"Against {names[0]} at every whole length, {'; '.join(parts)}.")
    return lines


def unfused_lines(record: ReportRecord, names: Sequence[str]) -> list[str]:
    """Where an attention core runs op by op, of which mechanisms."""
    where: dict[str, list[str]] = {}
    for name, column in zip(names, record.columns, strict=True):
        runs = (record.op_by_op or {}).get(column.attention, ())
        seq = column.count.subject.seq
        searched = span_of(record.over_lengths or {})
        told = [
            f"from S={first} on" if searched and last == searched[1] > first else f"at S={ends(first, last)}"
            for first, last in runs
        ]
        here = column.machine is not None and column.machine.unfused_cores > 0
        if here and not any(first <= (seq or 0) <= last for first, last in runs):
            told.append(f"at S={seq}" if seq else "here")
        if told:
            where.setdefault(listed(told), []).append(name)
    lines = [
        f"The attention core of {listed(list(dict.fromkeys(some)))} runs op by op {told}: in one pass it does "
        "not fit the buffer, or takes more."
        for told, some in where.items()
    ]
    return list(dict.fromkeys(lines))


def length_grid(record: ReportRecord) -> Grid:
    """Every interval of every figure, one a line."""
    seqs = [c.count.subject.seq for c in record.columns]
    rows = []
    for attention, found in (record.over_lengths or {}).items():
        for figure, label in LABELS.items():
            for i in getattr(found, figure) or ():
                here = f"S={seqs[0]}" if seqs[0] and i.first <= seqs[0] <= i.last else ""
                rows.append((attention, label, str(i.first), str(i.last), i.takes, here))
    title = f"at which lengths S it takes less than {record.columns[0].attention}"
    return Grid(title, ("", "", "from", "to", "takes", ""), tuple(rows))


def span_of(over: Mapping[str, Intervals]) -> tuple[int, int] | None:
    return next((found.lengths for found in over.values()), None)


def length_rows(record: ReportRecord, attention: str) -> Iterable[tuple[str, int, int, int]]:
    """Of each interval what it says, its number of lengths, its first and its last."""
    found = (record.over_lengths or {}).get(attention)
    first = record.columns[0].attention
    for figure in IN_ROWS if found else ():
        for i in getattr(found, figure) or ():
            yield f"{figure} {THAN[i.takes]} {first}", i.lengths, i.first, i.last
    for low, high in (record.op_by_op or {}).get(attention, ()):
        yield "attention core op by op", high - low + 1, low, high


# In a formula


def formula_words(found: Sequence[Interval], attention: str, against: str, of: str, symbol: str) -> str:
    said = interval_words(found, FIGURES[of], symbol)
    return f"Of {LABELS[of]} {against} takes, against {attention}, {said}"


def interval_rows(found: Sequence[Interval], of: str, against: str, symbol: str) -> list[Row]:
    """One row an interval."""
    return [
        {"quantity": of, "against": against, f"{symbol} from": i.first, "to": i.last, "takes": i.takes}
        for i in found
    ]
