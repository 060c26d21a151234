"""An output format: rows with a tab between cells."""

from typing import Any

from costmodel.show.document import Document
from costmodel.show.formats import format_of


@format_of("tsv")
def tsv_text(document: Document, record: Any) -> str:
    lines = [list(document.rows[0])] + [list(row.values()) for row in document.rows]
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)
