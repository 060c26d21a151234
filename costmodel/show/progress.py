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


class steps_bar:
    """A bar on stderr with the loss and the last dev metric; called with step, total, loss, metric."""

    def __init__(self, what: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.what = what
        self.task = self.bar.add_task(what, total=None)

    def __enter__(self) -> Any:
        self.bar.start()
        return self.tick

    def tick(self, step: int, total: int, loss: float, metric: float | None) -> None:
        dev = "" if metric is None else f" dev {metric:.4f}"
        self.bar.update(self.task, completed=step, total=total, description=f"{self.what} loss {loss:.4f}{dev}")

    def __exit__(self, *error: object) -> None:
        self.bar.stop()
