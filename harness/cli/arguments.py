"""Arguments: what stands behind a command becomes the values that it is called with, or is refused in three lines."""

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import invoke

from harness.cli import commands
from harness.cli.commands import Argument
from harness.errors import UsageError, did_you_mean

SETTING = re.compile(r"[A-Za-z]\w*=.*", re.DOTALL)


def read(task: invoke.Task, words: Sequence[str], known: Collection[str] = ()) -> dict[str, Any]:
    """The values that `words` give the parameters of a command; `known` are the names of all commands.

    Raises:
        UsageError: an option is unknown, lacks its value, or is given twice; or a value cannot be meant.
    """
    arguments = commands.arguments(task)
    reader = Reader(task.name, {argument.name: argument for argument in arguments}, known)
    handed_on = next((argument for argument in arguments if argument.option.handed_on), None)
    given = {handed_on.name: list(words)} if handed_on else reader.sort(words)
    _refuse_apart(task, given)
    _refuse_alone(task, given)
    values = {}
    for argument in arguments:
        if argument.name in given:
            values[argument.parameter] = argument.value(given[argument.name])
        elif argument.required:
            what = f"{task.name} lacks its {argument.written}."
            raise UsageError(what, f"{argument.written} is: {argument.option.help}.", f"See ./inv {task.name} --help")
        else:
            values[argument.parameter] = argument.default
    return values


def _refuse_apart(task: invoke.Task, given: Mapping[str, Sequence[str]]) -> None:
    for pair in commands.apart(task):
        if all(name in given for name in pair):
            one, other = (f"--{name}" for name in pair)
            why = f"{task.name} does the one or the other."
            raise UsageError(f"{one} does not go with {other}.", why, f"Leave one out; see ./inv {task.name} --help")


def _refuse_alone(task: invoke.Task, given: Mapping[str, Sequence[str]]) -> None:
    for needed, names in commands.only_with(task).items():
        if needed not in given and (found := next((name for name in names if name in given), "")):
            why = f"Without --{needed}, {task.name} does not ask for it."
            raise UsageError(f"--{found} goes with --{needed}.", why, f"Add --{needed}, or leave it out.")


@dataclass
class Reader:
    """Sorts the words behind a command by the arguments that they belong to."""

    command: str
    arguments: Mapping[str, Argument]
    known: Collection[str]

    @property
    def see(self) -> str:
        return f"See ./inv {self.command} --help"

    def sort(self, words: Sequence[str]) -> dict[str, list[str]]:
        given: dict[str, list[str]] = {}
        rest = deque(words)
        while rest:
            word = rest.popleft()
            if word.startswith("-") and len(word) > 1:
                argument, values = self._option(word, rest)
                if argument.name in given and not argument.option.repeated:
                    why = f"It was {' '.join(given[argument.name]) or 'said'} before, and only one can be meant."
                    raise UsageError(f"{argument.written} is given twice.", why, "Write it once.")
            else:
                argument, values = self._operand(word, given), [word]
            given.setdefault(argument.name, []).extend(values)
        return given

    def _option(self, word: str, rest: deque[str]) -> tuple[Argument, list[str]]:
        name, equals, value = word.partition("=")
        short = {each.option.short: each for each in self.arguments.values() if each.option.short}
        argument = self.arguments.get(name[2:]) if name.startswith("--") else short.get(name)
        if argument is None or argument.option.operand:
            raise self._unknown(name)
        if argument.flag:
            if equals:
                raise UsageError(f"{word}: {name} takes no value.", f"It is: {argument.option.help}.", f"Write {name}")
            return argument, []
        if not equals:
            if not rest or rest[0].startswith("--"):
                before = f", and {rest[0]} is the next option" if rest else ""
                remedy = f"Write {name} {argument.kind}" + "; see " * bool(self.see) + self.see[4:]
                raise UsageError(f"{name} lacks its value.", f"It is: {argument.option.help}{before}.", remedy)
            value = rest.popleft()
        values = [value]
        while argument.option.repeated and rest and SETTING.fullmatch(rest[0]):  # --set pp=1 dp=2 mp=2
            values.append(rest.popleft())
        return argument, values

    def _unknown(self, name: str) -> UsageError:
        why = f"It is not an option of {self.command}.{self._nearest(name.lstrip('-'))}"
        return UsageError(f"{name}: no such option.", why, self.see)

    def _nearest(self, word: str) -> str:
        """Did you mean the option whose name is nearest to `word`?"""
        options = [each.name for each in self.arguments.values() if not each.option.operand]
        return did_you_mean(word, [*options, "help", "debug"]).replace("mean ", "mean --")

    def _operand(self, word: str, given: Mapping[str, Sequence[str]]) -> Argument:
        """The argument that stands alone: the operand, or the option that may be written without its name."""
        argument = next((each for each in self.arguments.values() if each.bare or each.option.operand), None)
        if word in self.known and not ((argument and word in argument.option.offered([])) or Path(word).exists()):
            why = f"A call is one command, and {self.command} takes no {word}."
            raise UsageError(f"{word}: a second command.", why, f"Call ./inv {word} by itself.")
        if argument is None:
            why = f"{self.command} takes options alone.{self._nearest(word)}"
            raise UsageError(f"{word}: not understood.", why, self.see)
        if argument.name in given and not argument.many:
            why = f"{self.command} takes one {argument.name.upper()}, and {given[argument.name][0]} is that."
            raise UsageError(f"{word}: one too many.", why, f"Quote what belongs together. {self.see}")
        return argument
