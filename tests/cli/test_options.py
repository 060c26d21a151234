"""A message of a function speaks of parameters; the command line of options."""

from __future__ import annotations

import ast
import inspect
import os

import click
import pytest
from click._utils import UNSET

import costmodel as cm
from costmodel.api import differences
from costmodel.cli import COMMANDS, Commands, in_options, main
from costmodel.errors import CostModelError
from tests.test_imports import SOURCES

pytestmark = pytest.mark.quick
PARAMETERS = [
    click.Argument(["model"]),
    click.Option(["--on", "target"]),
    click.Option(["--seq"]),
    click.Option(["--as-run"], is_flag=True),
]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("`seq=600` is beyond 512 positions", "--seq 600 is beyond 512 positions"),
        ("`target=x:a=1` is none; see `costmodel targets`", "--on x:a=1 is none; see `costmodel targets`"),
        ("leave out `as_run=True` and `model`", "leave out --as-run and MODEL"),
        ("`width=3` is no option", "`width=3` is no option"),
    ],
)
def test_parameters_are_shown_as_options(message: str, shown: str) -> None:
    assert in_options(message, PARAMETERS) == shown


def test_the_same_mistake_in_both_words(cli) -> None:
    with pytest.raises(CostModelError, match=r"^`seq=0` is not at least 1$"):
        cm.count("distilbert", seq=0)
    assert cli("count", "distilbert", "--seq", "0").err == "costmodel: error: --seq 0 is not at least 1\n"


def messages(source: str) -> list[str]:
    """All text that a module raises errors with."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            found += [
                n.value for n in ast.walk(node.exc) if isinstance(n, ast.Constant) and isinstance(n.value, str)
            ]
    return found


# `diff` takes points as the words of a report, which are options whoever calls it.
SPEAKS_OF_OPTIONS = "costmodel.api.differences"


@pytest.mark.parametrize(
    "module", [m for m in SOURCES if not m.startswith("costmodel.cli") and m != SPEAKS_OF_OPTIONS]
)
def test_no_function_speaks_of_options(module: str) -> None:
    spoken = [
        m for m in messages(SOURCES[module]) if " --" in f" {m}" and "`costmodel " not in m and "pip " not in m
    ]
    assert not spoken, spoken


# Where the function has another name than the command.
FUNCTIONS = {"targets": "target", "tables": "price_tables", "results": "stored_results"}
ONLY_OF_THE_COMMAND = {"form", "output", "help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_can_a_function_can(name: str) -> None:
    """Every option is a parameter of the function, of the same name and the same default."""
    command = Commands().get_command(click.Context(Commands()), name)
    assert command is not None
    function = FUNCTIONS.get(name, name)
    parameters = inspect.signature(getattr(cm, function)).parameters
    context = click.Context(command, **command.context_settings)
    for option in command.params:
        if option.name in ONLY_OF_THE_COMMAND:
            continue
        assert option.name in parameters, f"{name}: cm.{function} has no {option.name}"
        default = option.get_default(context)
        if isinstance(option, click.Option) and default not in (None, (), False, UNSET):
            assert parameters[option.name].default == default, option.name


def test_the_words_of_a_point_are_the_options_of_a_report() -> None:
    """`diff` reads them itself: a new option of `report` must be taken, or refused with its reason."""
    command = Commands().get_command(click.Context(Commands()), "report")
    assert command is not None
    options = {o for p in command.params if isinstance(p, click.Option) for o in p.opts}
    assert options == {*differences.VALUES, *differences.FLAGS, *differences.USELESS}


@pytest.mark.parametrize(("given", "waits"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_spinning_unless_the_user_says_so(
    given: str | None, waits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr("sys.argv", ["costmodel", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ["OMP_WAIT_POLICY"] == waits
