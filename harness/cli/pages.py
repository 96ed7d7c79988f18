"""The pages of help: all commands in their groups, and one with its options and examples."""

import inspect
import textwrap
from collections.abc import Iterator

import invoke

from harness.cli import commands
from harness.cli.commands import GROUPS

HELP = """\
PaddleHomework: fifteen PaddlePaddle 3.0 tasks on every accelerator, with records that anyone can check.

Usage: ./inv COMMAND [options]       ./inv COMMAND --help explains one, with examples

Start with
  ./inv run                          run every part on the hardware found here; ends with the matrix
  ./inv run --task 4 --set grid=201  run one part, with a parameter of it
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


def page(task: invoke.Task) -> str:
    """The page of one command: how it is called, what it does, examples, its options."""
    options, operand = commands.options(task), commands.operand(task)
    arguments = {str(each.name).strip("_").replace("_", "-"): each for each in task.get_arguments()}
    called = next((name.upper() for name, option in options.items() if option is operand and not option.more), "")
    called += "..." if operand and (operand.several or (operand.handed_on and called)) else ""
    called = f"[{called}]" if called and operand and operand.default is not None else called
    usage = " ".join(each for each in ("./inv", task.name, called, "[options]" if arguments else "") if each)
    rows = []
    for name, argument in arguments.items():
        option = options.get(name)
        if option and option.operand and option.more:
            continue
        left = name.upper() if option and option.operand else f"--{name}{_value(argument)}"
        default = option.default if option and option.operand else argument.default
        shown = f" [{default}]" if default not in (None, "", 0, False, []) else ""
        shown = " [required]" if argument.positional and not (option and option.operand) else shown
        rows.append((left, f"{option.help if option else argument.help or ''}{shown}"))
    parts = [f"Usage: {usage}", inspect.cleandoc(task.__doc__ or "")]
    parts += ["Options\n" + "\n".join(_columns(rows))] if rows else []
    parts += [option.more() for option in options.values() if option.more]
    return "\n\n".join(part for part in parts if part)


def _value(argument: invoke.Argument) -> str:
    kind = {int: "INT", bool: ""}.get(argument.kind, "VALUE")
    return f" {kind}" if kind else ""


def _columns(rows: list[tuple[str, str]]) -> Iterator[str]:
    left = max(len(row[0]) for row in rows)
    for name, text in rows:
        first, *others = textwrap.wrap(text, WIDTH - left) or [""]
        yield f"  {name:<{left}}  {first}".rstrip()
        yield from (f"  {'':<{left}}  {line}" for line in others)
