"""Known symptoms: what stands in the log of something that failed, why, and what to do; data of hardware/."""

import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.checkout import ROOT

MOST = 3  # more explanations than that explain nothing
END_BYTES = 2**20  # of a log's beginning and of its end, which are searched
LINE = 200
NO_TEXT = re.compile(r"\x1b\[[\d;]*m|\r(?=\n)")  # colours, and the line ends of Windows
LONG = re.compile(r"[^\n]{500}(?=[^\n])")  # a progress bar's line has no end, and patterns look as far as one


@dataclass(frozen=True)
class Explanation:
    """A known symptom in a log: the line that shows it, and what is said of it."""

    line: str
    cause: str
    remedy: str
    source: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def explain(text: str, kinds: Iterable[str], root: Path = ROOT) -> list[Explanation]:
    """What is known of the symptoms in a log, in the order of the log: what came first brought on the rest.

    A line is explained once: by a kind that the log names before one that it does not, by those before every kind's.

    Raises:
        DataFileError: a file of symptoms is not valid.
    """
    text = LONG.sub("\\g<0>\n", NO_TEXT.sub("", text))
    documents = [_document(path, root) for path in files(kinds, root)]
    documents.sort(key=lambda each: not re.search(each.get("named", r"\b\B"), text))
    lines: dict[int, tuple[bool, Explanation]] = {}
    for symptom in (symptom for document in documents for symptom in document["symptoms"]):
        match = re.search(symptom["pattern"], text, re.MULTILINE)
        if match:
            told = Explanation(_line(text, match), symptom["cause"], symptom["remedy"], symptom["sources"][0])
            lines.setdefault(_start(text, match), (symptom.get("follows", False), told))
    causes: dict[str, Explanation] = {}
    for _, (_, told) in sorted(lines.items(), key=lambda each: (each[1][0], each[0])):
        causes.setdefault(told.cause, told)
    return list(causes.values())[:MOST]


@cache
def _document(path: Path, root: Path) -> dict[str, Any]:
    document, _ = datafiles.read(path, root)
    return dict(document)


def files(kinds: Iterable[str], root: Path = ROOT) -> list[Path]:
    """The files of symptoms of these kinds, and the one of every kind."""
    folder = root / "hardware"
    named = [folder / name / "symptoms.yaml" for name in kinds]
    return [path for path in (*named, folder / "symptoms.yaml") if os.path.lexists(path)]


def read_log(path: Path) -> str:
    """A log's beginning and its end."""
    with path.open("rb") as file:
        head = file.read(END_BYTES)
        size = file.seek(0, 2)
        file.seek(max(len(head), size - END_BYTES))
        return (head + file.read(END_BYTES)).decode("utf-8", "replace")


def _start(text: str, match: re.Match[str]) -> int:
    return text.rfind("\n", 0, match.start()) + 1


def _line(text: str, match: re.Match[str]) -> str:
    line = text[_start(text, match) :].partition("\n")[0].strip()
    return line if len(line) <= LINE else line[: LINE - 1] + "…"
