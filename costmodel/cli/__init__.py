"""The command line: `costmodel COMMAND`. Subcommands are imported only when they are called."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from costmodel import __version__

COMMANDS = {
    "count": "Count the operations and bytes of a model, by kind, op, module or layer.",
    "report": "Compare attention mechanisms side by side: operations, bytes, energy.",
    "diff": "Why one point costs less than another: two cost breakdowns, part by part.",
    "audit": "Show what fvcore and FlopCounterMode count of a model, and what they leave out.",
    "formula": "Closed forms in B, S, d, H, F, L, and where two mechanisms break even.",
    "simulate": "Run a model in integers on a simulated accelerator: bits, cycles, energy.",
    "evaluate": "Measure the accuracy of a checkpoint on a task, in floats and in bits.",
    "results": "Print the stored accuracies beside published ones.",
    "train": "Fine-tune a model on a task, or distil it into another attention mechanism.",
    "sweep": "Evaluate every point of a design space into a store that survives being killed.",
    "pareto": "Show the front of a store: the points that no other beats.",
    "sensitivity": "Rank changes of a design by what they save, and find those that reach a wish.",
    "gemm": "Cycles and buffer accesses of one product on a systolic array.",
    "targets": "Print the accelerators, what they occupy, what an FPGA holds.",
    "tables": "Print the cost tables with units and sources.",
}

# The module of a command never has the name of a public function.
MODULES = {
    "count": "counts",
    "report": "reports",
    "diff": "differences",
    "audit": "audits",
    "formula": "formulas",
    "simulate": "simulations",
    "evaluate": "evaluations",
    "results": "results",
    "train": "training",
    "sweep": "sweeps",
    "pareto": "fronts",
    "sensitivity": "sensitivities",
    "gemm": "products",
    "targets": "targets",
    "tables": "tables",
}


class Commands(click.Group):
    """Names without imports, so that `costmodel --help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"costmodel.cli.{MODULES[cmd_name]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what goes wrong is told in the words of its options."""
        from costmodel.errors import CostModelError

        try:
            return super().invoke(ctx)
        except CostModelError as error:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            raise click.ClickException(in_options(str(error), command.params if command else [])) from error


def in_options(message: str, parameters: Sequence[click.Parameter]) -> str:
    """A message of a function with its parameters as the options of a command."""
    from costmodel.errors import in_words

    options = {
        p.name: max(p.opts, key=len) if isinstance(p, click.Option) else p.human_readable_name
        for p in parameters
        if p.name
    }
    return in_words(message, options)


@click.command(cls=Commands)
@click.version_option(__version__)
def group() -> None:
    """What a transformer costs in hardware, and what changes with its attention.

    Try: costmodel report distilbert --attention dot --attention inhibitor --seq 128
    """


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit code 2."""
    # Before torch is loaded: threads that spin for each other take ten times as long where a core is busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        code = group.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        sys.exit(2)
    except click.ClickException as error:
        fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        fail("interrupted")
    except MemoryError:
        fail("out of memory; --device meta needs no memory for weights")
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone, as with `| head`
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


def fail(message: str) -> None:
    click.echo("costmodel: error: " + " ".join(message.split()), err=True)
    sys.exit(2)
