"""The pages of help: all commands in their groups, and one with its options and examples."""

import functools
import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import invoke

from harness.cli import commands
from harness.cli.commands import GROUPS, Argument

HELP = """\
PaddleHomework: fifteen PaddlePaddle 3.0 tasks on every accelerator, with records that anyone can check.

Usage: ./inv COMMAND [options]       ./inv COMMAND --help explains one, with examples

Start with
  ./inv run                          run every part on the hardware found here; ends with the matrix
  ./inv run 4 --set grid=201         run one part, with a parameter of it
  ./inv run --missing                only what has not passed here yet
  ./inv run --dry-run                print what would run, and why the rest would not
  ./inv matrix --explain             the points, and why a cell does not count
  ./inv doctor                       what is here, what is missing, what to install

{commands}

Options of every command
  --help                             explain the command
  --debug                            show the traceback of an error
  --list                             the commands, a line each
  --print-completion-script SHELL    for bash, zsh or fish: source <(./inv --print-completion-script bash)

Exit codes: 0 all passed, 1 a program or check failed, 2 usage error, a named file that is not there,
or a bad data file, 3 hardware, 4 engine, 5 build, 6 verification, 7 results or store, 130 or 143 interrupted.
"""

WIDTH = 118


def everything(collection: invoke.Collection) -> str:
    """The page of `./inv --help`."""
    return HELP.format(commands=listed(collection))


def listed(collection: invoke.Collection) -> str:
    """The commands, a line each, group by group."""
    width = max(map(len, collection.task_names))
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name, task in collection.tasks.items():
        summary = (task.__doc__ or "").strip().partition("\n")[0]
        groups[task.body.group].append(f"  {name:<{width}}  {summary}")
    return "\n\n".join("\n".join([group.capitalize(), *lines]) for group, lines in groups.items() if lines)


@functools.cache
def examples() -> dict[str, str]:
    """The examples of the commands, by name, a line each."""
    import yaml

    found: dict[str, str] = yaml.safe_load(Path(__file__).with_name("examples.yaml").read_text(encoding="utf-8"))
    return found


def page(task: invoke.Task) -> str:
    """The page of one command: how it is called, what it does, examples, its options."""
    arguments = commands.arguments(task)
    listed = [each for each in arguments if not (each.option.operand and each.option.more)]
    rows = [(_left(each), f"{each.option.help}{_default(each)}") for each in listed]
    parts = [f"Usage: {_usage(task)}", inspect.cleandoc(task.__doc__ or "")]
    parts += ["Examples:\n" + textwrap.indent(examples()[task.name].rstrip(), "  ")] if task.name in examples() else []
    parts += ["Options\n" + "\n".join(_columns(rows))] if rows else []
    parts += [each.option.more() for each in arguments if each.option.more]
    return "\n\n".join(part for part in parts if part)


def _usage(task: invoke.Task) -> str:
    """How a command is called: `./inv build KIND... [options]`."""
    words = ["./inv", task.name]
    arguments = commands.arguments(task)
    for argument in arguments:
        if argument.bare or (argument.option.operand and not argument.option.more):
            word = argument.name.upper() if argument.option.operand else argument.kind
            word += "..." * argument.many
            words.append(word if argument.required else f"[{word}]")
    return " ".join([*words, "[options]"] if arguments else words)


def _left(argument: Argument) -> str:
    if argument.option.operand:
        return argument.name.upper()
    written = ", ".join(each for each in (argument.option.short, argument.written) if each)
    return f"{written} {argument.kind}".rstrip()


def _default(argument: Argument) -> str:
    if argument.required:
        return " [required]"
    default = argument.option.default if argument.option.operand else argument.default
    return f" [{default}]" if default not in (None, "", 0, False, []) else ""


def _columns(rows: list[tuple[str, str]]) -> Iterator[str]:
    left = max(len(row[0]) for row in rows)
    for name, text in rows:
        first, *others = textwrap.wrap(text, WIDTH - left) or [""]
        yield f"  {name:<{left}}  {first}".rstrip()
        yield from (f"  {'':<{left}}  {line}" for line in others)
