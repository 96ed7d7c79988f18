"""The options and operands of the commands, each declared once: its help, what it may be, and what completes it.

A command of tasks.py takes one by annotation and adds its own default: `task: options.Parts = "all"`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from harness.checkout import ROOT
from harness.errors import UsageError

SERVER_OPTIONS = ROOT / "projects" / "10-optimised-inference" / "server_options.py"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a command, or its operand.

    Args:
        choices: the values that it may have, if these are few.
        values: what completion offers, given the arguments typed so far; `choices` where it is left out.
        must: refuses a value that cannot be meant, given how the option is written and the value.
        default: of an operand that may be left out; an option's is its parameter's.
        repeated: whether it may be given again.
        operand: whether it stands alone, without a name before it.
        several: whether the operand is a list.
        handed_on: whether it is all that stands behind the command, handed on to a program as it stands.
        more: what help adds below: the options of such a program.
    """

    help: str
    choices: tuple[str, ...] = ()
    values: Callable[[Sequence[str]], Iterable[str]] | None = None
    must: Callable[[str, str], None] | None = None
    default: str | None = None
    repeated: bool = False
    operand: bool = False
    several: bool = False
    handed_on: bool = False
    more: Callable[[], str] | None = None

    def read(self, name: str, value: Any) -> Any:
        """The value for the command: as it is typed, or the list that is within.

        Raises:
            UsageError: it is none of the choices, or cannot be meant.
        """
        written = name.upper() if self.operand else f"--{name}"
        if self.handed_on:
            return value.split("\0")[1:]
        several = value.split("\n") if self.several and value else []
        for each in several or [value]:
            if self.choices and each not in self.choices:
                known = f"Known: {', '.join(self.choices)}."
                raise UsageError(f"{written} {each}: not known.", known, "Choose one of these.")
            if self.must and each:
                self.must(written, each)
        return several if self.several else value

    def offered(self, typed: Sequence[str]) -> list[str]:
        """What completion offers behind `typed`."""
        return list(dict.fromkeys(self.values(typed))) if self.values else list(self.choices)


def one_of(*choices: str, help: str = "") -> Option:
    """An option whose values are few."""
    return Option(help=help or f"{', '.join(choices[:-1])} or {choices[-1]}", choices=choices)


# What is refused


def _file(why: str, remedy: str) -> Callable[[str, str], None]:
    def must(written: str, value: str) -> None:
        if not Path(value).expanduser().is_file():
            raise UsageError(f"{written} {value}: no such file.", why, remedy)

    return must


def _written_file(written: str, value: str) -> None:
    path = Path(value).expanduser().absolute()
    if not path.parent.is_dir():
        raise UsageError(f"{written} {value}: no such folder.", f"{path.parent} is not there.", "Make it first.")
    if path.is_dir():
        raise UsageError(f"{written} {value}: it is a folder.", "A file is written.", "Name a file in it.")


def _pack(written: str, value: str) -> None:
    if value.endswith(".zip"):
        _file("It is a pack, made by ./inv pack.", "Name a pack that is there.")(written, value)


def _known_stack(written: str, value: str) -> None:
    known = stacks([])
    if value not in known:
        remedy = f"Write docker/locks/{value}.in and run .venv/bin/python docker/locks/compile.py {value}"
        raise UsageError(f"{written} {value}: no such stack.", f"docker/locks/ has: {', '.join(known)}.", remedy)


def _paddles(written: str, value: str) -> None:
    from harness.catalogue import releases

    releases.load().select(value)


def _measured(written: str, value: str) -> None:
    known = measurements([])
    for name in value.split(","):
        if name not in known:
            raise UsageError(f"{written} {name}: not known.", f"Known: {', '.join(known)}.", "Choose of these.")


# What completes


def parts(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import entries

    parts = entries.load().parts.values()
    yield from ("all", *(part.name for part in parts), *(part.slug.partition("-")[2] for part in parts))


def _named_parts(typed: Sequence[str]) -> Sequence[Any]:
    """The parts that --task names, as far as it does."""
    from harness.catalogue import cells, entries

    named = re.search(r"--task[ =]+(\S+)", " ".join(typed))
    try:
        return cells.select_parts(entries.load(), named.group(1) if named else "all")
    except UsageError:
        return []


def settings(typed: Sequence[str]) -> Iterator[str]:
    return (f"{name}=" for part in _named_parts(typed) for name in part.parameters)


def profiles(typed: Sequence[str]) -> Iterator[str]:
    return (name for part in _named_parts(typed) for name in part.profiles)


def kinds(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import entries

    kinds = entries.load().hardware.values()
    yield from ("auto", "all", *(name for kind in kinds for name in (kind.name, *kind.aliases)))


def places(typed: Sequence[str]) -> Iterator[str]:
    from harness.dispatch.registry import schedulers
    from harness.engines.choosing import engines

    yield from ("auto", *engines(), *schedulers(), *(f"slurm:{engine}" for engine in engines()))


def stacks(typed: Sequence[str]) -> list[str]:
    return sorted(path.stem for path in (ROOT / "docker" / "locks").glob("*.txt"))


def runs(typed: Sequence[str]) -> list[str]:
    from harness import checkout
    from harness.evidence import sealed

    return ["latest", *sorted(Path(run.path).name for _, _, run in sealed.folders(checkout.ROOT / "results"))[-50:]]


def paddles(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import releases

    yield from (*releases.load().listed, "all")


def measurements(typed: Sequence[str]) -> Sequence[str]:
    from harness.cli import tools

    return ("all", *tools.measurements())


# What help adds


def _measurements() -> str:
    from harness.cli import tools

    found = tools.measurements()
    width = max(map(len, found), default=0)
    return "\n".join(["Programs of bench/", *(f"  {name:<{width}}  {each.summary}" for name, each in found.items())])


def _server_options() -> str:
    from harness.cli import tools

    return tools.options_of(SERVER_OPTIONS)


# The options

Parts = Annotated[str, Option(help="number, part or slug (4, 8-2, plate), several with commas, or all", values=parts)]
Kinds = Annotated[
    str,
    Option(help="names or aliases, several with commas, or auto: what this machine has", values=kinds),
]
Place = Annotated[
    str,
    Option(help="engine: auto, container, local; a job per cell: slurm, slurm:container, kubernetes", values=places),
]
Settings = Annotated[
    Sequence[str] | None,
    Option(help="a parameter of the part: NAME=VALUE; may be given again", values=settings, repeated=True),
]
Profile = Annotated[str, Option(help="a named set of parameters, e.g. full", values=profiles)]
Stack = Annotated[str, Option(help="which lock goes in: base, science", values=stacks, must=_known_stack)]
Paddle = Annotated[
    str,
    Option(
        help="versions of Paddle, several with commas, or all listed ones; any other 3.x runs as unlisted",
        values=paddles,
        must=_paddles,
    ),
]
Store = Annotated[str, Option(help="a folder, s3://BUCKET/PREFIX, or a name from store.yaml")]
Measurements = Annotated[
    str,
    Option(
        help="all, or several with commas: the programs of bench/, listed below",
        values=measurements,
        must=_measured,
        more=_measurements,
    ),
]

Format = Annotated[str, one_of("table", "json")]
MatrixFormat = Annotated[str, one_of("table", "markdown", "json", "html")]
RunFormat = Annotated[
    str, one_of("table", "json", "bare", help="table, json: the records' paths as the last line, or bare: no matrix")
]

Key = Annotated[
    str,
    Option(
        help="an SSH key that signs what is made",
        must=_file("It is a private SSH key.", "Make one: ssh-keygen -t ed25519"),
    ),
]
Signers = Annotated[
    str,
    Option(
        help="an allowed_signers file (man ssh-keygen): every record, or the pack, must be signed by one of them",
        must=_file("It has a line for each signer: NAME KEY.", "man ssh-keygen, under ALLOWED SIGNERS, shows one."),
    ),
]
Tests = Annotated[
    str,
    Option(
        help="a Python file of unittest cases or test_ functions",
        must=_file("The code is run against it.", "Name a Python file."),
    ),
]
Wheels = Annotated[str, Option(help="a folder of own wheels, asked before any index")]
Sources = Annotated[str, Option(help="a folder of own sources for --source, instead of the repository")]
PackFile = Annotated[str, Option(help="the file; homework-TASK.zip where it is left out", must=_written_file)]
PageFile = Annotated[str, Option(help="the file to write", must=_written_file)]

Run = Annotated[str, Option(help="a run id, a prefix of one, or latest", values=runs, operand=True, default="latest")]
RunOrPack = Annotated[
    str,
    Option(
        help="a run id, a prefix of one, latest, all, or a pack: FILE.zip",
        values=runs,
        must=_pack,
        operand=True,
        default="all",
    ),
]
RunOrReference = Annotated[
    str,
    Option(help="a run id, a prefix of one, latest, or reference/PART", values=runs, operand=True, default="latest"),
]
Runs = Annotated[str, Option(help="runs instead, with commas: ids, prefixes or latest", values=runs)]
Evidence = Annotated[
    Sequence[str], Option(help="addresses and files, one or several", operand=True, default="", several=True)
]
Attachment = Annotated[str, Option(help="its id, or the beginning of it", operand=True)]
Question = Annotated[str, Option(help="what the code should do, in quotes", operand=True, default="")]
Program = Annotated[
    Sequence[str],
    Option(help="a file of projects/, and its own arguments behind it", operand=True, handed_on=True, default=""),
]
ServerArguments = Annotated[
    Sequence[str], Option(help="its own options", operand=True, handed_on=True, default="", more=_server_options)
]
