"""Completion: what can stand next on the command line."""

from collections.abc import Iterator
from pathlib import Path

import invoke

from harness.errors import WordsError

SCRIPTS = {
    "bash": """\
_paddlehomework() {
    COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}")" -- "$2") )
}
complete -o default -F _paddlehomework inv ./inv invoke""",
    "zsh": """\
_paddlehomework() { reply=( $("${words[1]}" --complete -- "${words[2,CURRENT][@]}") ) }
compctl -K _paddlehomework + -f inv ./inv invoke""",
    "fish": """\
function __paddlehomework
    set --local words (commandline --tokenize --cut-at-cursor) (commandline --current-token)
    $words[1] --complete -- $words[2..]
end
complete --command inv --no-files --arguments '(__paddlehomework)'
complete --command invoke --no-files --arguments '(__paddlehomework)'""",
}


def script(shell: str) -> str:
    """The lines that a shell sources.

    Raises:
        WordsError: there is no script for that shell.
    """
    if shell not in SCRIPTS:
        raise WordsError(
            f"{shell}: no completion for this shell.",
            f"There is one for {', '.join(SCRIPTS)}.",
            "Write ./inv --print-completion-script bash",
        )
    return SCRIPTS[shell]


def candidates(line: str, collection: invoke.Collection) -> list[str]:
    """What can stand at the end of `line` (the words typed so far; the last may be unfinished or empty)."""
    *before, last = line.split(" ")
    words = sorted(collection.task_names)
    word = next((each for each in before if each in words), None)
    if word is None:
        return [*words, "--help", "--list", "--debug"]
    if before[-1].startswith("-"):
        values = list(_values(before[-1], before))
        if values:
            return _with_commas(values, last)
    flags = [flag for argument in collection[word].get_arguments() for flag in _flags(argument)]
    return [*flags, "--help", "--debug", *(_runs() if word in ("show", "verify") else [])]


def _flags(argument: invoke.Argument) -> list[str]:
    return [] if argument.positional else [f"--{argument.names[0]}"]


def _values(option: str, before: list[str]) -> Iterator[str]:
    from harness.catalogue import entries
    from harness.dispatch.registry import schedulers
    from harness.engines.choosing import engines

    book = entries.load()
    if option == "--task":
        yield from ("all", *book.parts, *(part.slug.partition("-")[2] for part in book.parts.values()))
    elif option == "--hw":
        yield from ("auto", "all", *(name for kind in book.hardware.values() for name in (kind.name, *kind.aliases)))
    elif option == "--on":
        yield from ("auto", *engines(), *schedulers(), *(f"slurm:{engine}" for engine in engines()))
    elif option == "--format":
        yield from ("table", "markdown", "json", "html") if "matrix" in before else ("table", "json")
    elif option == "--profile":
        yield from dict.fromkeys(profile for part in book.parts.values() for profile in part.profiles)
    elif option == "--set":
        yield from dict.fromkeys(f"{name}=" for part in book.parts.values() for name in part.parameters)


def _with_commas(values: list[str], last: str) -> list[str]:
    """`--task 1,<TAB>` goes on behind the comma."""
    done = last.rpartition(",")[0]
    return [f"{done},{value}" for value in values] if done else values


def _runs() -> list[str]:
    from harness.checkout import ROOT
    from harness.evidence import sealed

    return ["latest", *sorted(Path(run.path).name for _, _, run in sealed.folders(ROOT / "results"))[-50:]]
