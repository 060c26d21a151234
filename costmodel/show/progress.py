"""A bar on stderr, where that is a terminal."""

from __future__ import annotations

from typing import Any


class progress:
    """A bar on stderr, where that is a terminal; called with how much more is done."""

    def __init__(self, what: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(what, total=total)

    def __enter__(self) -> Any:
        self.bar.start()
        return lambda n: self.bar.advance(self.task, n)

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
