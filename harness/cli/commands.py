"""A command of tasks.py: a function whose annotations declare its options, as a task of invoke."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import invoke

from harness.cli.options import Option

GROUPS = ("run", "look", "evidence", "share", "elsewhere", "develop")


def command(group: str) -> Callable[[Callable[..., None]], invoke.Task]:
    """The decorator of a command, which help shows in `group`; its values are checked before it is called."""
    assert group in GROUPS, group

    def made(body: Callable[..., None]) -> invoke.Task:
        signature = inspect.signature(body)
        annotated = {name: _annotated(parameter) for name, parameter in signature.parameters.items()}
        options = {name: option for name, option in annotated.items() if option}

        @functools.wraps(body)
        def checked(*values: Any, **named: Any) -> None:
            given = signature.bind(*values, **named)
            for name, option in options.items():
                if name in given.arguments:
                    given.arguments[name] = option.read(_spelled(name), given.arguments[name])
            body(*given.args, **given.kwargs)

        vars(checked).update(group=group, options={_spelled(name): option for name, option in options.items()})
        task: invoke.Task = invoke.task(
            name=_spelled(body.__name__),
            help={_spelled(name): option.help for name, option in options.items()},
            iterable=[name for name, option in options.items() if option.repeated],
            auto_shortflags=False,  # -h stays the help
        )(checked)
        return task

    return made


def options(task: invoke.Task) -> dict[str, Option]:
    """The options of a command and its operand, by their names on the command line."""
    found: dict[str, Option] = getattr(task.body, "options", {})
    return found


def operand(task: invoke.Task) -> Option | None:
    """The operand of a command that takes one."""
    return next((option for option in options(task).values() if option.operand), None)


def _annotated(parameter: inspect.Parameter) -> Option | None:
    found = (each for each in getattr(parameter.annotation, "__metadata__", ()) if isinstance(each, Option))
    return next(found, None)


def _spelled(name: str) -> str:
    return name.strip("_").replace("_", "-")
