"""The options and operands of the commands, each declared once.

A command of tasks.py takes one by annotation and adds its own default: `task: options.Parts = "all"`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from harness.cli import values
from harness.cli.commands import Option


def one_of(*choices: str, help: str = "") -> Option:
    """An option whose values are few."""
    return Option(help=help or f"{', '.join(choices[:-1])} or {choices[-1]}", choices=choices)


def path(text: str) -> Path | None:
    """The file that a person named; None where none is named."""
    return Path(text).expanduser() if text else None


Parts = Annotated[
    str,
    Option(
        help="number, part or slug (4, 8-2, plate), several with commas, or all",
        metavar="TASK",
        values=values.parts,
        listed=True,
    ),
]
PartOfEvidence = Annotated[
    str, Option(help="the part that they belong to: 6, 13-1", metavar="TASK", values=values.parts, must=values.one_name)
]
Kinds = Annotated[
    str,
    Option(
        help="names or aliases, several with commas, or auto: what this machine has",
        metavar="KIND",
        values=values.kinds,
        listed=True,
    ),
]
Kind = Annotated[str, Option(help="another kind to run it on", metavar="KIND", values=values.kinds)]
KindOfReference = Annotated[str, Option(help="the kind whose runs are taken", metavar="KIND", values=values.kinds)]
Place = Annotated[
    str,
    Option(
        help="engine: auto, container, local; a job per cell: slurm, slurm:container, kubernetes",
        metavar="WHERE",
        values=values.places,
        must=values.known_place,
    ),
]
Host = Annotated[
    str,
    Option(
        help="another machine to run on: ssh://user@box, or with port and folder: ssh://user@box:22/srv/homework",
        metavar="ADDRESS",
    ),
]
Settings = Annotated[
    Sequence[str] | None,
    Option(
        help="a parameter of the part, or several: --set pp=1 dp=2",
        metavar="NAME=VALUE...",
        values=values.settings,
        repeated=True,
    ),
]
Profile = Annotated[str, Option(help="a named set of parameters, e.g. full", metavar="NAME", values=values.profiles)]
Cards = Annotated[
    int,
    Option(
        help="how many cards, where the part takes several; on a CPU so many processes [the part's own]",
        at_least=1,
        at_most=4096,
    ),
]
Seed = Annotated[int, Option(help="seed of the random numbers [0]", at_most=2**32 - 1)]
Timeout = Annotated[
    str, Option(help="a longer time limit than the part's own: 2h, 90min, 600s", metavar="TIME", must=values.time)
]
Missing = Annotated[bool, Option(help="only what has no passing run here yet")]
Failed = Annotated[bool, Option(help="only what failed when it ran last")]
Verbose = Annotated[bool, Option(help="show the program's log as it comes; run.log keeps it in any case", short="-v")]
Repair = Annotated[
    bool, Option(help="read back what the store has of the records here, and put anew what is damaged or absent")
]
DryRun = Annotated[bool, Option(help="say what would be done, and do nothing")]

Stack = Annotated[
    str, Option(help="which lock goes in: base, science", metavar="NAME", values=values.stacks, must=values.known_stack)
]
Paddle = Annotated[
    str,
    Option(
        help="versions of Paddle, several with commas, or all listed ones; any other 3.x runs as unlisted",
        metavar="VERSION",
        values=values.paddles,
        must=values.known_paddles,
        listed=True,
    ),
]
Source = Annotated[bool, Option(help="build Paddle or its plug-in from source (hours) instead of taking the wheel")]
Base = Annotated[str, Option(help="the image to build on, instead of the kind's own", metavar="IMAGE")]
Wheels = Annotated[str, Option(help="a folder of own wheels, asked before any index", metavar="FOLDER")]
Log = Annotated[
    str, Option(help="explain a log instead: of a run, a build, an installation; - reads the input", metavar="FILE")
]
Sources = Annotated[
    str, Option(help="a folder of own sources for --source, instead of the repository", metavar="FOLDER")
]
Offline = Annotated[bool, Option(help="build without any network: the base, --wheels and --tree hold everything")]
Pin = Annotated[
    bool, Option(help="resolve the base's digest and the sources' commit, and keep them in docker/pins.json")
]
Twice = Annotated[bool, Option(help="build twice from nothing and compare the bytes")]
Push = Annotated[
    str, Option(help="push the image afterwards, under this name: registry and repository", metavar="NAME")
]

Format = Annotated[str, one_of("table", "json")]
MatrixFormat = Annotated[str, one_of("table", "markdown", "json", "html")]
RunFormat = Annotated[
    str,
    one_of("table", "json", "bare", help="table, json: the records' paths as the last line, or bare: no matrix"),
]
Explain = Annotated[bool, Option(help="say why a cell does not count")]
Stores = Annotated[
    str,
    Option(help="count the records of these stores instead, several with commas", metavar="STORE", listed=True),
]
Store = Annotated[str, Option(help="a folder, s3://BUCKET/PREFIX, or a name from store.yaml", metavar="STORE")]

Key = Annotated[
    str,
    Option(
        help="an SSH key that signs what is made",
        metavar="FILE",
        must=values.file("It is a private SSH key.", "Make one: ssh-keygen -t ed25519"),
    ),
]
ALLOWED_SIGNERS = values.file(
    "It has a line for each signer: NAME KEY.", "man ssh-keygen, under ALLOWED SIGNERS, shows one."
)
Signers = Annotated[
    str,
    Option(
        help="an allowed_signers file (man ssh-keygen): every record, or the pack, must be signed by one of them",
        metavar="FILE",
        must=ALLOWED_SIGNERS,
    ),
]
PackFile = Annotated[
    str,
    Option(help="the file; homework-TASK.zip where it is left out", metavar="FILE.zip", must=values.written(".zip")),
]
PageFile = Annotated[str, Option(help="the file to write", metavar="FILE.html", must=values.written(".html", ".htm"))]
Names = Annotated[
    str,
    Option(
        help="an allowed_signers file (man ssh-keygen), whose names are shown for their keys",
        metavar="FILE",
        must=ALLOWED_SIGNERS,
    ),
]
Board = Annotated[bool, Option(help="the public board, by the records of many; results/board.html unless --out")]
Address = Annotated[
    str,
    Option(
        help="where readers find the store, for the commands on the page; where --from is https://… that",
        metavar="ADDRESS",
        must=values.published,
    ),
]
Crate = Annotated[bool, Option(help="add Workflow-Run RO-Crate metadata")]

Run = Annotated[
    str, Option(help="a run id, a prefix of one, or latest", values=values.runs, operand=True, default="latest")
]
RunOrPack = Annotated[
    str,
    Option(
        help="a run id, a prefix of one, latest, all, or a pack: FILE.zip",
        values=values.runs,
        must=values.pack,
        operand=True,
        default="all",
    ),
]
RunOrReference = Annotated[
    str,
    Option(
        help="a run id, a prefix of one, latest, or reference/PART", values=values.runs, operand=True, default="latest"
    ),
]
Runs = Annotated[
    str,
    Option(help="runs instead, with commas: ids, prefixes or latest", metavar="RUN", values=values.runs, listed=True),
]
Reference = Annotated[bool, Option(help="hold the latest run of each against results/reference, metrics as well")]

Evidence = Annotated[
    Sequence[str],
    Option(
        help="addresses and files, one or several; without one, what is attached is listed",
        operand=True,
        default="",
        several=True,
    ),
]
EvidenceKind = Annotated[
    str,
    Option(
        help="photo, track, link, pull request, article or conversation; else what it looks like",
        choices=("photo", "track", "link", "pull request", "article", "conversation"),
    ),
]
Note = Annotated[str, Option(help="a sentence to go with it", metavar="TEXT")]
Day = Annotated[
    str, Option(help="the day that they show, YYYY-MM-DD; a photo's own where it is left out", metavar="DAY")
]
Zone = Annotated[str, Option(help="the time zone of a track's days; else what the file says, else this machine's")]
Radius = Annotated[
    str, Option(help="metres around home that the drawing of a track leaves out [500]", metavar="METRES")
]
AskAgain = Annotated[bool, Option(help="ask the addresses again that were not reached")]
Attachment = Annotated[str, Option(help="its id, or the beginning of it", operand=True)]

Question = Annotated[str, Option(help="what the code should do, in quotes", operand=True, default="")]
Endpoint = Annotated[
    str,
    Option(
        help="an OpenAI-compatible address, up to and with /v1; the key only from OPENAI_API_KEY", metavar="ADDRESS"
    ),
]
Model = Annotated[str, Option(help="the model's name at that endpoint", metavar="NAME")]
Tests = Annotated[
    str,
    Option(
        help="a Python file of unittest cases or test_ functions",
        metavar="FILE",
        must=values.file("The code is run against it.", "Name a Python file."),
    ),
]
CodeFile = Annotated[
    str, Option(help="what the code's file is called; solution.py where it is left out", metavar="NAME")
]
Turns = Annotated[int, Option(help="how many answers at most", at_least=1, at_most=1000)]
Continued = Annotated[
    str, Option(help="go on with a session that stopped: its id or the beginning of it", metavar="SESSION")
]

Program = Annotated[
    Sequence[str],
    Option(help="a file of projects/, and its own arguments behind it", operand=True, handed_on=True, default=""),
]
ServerArguments = Annotated[
    Sequence[str], Option(help="its own options", operand=True, handed_on=True, default="", more=values.about_server)
]
Freed = Annotated[
    str,
    Option(
        help="what to free: names that are listed, several with commas, or all",
        metavar="NAME",
        values=values.kept,
        must=values.known_kept,
        listed=True,
    ),
]
Once = Annotated[bool, Option(help="show them, and do not follow")]
Cancel = Annotated[bool, Option(help="cancel those that are not over")]

TestPaths = Annotated[
    str,
    Option(
        help="paths or pytest's own options, in quotes; else all, in two processes",
        metavar="WORDS",
        must=values.test_paths,
    ),
]
Fast = Annotated[bool, Option(help="leave out the tests that run real programs")]
Served = Annotated[bool, Option(help="show it at http://127.0.0.1:8000 and again when a text changes")]
Measurements = Annotated[
    str,
    Option(
        help="all, or several with commas: the programs of bench/, listed below",
        metavar="NAME",
        values=values.measurements,
        must=values.known_measurements,
        more=values.about_measurements,
        listed=True,
    ),
]
