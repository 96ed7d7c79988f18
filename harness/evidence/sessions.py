"""Sessions: what a person and a model did together, sealed, as it lies in the results.

results/pairing/<part>/<id>/     session.json (sealed), transcript.jsonl, conversation.md, turn-N.png, code/

A session is no attachment: it earns nothing until the person attaches it as their own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataFileError, UsageError, VerificationError
from harness.evidence import sealed, transcripts
from harness.evidence.sealed import SESSION

FOLDER = SESSION.under
FILE = SESSION.manifest
CONVERSATION = "conversation.md"
GOOD = "It passed"


def find(sessions: Path, prefix: str) -> Path:
    """The folder of the session whose id begins with `prefix`.

    Raises:
        UsageError: none or several begin so.
    """
    there = sorted(path.parent.name for path in sessions.glob(f"*/{FILE}"))
    matching = [name for name in there if name.startswith(prefix)]
    if len(matching) != 1:
        what = f"{len(matching)} sessions begin so" if matching else "no such session"
        shown = ", ".join((matching or there)[-10:]) or "none"
        raise UsageError(
            f"--continue {prefix}: {what}.", f"There are: {shown}.", "Write a session's id, or more of it."
        )
    return sessions / matching[0]


def place(session: Mapping[str, Any]) -> str:
    """Where a session stands, below results/."""
    return sealed.of_document(SESSION, session).place


def lineage(folder: Path) -> list[dict[str, Any]]:
    """The session in `folder`, and before it those that it continues, the oldest first.

    Raises:
        VerificationError: one of them is not as it was sealed.
    """
    sessions = [read(folder)]
    while "continues" in sessions[0]:
        sessions.insert(0, read(folder.with_name(sessions[0]["continues"]["id"])))
    return sessions


def read(folder: Path) -> dict[str, Any]:
    """The session in `folder`.

    Raises:
        VerificationError: it is not as it was sealed.
    """
    if found := verify(folder):
        shown = "\n".join(found[:5])
        raise VerificationError(
            f"{folder.name}: this session is not as it was sealed.", shown,
            "Fetch it where it is whole (./inv download), or begin a new one with ./inv pair.",
        )  # fmt: skip
    return dict(json.loads((folder / FILE).read_bytes()))


def verify(folder: Path) -> list[str]:
    """Everything about a session that is not as it says, a line each: its seal, its files, its chain of turns."""
    results, here = sealed.of_folder(SESSION, folder)
    try:
        document = here.valid(results)
    except DataFileError as error:
        return [str(error).replace("\n", " ")]
    found = here.differences(results, document)
    try:
        turns = transcripts.read(folder)
        told = (folder / CONVERSATION).read_bytes() == transcripts.markdown(turns).encode()
    except (OSError, ValueError, RecursionError) as error:
        return [*found, f"{folder}: not readable: {error}"]
    except VerificationError as error:
        return [*found, str(error).replace("\n", " ")]
    if len(turns) != document["turns"]:
        found.append(f"{folder / FILE}: it says {document['turns']} turns, and there are {len(turns)}")
    elif document["passed"] != (turns[-1]["result"] == GOOD):
        found.append(f"{folder / FILE}: whether it passed is not what its last turn says")
    if not told:
        found.append(f"{folder / CONVERSATION}: it is not what the transcript says")
    lacking = [name for name in document["tests"] if f"code/{name}" not in document["artefacts"]]
    found += [f"{folder}: its tests {name} are missing" for name in lacking]
    return found + (absent(folder.parent, document["continues"]) if "continues" in document else [])


def absent(sessions: Path, named: Mapping[str, str]) -> list[str]:
    """A line if the session that is named by id and seal is not in the folder `sessions`."""
    path = sessions / named["id"] / FILE
    try:
        if json.loads(path.read_bytes())["seal"] == named["seal"]:
            return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return [f"{path}: missing, or not the session with the seal {named['seal']}"]
