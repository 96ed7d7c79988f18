"""The command line: invoke, with this project's errors, exit codes, help and completion."""

import difflib
import itertools
import os
import re
import sys
import traceback
from types import ModuleType
from typing import Any

# What invoke imports and this program does not use takes half of the time in which every command starts.
STAND_INS: dict[str, dict[str, Any]] = {
    "unittest.mock": {"Mock": object},  # for a test helper of invoke's; brings asyncio and ssl along
    "importlib.metadata": {"version": lambda name: ""},  # for invoke's own version
    "invoke.vendor.yaml": {"safe_load": lambda file: __import__("yaml").safe_load(file)},  # for /etc/invoke.yaml
}


def _stand_in(name: str, attributes: dict[str, Any]) -> str:
    sys.modules[name] = ModuleType(name)
    vars(sys.modules[name]).update(attributes)
    return name


_standing_in = [_stand_in(*item) for item in STAND_INS.items() if item[0] not in sys.modules]

import invoke  # noqa: E402
from invoke.exceptions import Exit, ParseError  # noqa: E402

for _name in _standing_in:  # others may want the real ones
    del sys.modules[_name]

from harness.cli import commands  # noqa: E402
from harness.errors import HomeworkError, Interrupted, StoreError, UsageError  # noqa: E402


class Program(invoke.Program):
    """invoke's command line, as `./inv` and as `invoke` in the activated environment."""

    debug = False

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Do what `argv` (default: sys.argv) says, and leave with its exit code."""
        given = list(sys.argv if argv is None else argv)
        mine = 2 if self._hands_on(given) else len(given)  # behind these, arguments are a program's own
        self.debug = "--debug" in given[:mine]
        try:
            code = self._answer([each for each in given[:mine] if each != "--debug"] + given[mine:])
            sys.stdout.flush()
        except BrokenPipeError:  # `./inv matrix | head` is no error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        sys.exit(code)

    def _answer(self, argv: list[str]) -> int:
        try:
            self._follow(argv)
            return 0
        except Exit as leaving:
            if leaving.message:
                print(leaving.message, file=sys.stderr)
            return leaving.code
        except ParseError as error:
            return self._report(explain_parse_error(error, self.collection))
        except HomeworkError as error:
            return self._report(error)
        except BrokenPipeError:
            raise
        except OSError as error:
            what = f"{error.filename or 'A file'}: {error.strerror or error}."
            return self._report(StoreError(what, "The system refused it.", "Mend the file or disk, then call again."))
        except Interrupted as interruption:
            return interruption.code
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            what = f"A defect in PaddleHomework: {type(error).__name__}: {error}"
            return self._report(HomeworkError(what, "No rule foresees this case.", "Report what --debug shows."))

    def _follow(self, argv: list[str]) -> None:
        if "--print-completion-script" in argv:
            from harness.cli import completion

            return print(completion.script(argv[-1]))
        if self._hands_on(argv):
            argv = [*argv[:2], "".join(f"\0{each}" for each in argv[2:])]
        elif {"--help", "-h"} & set(argv) and not argv[1].startswith("-"):
            argv = [argv[0], "--help", argv[1]]  # else a command with an operand would take --help for it
        self.create_config()
        self.parse_core(self._joined(argv))
        sys.dont_write_bytecode = False  # invoke turns it off; harness/ starts faster from bytecode
        self.parse_collection()
        self.parse_tasks()
        self.parse_cleanup()
        self.update_config()
        self.execute()

    def _task(self, name: str) -> invoke.Task | None:
        known = self.namespace
        return known[name] if known and name in known.task_names else None

    def _hands_on(self, argv: list[str]) -> bool:
        """Whether the command hands on all behind it as it stands: led by NUL each, which no argument contains.

        --help is the command's own: everywhere where it knows the options of its program, else only at the front.
        """
        task = self._task(argv[1]) if len(argv) > 2 else None
        operand = commands.operand(task) if task else None
        if not operand or not operand.handed_on:
            return False
        return not {"--help", "-h"} & set(argv) if operand.more else not argv[2].startswith("-")

    def _joined(self, argv: list[str]) -> list[str]:
        """For a command that takes several operands, where invoke knows only of one: all of them, a line each."""
        task = self._task(argv[1]) if len(argv) > 1 else None
        operand = commands.operand(task) if task else None
        if not task or not operand or not operand.several:
            return argv
        takes_value = {f"--{each.names[0]}" for each in task.get_arguments() if each.takes_value}
        options, operands = argv[:2], list[str]()
        for before, token in itertools.pairwise(argv[1:]):
            (options if token.startswith("--") or before in takes_value else operands).append(token)
        return [*options, "\n".join(operands)] if operands else options

    def parse_tasks(self) -> None:
        """Parse the arguments; where the last command lacks its only operand, take its default (verify, show)."""
        try:
            super().parse_tasks()
        except ParseError as error:
            name = (error.context.name if error.context else None) or ""
            operand = commands.operand(self.collection[name]) if name else None
            if operand is None or operand.default is None or "required positional" not in str(error):
                raise
            self.core.unparsed.insert(self.core.unparsed.index(name) + 1, operand.default)
            super().parse_tasks()
        except ValueError as error:  # invoke converts values and lets int() speak
            what, see = " ".join(self.core.unparsed), f"See ./inv {self.core.unparsed[0]} --help"
            raise UsageError(f"{what}: {error}.", "An option takes a number where its help says INT.", see) from error

    def parse_cleanup(self) -> None:
        """Answer the options that end a call: --help, --list and completion."""
        if self.args.complete.value:
            from harness.cli import completion

            print("\n".join(completion.candidates(self.core.remainder, self.collection)))
            raise Exit
        super().parse_cleanup()

    def print_help(self) -> None:
        """Print the page behind `./inv --help` and a bare `./inv`."""
        from harness.cli import pages

        print(pages.everything(self.collection), end="")

    def list_tasks(self) -> None:
        """Print what `./inv --list` answers."""
        from harness.cli import pages

        print(pages.listed(self.collection))

    def print_task_help(self, name: str) -> None:
        """Print the page behind `./inv COMMAND --help`."""
        from harness.cli import pages

        print(pages.page(self.collection[name]))

    def _report(self, error: HomeworkError) -> int:
        from harness.terminal import red

        if self.debug:
            traceback.print_exc()
        first, *rest = str(error).splitlines()
        print(red(first, sys.stderr), *rest, sep="\n", file=sys.stderr)
        return error.code


def explain_parse_error(error: ParseError, collection: invoke.Collection) -> UsageError:
    """Turn what invoke says of a mistake into what, why and what to do, with the nearest known name."""
    unknown = re.match(r"No idea what '(.*)' is!", str(error))
    context = error.context
    command = context.name if context else None
    if not unknown:
        return UsageError(str(error).replace("Flag <Argument: ", "<Argument: "), "", f"See ./inv {command} --help")
    given = unknown.group(1)
    if context and command and given.startswith("-"):
        known, where, see = list(context.flags), f"an option of {command}", f"./inv {command} --help"
    else:
        known, where, see = list(collection.task_names), "a command of this program", "./inv --help"
    near = difflib.get_close_matches(given, known, n=1)
    return UsageError(
        f"{given}: no such {'option' if given.startswith('-') else 'command'}.",
        f"It is not {where}." + (f" Did you mean {near[0]}?" if near else ""),
        f"See {see}",
    )


def main(tasks: ModuleType) -> None:
    """The entry of `./inv`: a program of the tasks that the module `tasks` defines."""
    collection = invoke.Collection.from_module(tasks)
    Program(name="PaddleHomework", binary="inv", namespace=collection, version="0.1.0").run()
