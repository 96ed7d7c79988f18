"""The command line: invoke, with this project's errors, exit codes, help and completion."""

import errno
import sys
import traceback
from dataclasses import dataclass
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
from invoke.exceptions import Exit  # noqa: E402

for _name in _standing_in:  # others may want the real ones
    del sys.modules[_name]

from harness import terminal  # noqa: E402
from harness.cli import arguments, commands  # noqa: E402
from harness.errors import HomeworkError, Interrupted, StoreError, UsageError, did_you_mean  # noqa: E402

HELP = ("--help", "-h", "help")
OTHERS = ("--list", "--version", "--print-completion-script", "--help", "--debug")


@dataclass
class Program:
    """The command line, as `./inv` and as `invoke` in the activated environment."""

    namespace: invoke.Collection
    version: str
    debug: bool = False

    def run(self, argv: list[str] | None = None) -> None:
        """Do what `argv` (default: sys.argv) says, and leave with its exit code."""
        words = list(sys.argv if argv is None else argv)[1:]
        mine = 1 if self._hands_on(words) else len(words)  # behind these, arguments are a program's own
        self.debug = "--debug" in words[:mine]
        with terminal.forgiving() as lost:
            code = self._answer([each for each in words[:mine] if each != "--debug"] + words[mine:])
        if lost and code == 0:
            code = self._report(StoreError("The output could not be written.", f"{lost[0]}.", "Write it elsewhere."))
        sys.exit(code)

    def _answer(self, words: list[str]) -> int:
        try:
            self._follow(words)
            return 0
        except Exit as leaving:
            if leaving.message:
                print(leaving.message, file=sys.stderr)
            return leaving.code
        except HomeworkError as error:
            return self._report(error)
        except OSError as error:
            what = f"{error.filename or 'A file'}: {error.strerror or error}."
            if error.errno == errno.ENAMETOOLONG:
                return self._report(UsageError(what, "No file can be called so.", "Name one that is there."))
            return self._report(StoreError(what, "The system refused it.", "Mend the file or disk, then call again."))
        except Interrupted as interruption:
            return interruption.code
        except KeyboardInterrupt:
            return 130
        except Exception as error:
            what = f"A defect in PaddleHomework: {type(error).__name__}: {error}"
            return self._report(HomeworkError(what, "No rule foresees this case.", "Report what --debug shows."))

    def _follow(self, words: list[str]) -> None:
        command, *behind = words or ["--help"]
        if command in HELP:
            return self._help(behind)
        if command in ("--list", "-l", "--version", "-V", "version"):
            if behind:
                raise UsageError(f"{' '.join(behind)}: not understood.", f"{command} stands alone.", f"./inv {command}")
            return print(self._listed() if command in ("--list", "-l") else f"PaddleHomework {self.version}")
        if command in ("--complete", "--print-completion-script"):
            return print(self._completion(command, behind))
        task = self._task(command)
        if not self._hands_on(words) and set(HELP[:2]) & set(behind):
            return self._help([command])
        values = arguments.read(task, behind, self.namespace.task_names)
        sys.dont_write_bytecode = False  # invoke turns it off; harness/ starts faster from bytecode
        invoke.Executor(self.namespace, invoke.Config(lazy=True)).execute((task.name, values))

    def _help(self, words: list[str]) -> None:
        from harness.cli import pages

        names = [word for word in words if word not in HELP]
        if len(names) > 1:
            raise UsageError(f"{names[1]}: one too many.", "Help is for one command.", f"./inv {names[0]} --help")
        print(pages.page(self._task(names[0])) if names else pages.everything(self.namespace))

    def _listed(self) -> str:
        from harness.cli import pages

        return pages.listed(self.namespace)

    def _completion(self, command: str, words: list[str]) -> str:
        from harness.cli import completion

        if command == "--complete":
            return "\n".join(completion.candidates(" ".join(words[words[:1] == ["--"] :]), self.namespace))
        return completion.script(" ".join(words))

    def _task(self, name: str) -> invoke.Task:
        """The command of that name.

        Raises:
            UsageError: there is none; the nearest is offered.
        """
        names = self.namespace.task_names
        if name in names:
            task: invoke.Task = self.namespace[name]
            return task
        kind = "option" if name.startswith("-") else "command"
        near = did_you_mean(name, OTHERS if kind == "option" else [*names, "help", "version"])
        raise UsageError(
            f"{name}: no such {kind}.",
            f"It is not {'an' if kind == 'option' else 'a'} {kind} of this program.{near}",
            "See ./inv --help",
        )

    def _hands_on(self, words: list[str]) -> bool:
        """Whether the command hands on what stands behind it as it stands.

        --help is the command's own: everywhere where it knows the options of its program, else only at the front.
        """
        if len(words) < 2 or words[0] not in self.namespace.task_names:
            return False
        operand = commands.operand(self.namespace[words[0]])
        if not operand or not operand.handed_on:
            return False
        return not set(HELP[:2]) & set(words) if operand.more else not words[1].startswith("-")

    def _report(self, error: HomeworkError) -> int:
        met = sys.exc_info()[1]
        if self.debug and met:
            *frames, _ = traceback.TracebackException.from_exception(met).format()  # the last is said below
            print("".join(frames), end="", file=sys.stderr)
        first, *rest = [terminal.one_line(line) for line in (error.what, error.why, error.remedy) if line]
        print(terminal.red(first, sys.stderr), *rest, sep="\n", file=sys.stderr)
        return error.code


def main(tasks: ModuleType) -> None:
    """The entry of `./inv`: a program of the tasks that the module `tasks` defines."""
    Program(namespace=invoke.Collection.from_module(tasks), version="0.1.0").run()
