"""Completion: what can stand next on the command line."""

import re

import invoke

from harness.cli import commands
from harness.errors import UsageError, did_you_mean

SCRIPTS = {
    "bash": """\
_paddlehomework() {
    COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}")" -- "$2") )
}
complete -o default -o nosort -F _paddlehomework inv ./inv invoke""",
    "zsh": """\
_paddlehomework() { reply=( $("${words[1]}" --complete -- "${words[2,CURRENT][@]}") ) }
compctl -K _paddlehomework + -f inv ./inv invoke""",
    "fish": """\
function __paddlehomework
    set --local words (commandline --tokenize --cut-at-cursor) (commandline --current-token)
    $words[1] --complete -- $words[2..]
end
complete --command inv --keep-order --no-files --arguments '(__paddlehomework)'
complete --command invoke --keep-order --no-files --arguments '(__paddlehomework)'""",
}


def script(shell: str) -> str:
    """The lines that a shell sources.

    Raises:
        UsageError: there is no script for that shell.
    """
    if shell not in SCRIPTS:
        raise UsageError(
            f"{shell or 'No shell'}: no completion for this shell.",
            f"There is one for {', '.join(SCRIPTS)}.{did_you_mean(shell, SCRIPTS)}",
            "Write ./inv --print-completion-script bash",
        )
    return SCRIPTS[shell]


def candidates(line: str, collection: invoke.Collection) -> list[str]:
    """What can stand at the end of `line` (what is typed so far; its last word may be unfinished or empty)."""
    *typed, last = line.split(" ")
    names = sorted(collection.task_names)
    name = next((each for each in typed if each in names), None)
    if name is None:
        return [*names, "help", "version", "--help", "--list", "--debug"] if "help" not in typed else names
    arguments = {argument.written: argument for argument in commands.arguments(collection[name])}
    before = arguments.get(typed[-1])
    if before and not before.flag and not before.option.operand:
        return _with_commas(before.option.offered(typed), last)
    alone = next((each for each in arguments.values() if each.bare or each.option.operand), None)
    if alone and alone.option.handed_on:
        found = re.finditer(
            r"^  (--[\w-]+)(?: {(.*)})?", alone.option.more() if alone.option.more else "", re.MULTILINE
        )
        declared = {each[1]: each[2] for each in found}
        return declared[typed[-1]].split(",") if declared.get(typed[-1]) else [*declared, "--help"]
    flags = [each.written for each in arguments.values() if not each.option.operand]
    return [*flags, "--help", "--debug", *(_with_commas(alone.option.offered(typed), last) if alone else [])]


def _with_commas(values: list[str], last: str) -> list[str]:
    """`--task 1,<TAB>` goes on behind the comma."""
    done = last.rpartition(",")[0]
    return [f"{done},{value}" for value in values] if done else values
