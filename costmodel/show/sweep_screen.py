"""The screen of a running sweep: a bar with rate and time left, and the best points so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from costmodel.explore.running import State
from costmodel.explore.space import Space


@contextmanager
def screen(space: Space) -> Iterator[Callable[[State], None]]:
    """A bar with rate and time left, and the best points so far, on stderr where that is a terminal."""
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda state: None
        return
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, TaskID] = {}
    with Live(bar, console=console, transient=True, refresh_per_second=4) as live:

        def tell(state: State) -> None:
            if state.what not in tasks:
                tasks[state.what] = bar.add_task(state.what, total=state.total, completed=state.done, rate="")
            bar.update(tasks[state.what], completed=state.done)
            speed = next(task.speed for task in bar.tasks if task.id == tasks[state.what])
            bar.update(tasks[state.what], rate=f"{speed:,.0f}/s" if speed and state.what == "points" else "")
            lines = [
                f"best {name} {value:.4g}: {varied(space, point)}" for name, (value, point) in state.best.items()
            ]
            lines += [f"{state.failed:,} failed"] if state.failed else []
            live.update(Group(bar, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines)))

        yield tell


def varied(space: Space, point: int) -> str:
    """The knobs of a point that the space turns."""
    knobs = space.knobs(point)
    return ", ".join(f"{k.name} {knobs[k.name]}" for k in space.all_knobs if len(k.values) > 1)
