"""A command of tasks.py, as a task of invoke: a function whose annotations declare its options."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import invoke

from harness.cli import values
from harness.errors import UsageError

GROUPS = ("run", "look", "evidence", "share", "elsewhere", "develop")
LARGEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a command, or its operand.

    Args:
        metavar: what stands for its value in help: FILE, KIND.
        short: another name, of a dash and a letter.
        choices: the values that it may have, if these are few.
        values: what completion offers, given the arguments typed so far; `choices` where it is left out.
        must: refuses a value that cannot be meant, given how the option is written and the value.
        at_least, at_most: the range of a number; at_most 0: as large as a number gets.
        default: of an operand that may be left out; an option's is its parameter's.
        repeated: whether it may be given again.
        listed: whether its value is a list, with commas.
        operand: whether it stands alone, without a name before it.
        several: whether the operand is a list.
        handed_on: whether it is all that stands behind the command, handed on to a program as it stands.
        more: what help adds below: the options of such a program.
    """

    help: str
    metavar: str = ""
    short: str = ""
    choices: tuple[str, ...] = ()
    values: Callable[[Sequence[str]], Iterable[str]] | None = None
    must: Callable[[str, str], None] | None = None
    at_least: int = 0
    at_most: int = 0
    default: str | None = None
    repeated: bool = False
    listed: bool = False
    operand: bool = False
    several: bool = False
    handed_on: bool = False
    more: Callable[[], str] | None = None

    def check(self, written: str, value: str) -> None:
        """Refuse a value that is none of the choices, or cannot be meant.

        Raises:
            UsageError: it is such a one.
        """
        if self.choices:
            values.require_known(written, value, self.choices)
        if self.must:
            self.must(written, value)

    def offered(self, typed: Sequence[str]) -> list[str]:
        """What completion offers behind `typed`."""
        return list(dict.fromkeys(self.values(typed))) if self.values else list(self.choices)


@dataclass(frozen=True)
class Argument:
    """A parameter of a command as it is typed: its name there, what its option declares, and its default."""

    name: str
    parameter: str
    option: Option
    default: Any
    required: bool
    bare: bool

    @property
    def flag(self) -> bool:
        return isinstance(self.default, bool)

    @property
    def many(self) -> bool:
        """Whether several may stand alone."""
        return self.option.several or self.option.handed_on or (self.bare and self.option.listed)

    @property
    def written(self) -> str:
        return self.name.upper() if self.option.operand else f"--{self.name}"

    @property
    def kind(self) -> str:
        """What stands for its value in help."""
        return "" if self.flag else self.option.metavar or ("INT" if isinstance(self.default, int) else "VALUE")

    def value(self, words: Sequence[str]) -> Any:
        """The value that the words give it.

        Raises:
            UsageError: it cannot be meant.
        """
        if self.flag:
            return True
        if self.option.handed_on:
            return list(words)
        names = [word.partition("=")[0] for word in words]
        if self.option.repeated and (twice := [name for name in names if names.count(name) > 1]):
            why = f"It is {' and '.join(word for word in words if word.startswith(f'{twice[0]}='))}."
            raise UsageError(f"{self.written} {twice[0]} is given twice.", why, "Write it once.")
        for word in words:
            if not word.strip():
                why = f"It is: {self.option.help}."
                raise UsageError(f"{self.written} is empty.", why, "Leave it out, or give it a value.")
            self.option.check(self.written, word)
        if self.option.repeated or self.option.several:
            return list(words)
        return self._number(words[0]) if isinstance(self.default, int) else ",".join(words)

    def _number(self, word: str) -> int:
        least, most = self.option.at_least, self.option.at_most or LARGEST
        try:
            number = int(word) if word.isascii() else least - 1
        except ValueError:
            number = least - 1
        if least <= number <= most:
            return number
        why = f"It is a whole number from {least} to {most}: {self.option.help}."
        raise UsageError(f"{self.written} {word}: no such number.", why, f"Write {self.written} {max(least, 1)}")


def command(
    group: str,
    bare: str = "",
    apart: Sequence[tuple[str, str]] = (),
    only_with: Mapping[str, Sequence[str]] | None = None,
) -> Callable[[Callable[..., None]], invoke.Task]:
    """The decorator of a command, which help shows in `group`.

    Args:
        bare: the option whose value may also stand without its name: `./inv run 8-1`.
        apart: pairs of options of which one excludes the other.
        only_with: an option, and those that mean nothing without it.
    """
    assert group in GROUPS, group

    def made(body: Callable[..., None]) -> invoke.Task:
        _, *parameters = inspect.signature(body).parameters.values()  # the first is invoke's context

        @functools.wraps(body)
        def called(*values: Any, **named: Any) -> None:
            body(*values, **named)

        arguments = [_argument(parameter, bare) for parameter in parameters]
        vars(called).update(group=group, arguments=arguments, apart=apart, only_with=only_with or {})
        task: invoke.Task = invoke.task(name=_spelled(body.__name__), auto_shortflags=False)(called)
        return task

    return made


def arguments(task: invoke.Task) -> list[Argument]:
    """The arguments of a command, in order."""
    found: list[Argument] = getattr(task.body, "arguments", [])
    return found


def only_with(task: invoke.Task) -> Mapping[str, Sequence[str]]:
    """Of a command: an option, and those that mean nothing without it."""
    found: Mapping[str, Sequence[str]] = getattr(task.body, "only_with", {})
    return found


def apart(task: invoke.Task) -> Sequence[tuple[str, str]]:
    """The options of a command that exclude each other."""
    found: Sequence[tuple[str, str]] = getattr(task.body, "apart", ())
    return found


def options(task: invoke.Task) -> dict[str, Option]:
    """The options of a command and its operand, by their names on the command line."""
    return {argument.name: argument.option for argument in arguments(task)}


def operand(task: invoke.Task) -> Option | None:
    """The operand of a command that takes one."""
    return next((option for option in options(task).values() if option.operand), None)


def _argument(parameter: inspect.Parameter, bare: str) -> Argument:
    declared = (each for each in getattr(parameter.annotation, "__metadata__", ()) if isinstance(each, Option))
    option = next(declared, Option(help="a value"))
    required = parameter.default is parameter.empty and not (option.operand and option.default is not None)
    default = option.default if parameter.default is parameter.empty else parameter.default
    if option.several or option.handed_on:
        default = []
    name = _spelled(parameter.name)
    return Argument(name, parameter.name, option, default, required, name == bare)


def _spelled(name: str) -> str:
    return name.strip("_").replace("_", "-")
