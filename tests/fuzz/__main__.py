"""Fuzzing the command line with malformed input: every case ends with exit code 2, one line, and no file.

    python -m tests.fuzz                        2 000 cases of a seed that is printed
    python -m tests.fuzz --seed 7 --cases 9000
    python -m tests.fuzz --seed 7 --case 41     one of them again, with its files and all that it prints

Cases run in this process, each in a directory of its own that is removed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click

from tests.fuzz.cases import KINDS, Case, Files, make_case
from tests.fuzz.stock import Stock, make_stock

PREFIX = "costmodel: error: "
MOST_SECONDS = 15  # of a case: beyond it has no end
OLD = b'{"old": true}\n'


@dataclass(frozen=True)
class Outcome:
    """What a run left: exit code, both streams, an exception that got out, files that changed."""

    code: int | None
    out: str
    err: str
    raised: str
    changed: tuple[str, ...]
    partial: tuple[str, ...]  # output that is not whole
    seconds: float


@contextlib.contextmanager
def captured_stderr() -> Iterator[io.StringIO]:
    """All of stderr: Python's, warnings, and what libraries write to the file descriptor."""
    text = io.StringIO()
    with tempfile.TemporaryFile() as file, warnings.catch_warnings():
        warnings.simplefilter("default")
        for kind in (DeprecationWarning, FutureWarning, PendingDeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)  # as Python has it
        warnings.showwarning = lambda message, *_: text.write(f"{message}\n")  # type: ignore[assignment]
        kept = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            with contextlib.redirect_stderr(text):
                yield text
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text.write(file.read().decode(errors="replace"))


def call(args: tuple[str, ...]) -> None:
    """Run arguments: `costmodel ARGS`, or a function that stands behind no command of its own."""
    from costmodel import cli
    from costmodel.api import cache

    if args[0] == "space":
        from costmodel.api.spaces import read_space
        from costmodel.errors import CostModelError

        try:
            read_space(args[1])
        except CostModelError as error:
            cli.fail(str(error))
        sys.exit(0)
    if args[0] == "cached":
        from costmodel.api.graphs import cached_graph

        cache.save("entry", json.loads(Path("cache/entry").read_bytes()))
        cached_graph("entry")
        sys.exit(0)
    cli.main()


class NoEnd(BaseException):
    """Not an Exception, so that nobody takes it for a mistake in a file."""


def give_up(*_: object) -> None:
    raise NoEnd(f"after {MOST_SECONDS} s")


def run(args: tuple[str, ...]) -> tuple[int | None, str, str, str]:
    """Exit code, stdout, stderr, and the exception that got out."""
    out, raised, code = io.StringIO(), "", None
    path = list(sys.path)
    with (
        captured_stderr() as err,
        contextlib.redirect_stdout(out),
        mock.patch.object(sys, "argv", ["costmodel", *args]),
    ):
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(MOST_SECONDS)
        try:
            call(args)
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
        except BaseException:  # a panic of Rust is no Exception
            raised = traceback.format_exc()
        finally:
            signal.alarm(0)
    sys.path[:] = path
    return code, out.getvalue(), err.getvalue(), raised


def write_files(files: Files, root: Path) -> None:
    for name, content in {"out": None, "out/old.json": OLD, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content)


def snapshot(root: Path) -> dict[str, bytes | None]:
    found = {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in sorted(root.rglob("*"))}
    return {name: content for name, content in found.items() if not name.startswith("cache/")}


def not_whole(path: str, content: bytes | None) -> bool:
    """Whether an output file is a part of one: a temporary name, or JSON that does not end."""
    if Path(path).name.startswith("."):
        return True
    if content is None or not path.endswith(".json"):
        return False
    try:
        json.loads(content)
    except ValueError:
        return True
    return False


class Bench:
    """Sound files, a shared cache, and the offline state in which cases run. Close it when done."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.root = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="costmodel-fuzz-")))
        self.stack.enter_context(mock.patch.dict(os.environ, {"COSTMODEL_CACHE": str(self.root / "cache")}))
        self.stack.enter_context(contextlib.chdir(self.root))
        from models.zoo import loading

        self.stack.enter_context(mock.patch.object(loading, "hub_answers", return_value=False))
        (self.root / "stock").mkdir()
        with contextlib.chdir(self.root / "stock"):
            self.stock: Stock = make_stock(self.root / "stock", self.succeed)
        os.environ["COSTMODEL_CACHE"] = str(self.root / "cache")

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def succeed(self, args: tuple[str, ...]) -> str:
        code, out, err, raised = run(args)
        assert code == 0, f"{args}: {err}{raised}"
        return out

    def outcome(self, case: Case) -> Outcome:
        """Run a case in a directory of its own."""
        with tempfile.TemporaryDirectory(dir=self.root) as folder, contextlib.chdir(folder):
            write_files(case.files, Path(folder))
            before = snapshot(Path(folder))
            own = {"COSTMODEL_CACHE": str(Path(folder, "cache"))} if case.kind == "trace" else {}
            with mock.patch.dict(os.environ, own):
                start = time.process_time()
                code, out, err, raised = run(case.args)
                seconds = time.process_time() - start
            after = snapshot(Path(folder))
        changed = [n for n in sorted(before.keys() | after.keys()) if before.get(n, b"") != after.get(n, b"")]
        partial = [n for n in changed if n not in before or before[n] == OLD if not_whole(n, after.get(n))]
        return Outcome(code, out, err, raised, tuple(changed), tuple(partial), seconds)


def complaints(case: Case, outcome: Outcome) -> list[str]:
    """What a run did that it must not; nothing if all is well."""
    found = []
    if outcome.raised:
        return ["an exception got out"]
    if outcome.code == 0 and (case.sound or case.stdout is not None):
        if case.stdout is not None and outcome.out != case.stdout:
            found.append("prints something else than without a cache")
        if outcome.err:
            found.append("succeeds, and writes to stderr")
        if outcome.partial:
            found.append(f"succeeds, and leaves {', '.join(outcome.partial)} half written")
        return found
    if outcome.code != 2:
        return [f"exit code {outcome.code}, not 2"]
    if not outcome.err.startswith(PREFIX) or not outcome.err.endswith("\n") or len(outcome.err.splitlines()) != 1:
        found.append("stderr is not one line")
    if len(outcome.err) > 20_000:  # a word of 5 000 letters may be named
        found.append(f"the line has {len(outcome.err)} characters")
    if outcome.out:
        found.append("fails, and prints to stdout")
    if changed := [name for name in outcome.changed if name not in case.changes]:
        found.append(f"fails, and changes {', '.join(changed)}")
    return found


def shown(seed: int, number: int, case: Case, outcome: Outcome, found: list[str], whole: bool = False) -> str:
    """All that is needed to see a case again."""
    most = 20_000 if whole else 600
    words = " ".join(repr(a) if not a.isprintable() or not a or " " in a else a for a in case.args)
    changed = ", ".join(outcome.changed) or "nothing"
    lines = [
        f"seed {seed}, case {number} ({case.kind}): {'; '.join(found) or 'as it should be'}",
        f"    again: python -m tests.fuzz --seed {seed} --case {number}",
        f"    costmodel {words}"[:most],
        f"    exit code {outcome.code}, {outcome.seconds:.2f} s, changed: {changed}",
        *(f"    | {line}"[:most] for line in (outcome.err + outcome.raised).splitlines()[-(60 if whole else 8) :]),
    ]
    for name, content in case.files.items():
        if whole or not name.startswith("model/"):
            lines.append(f"    file {name}: {'a directory' if content is None else repr(content)[:most]}")
    return "\n".join(lines)


def fuzz(bench: Bench, seed: int, cases: range, each: float = 0.0) -> tuple[list[str], Counter[str]]:
    """Run cases; failures as texts, and how many were run of each kind. `each`: print those slower than this."""
    failures, kinds = [], Counter[str]()
    for number in cases:
        case = make_case(seed, number, bench.stock)
        outcome = bench.outcome(case)
        kinds[f"{case.kind} {'refused' if outcome.code == 2 else 'sound'}"] += 1
        found = complaints(case, outcome)
        if found or (each and outcome.seconds > each):
            text = shown(seed, number, case, outcome, found)
            if found:
                failures.append(text)
            if each:
                click.echo(text)
    return failures, kinds


@click.command()
@click.option("--seed", type=int, help="[default: a random one, printed]")
@click.option("--cases", type=int, default=2000, show_default=True)
@click.option("--case", "number", type=int, help="Only this one, with all that it prints.")
@click.option("--slow", type=float, default=5.0, show_default=True, help="Show cases that take more CPU seconds.")
def main(seed: int | None, cases: int, number: int | None, slow: float) -> None:
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    click.echo(f"seed {seed}: {', '.join(KINDS)}")
    with Bench() as bench:
        if number is not None:
            case = make_case(seed, number, bench.stock)
            outcome = bench.outcome(case)
            click.echo(shown(seed, number, case, outcome, complaints(case, outcome), whole=True))
            return
        start = time.process_time()
        failures, kinds = fuzz(bench, seed, range(cases), slow)
    for kind, n in sorted(kinds.items()):
        click.echo(f"{n:6d} {kind}")
    click.echo(
        f"{len(failures)} of {cases} cases fail (seed {seed}); {time.process_time() - start:.0f} s of CPU time"
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
