"""Any rows as a result: how notebooks show what they have worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costmodel.api.results import Result
from costmodel.errors import CostModelError
from costmodel.show.document import Document
from costmodel.show.grid import Grid, cell_text


def table(rows: Sequence[Mapping[str, Any]], title: str = "") -> Result:
    """Any rows of the same keys as a result: how notebooks show what they have worked out.

    Whole numbers stand in full, others with four digits.

    >>> import costmodel as cm
    >>> rows = [{"S": s, "exp": cm.count("distilbert", seq=s).counts["exp"]} for s in (64, 128)]
    >>> print(cm.table(rows, "growth"))
    growth
    <BLANKLINE>
     S           exp
     ───────────────
     64      294 912
     128   1 179 648

    Raises:
        CostModelError: no rows, or rows of other keys.
    """
    own = tuple(dict(row) for row in rows)
    if not own or any(row.keys() != own[0].keys() for row in own):
        raise CostModelError("a table needs rows, all with the same keys")
    cells = tuple(tuple(map(cell_text, row.values())) for row in own)
    return Result({"title": title, "rows": own}, Document((Grid(title, tuple(own[0]), cells),), (), own))
