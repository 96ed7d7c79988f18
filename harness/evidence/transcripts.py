"""Transcripts: a session's turns as JSON lines, each with the sha256 of itself and of the line before it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import VerificationError
from harness.evidence.hashing import read_json

FILE = "transcript.jsonl"
START = "0" * 64
TEXTS = ("question", "answer", "diff", "result", "output")


def append(folder: Path, turn: Mapping[str, Any], previous: str) -> str:
    """Write a turn behind the others; its sha256, which the next one needs, is returned."""
    line = {**turn, "previous": previous}
    line["sha256"] = _digest(line)
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return str(line["sha256"])


def read(folder: Path) -> list[dict[str, Any]]:
    """The turns, in order.

    Raises:
        VerificationError: a line was changed, left out or moved, or is no turn.
    """
    turns: list[dict[str, Any]] = []
    previous = START
    for number, text in enumerate((folder / FILE).read_text(encoding="utf-8").split("\n")[:-1], 1):
        line = read_json(text.encode())
        if not isinstance(line, dict) or not isinstance(line.get("turn"), int):
            raise VerificationError(f"{folder / FILE}: line {number} is no turn.")
        if not all(isinstance(line.get(name), str) for name in TEXTS):
            raise VerificationError(f"{folder / FILE}: line {number} lacks one of {', '.join(TEXTS)}.")
        if line.get("previous") != previous or line.get("sha256") != _digest(line):
            raise VerificationError(f"{folder / FILE}: line {number} was changed, or one before it is gone.")
        previous = line["sha256"]
        turns.append(line)
    return turns


def _digest(line: Mapping[str, Any]) -> str:
    content = {name: value for name, value in line.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def markdown(turns: list[dict[str, Any]]) -> str:
    """The conversation for a person to read, and to attach."""
    return "\n\n".join(
        f"## Turn {turn['turn']}: question\n\n{turn['question']}\n\n"
        f"## Turn {turn['turn']}: answer\n\n{turn['answer']}\n\n"
        f"## Turn {turn['turn']}: {turn['result']}\n\n{turn['output']}"
        for turn in turns
    )
