"""The command line: invoke, with this project's errors, exit codes, help and completion."""

import difflib
import itertools
import os
import re
import sys
import traceback
from types import ModuleType
from typing import Any

# What invoke imports and this program does not use takes half of the time in which every word starts.
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

from harness.errors import HomeworkError, Interrupted, StoreError, WordsError  # noqa: E402

HELP = """\
PaddleHomework: fifteen PaddlePaddle 3.0 tasks on every accelerator, with records that anyone can check.

Usage: ./inv WORD [options]          ./inv WORD --help explains a word, with examples

Start with
  ./inv run                          run every part on the hardware found here; ends with the matrix
  ./inv run --task 4 --set grid=201  run one part, with a parameter of it
  ./inv run --dry-run                print what would run, and why the rest would not
  ./inv matrix --explain             the points, and why a cell does not count
  ./inv doctor                       what is here, what is missing, what to install

Words
{words}

Options for every word
  --help                             explain the word
  --debug                            show the traceback of an error
  --list                             the words, a line each
  --print-completion-script SHELL    for bash, zsh or fish: source <(./inv --print-completion-script bash)

Exit codes: 0 all passed, 1 a program or check failed, 2 wrong words or data file, 3 hardware,
4 engine, 5 build, 6 verification, 7 results or store, 130 or 143 interrupted.
"""


class Program(invoke.Program):
    """invoke's command line, as `./inv` and as `invoke` in the activated environment."""

    debug = False

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        """Do what the words of `argv` (default: sys.argv) say, and leave with their exit code."""
        words = list(sys.argv if argv is None else argv)
        mine = 2 if self._hands_on(words) else len(words)  # behind these, words are a program's own
        self.debug = "--debug" in words[:mine]
        try:
            code = self._answer([word for word in words[:mine] if word != "--debug"] + words[mine:])
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
            argv = [*argv[:2], "\0".join(argv[2:])]
        elif {"--help", "-h"} & set(argv) and not argv[1].startswith("-"):
            argv = [argv[0], "--help", argv[1]]  # else a word with an operand would take --help for it
        self.create_config()
        self.parse_core(self._joined(argv))
        sys.dont_write_bytecode = False  # invoke turns it off; harness/ starts faster from bytecode
        self.parse_collection()
        self.parse_tasks()
        self.parse_cleanup()
        self.update_config()
        self.execute()

    def _hands_on(self, argv: list[str]) -> bool:
        """Whether the word is one that hands on all behind it as it stands, joined by NUL, which no word contains."""
        known = self.namespace
        body = known[argv[1]].body if known and len(argv) > 2 and argv[1] in known.task_names else None
        return getattr(body, "hands_on", False) and not argv[2].startswith("-")

    def _joined(self, argv: list[str]) -> list[str]:
        """For a word that takes several operands, where invoke knows only of one: all of them, a line each."""
        word = argv[1] if len(argv) > 1 else ""
        collection = self.namespace
        assert collection is not None, "main gives it the words"
        if word not in collection.task_names or not getattr(collection[word].body, "several_operands", False):
            return argv
        takes_value = {f"--{each.names[0]}" for each in collection[word].get_arguments() if each.takes_value}
        options, operands = argv[:2], list[str]()
        for before, token in itertools.pairwise(argv[1:]):
            (options if token.startswith("--") or before in takes_value else operands).append(token)
        return [*options, "\n".join(operands)] if operands else options

    def parse_tasks(self) -> None:
        """Parse the words; where the last one lacks its only operand, use its `operand_default` (verify, show)."""
        try:
            super().parse_tasks()
        except ParseError as error:
            word = (error.context.name if error.context else None) or ""
            default = getattr(self.collection[word].body, "operand_default", None) if word else None
            if default is None or "required positional" not in str(error):
                raise
            self.core.unparsed.insert(self.core.unparsed.index(word) + 1, default)
            super().parse_tasks()
        except ValueError as error:  # invoke converts values and lets int() speak
            what, see = " ".join(self.core.unparsed), f"See ./inv {self.core.unparsed[0]} --help"
            raise WordsError(f"{what}: {error}.", "An option takes a number where its help says INT.", see) from error

    def parse_cleanup(self) -> None:
        """Answer the options that end a call: --help, --list and completion."""
        if self.args.complete.value:
            from harness.cli import completion

            print("\n".join(completion.candidates(self.core.remainder, self.collection)))
            raise Exit
        super().parse_cleanup()

    def print_help(self) -> None:
        """Print the page behind `./inv --help` and a bare `./inv`."""
        words = sorted(self.collection.task_names)
        print(HELP.format(words="\n".join(f"  {word:<10} {self._summary(word)}" for word in words)))

    def _summary(self, word: str) -> str:
        return (self.collection[word].__doc__ or "").strip().splitlines()[0]

    def _report(self, error: HomeworkError) -> int:
        from harness.terminal import red

        if self.debug:
            traceback.print_exc()
        first, *rest = str(error).splitlines()
        print(red(first, sys.stderr), *rest, sep="\n", file=sys.stderr)
        return error.code


def explain_parse_error(error: ParseError, collection: invoke.Collection) -> WordsError:
    """Turn invoke's words for a mistake into what, why and what to do, with the nearest known word."""
    unknown = re.match(r"No idea what '(.*)' is!", str(error))
    context = error.context
    word = context.name if context else None
    if not unknown:
        return WordsError(str(error).replace("Flag <Argument: ", "<Argument: "), "", f"See ./inv {word} --help")
    given = unknown.group(1)
    if context and word and given.startswith("-"):
        known, where, see = list(context.flags), f"an option of {word}", f"./inv {word} --help"
    else:
        known, where, see = list(collection.task_names), "a word of this program", "./inv --help"
    near = difflib.get_close_matches(given, known, n=1)
    return WordsError(
        f"{given}: no such {'option' if given.startswith('-') else 'word'}.",
        f"It is not {where}." + (f" Did you mean {near[0]}?" if near else ""),
        f"See {see}",
    )


def main(words: ModuleType) -> None:
    """The entry of `./inv`: a program of the tasks that the module `words` defines."""
    collection = invoke.Collection.from_module(words)
    Program(name="PaddleHomework", binary="inv", namespace=collection, version="0.1.0").run()
