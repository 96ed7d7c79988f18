"""Contents: what goes into a pack: the records that count, what a person attached, and the programs as they were."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from harness import checkout
from harness.catalogue.entries import OF_A_RUN, Catalogue, Part
from harness.checkout import ROOT
from harness.errors import VerificationError
from harness.evidence import attachments, hashing, records, screen, sessions
from harness.evidence.attachments import Attachment
from harness.evidence.record import RecordData
from harness.evidence.verdicts import NOT_JUDGED
from harness.points import matrix
from harness.points.scoring import EARNED, REHEARSED, WAITING

Content = bytes | Path  # of a file: what was made, or where it lies


@dataclass(frozen=True)
class Run:
    """A record that goes in, with the state that it has in the matrix."""

    folder: Path
    record: RecordData
    state: str

    @property
    def place(self) -> str:
        cell = self.record["cell"]
        return f"results/{cell['part']}/{cell['hardware']}/{self.record['id']}"


@dataclass
class Contents:
    """What goes into a pack, by part, and the content of every file by its name in it.

    Args:
        revision: the commit that the code is of; None: as it lies there.
        rules: the commit whose project.yaml files the cover is made by; None: they are not as committed.
    """

    parts: Sequence[Part]
    runs: dict[str, list[Run]]
    attached: dict[str, list[Attachment]]
    sessions: dict[str, list[Mapping[str, Any]]]
    revision: str | None = None
    rules: str | None = None
    files: dict[str, Content] = field(default_factory=dict)

    def missing(self) -> list[str]:
        """What the organisers ask for and is not here, a line each."""
        return [f"part {part.name}: {ask}" for part in self.parts for ask in self.missing_of(part)]

    def missing_of(self, part: Part) -> list[str]:
        return [ask for ask in part.submission if not self._has(part, ask)]

    def _has(self, part: Part, ask: str) -> bool:
        if ask in ("code", "picture") and any(session["passed"] for session in self.sessions[part.name]):
            return True
        if ask == "code":
            return any(name.startswith(f"code/projects/{part.slug}/") for name in self.files)
        if ask in OF_A_RUN:
            name = screen.FILE if ask == "picture" else records.LOG
            return any(name in run.record["artefacts"] for run in self.runs[part.name])
        return any(each.kind in ask.split(" or ") for each in self.attached[part.name])


def gather(catalogue: Catalogue, parts: Sequence[Part], results: Path) -> Contents:
    """Collect what goes in."""
    contents = evidence(catalogue, parts, results)
    contents.revision, code = _code(contents)
    contents.rules = checkout.last_commit([f"projects/{part.slug}/project.yaml" for part in parts])
    contents.files.update(code)
    return contents


def evidence(catalogue: Catalogue, parts: Sequence[Part], results: Path) -> Contents:
    """Collect what goes in of the results: records, attachments and sessions."""
    built = matrix.build(catalogue, results)
    attached, _ = attachments.standing(results)
    contents = Contents(
        parts,
        {part.name: [_run(results, cell) for cell in _counting(built, part.name)] for part in parts},
        {part.name: attached.get(part.name, []) for part in parts},
        {part.name: _sessions(results, attached.get(part.name, [])) for part in parts},
    )
    for run in (run for runs in contents.runs.values() for run in runs):
        contents.files.update(_files(run.folder, run.place))
    for each in (each for found in contents.attached.values() for each in found):
        contents.files.update(_files(each.folder, f"results/attached/{each.data['part']}/{each.id}"))
    for session in (session for found in contents.sessions.values() for session in found):
        place = sessions.place(session)
        contents.files.update(_files(results / place, f"results/{place}"))
    return contents


def _counting(built: matrix.Matrix, part: str) -> list[Any]:
    """The cells whose runs are submitted: those that earn, else those that wait, rehearse, or are not judged."""
    for state in (EARNED, WAITING, REHEARSED, NOT_JUDGED):
        found = [cell for cell in built.cells if (cell.part, cell.state) == (part, state)]
        earning = [cell for cell in found if cell.points or state != EARNED]
        if earning:
            return [cell for cell in earning if cell.hardware != matrix.PERSON.name]
    return []


def _run(results: Path, cell: Any) -> Run:
    folder = results / cell.part / cell.hardware / cell.run
    record = records.read(folder / records.FILE)
    if hashing.hash_files(folder) != record["artefacts"]:
        raise VerificationError(
            f"{folder}: its files are not those of its run.",
            "What is handed in is what ran.",
            f"./inv verify {cell.run}",
        )
    return Run(folder, record, cell.state)


def _sessions(results: Path, attached: Sequence[Attachment]) -> list[Mapping[str, Any]]:
    """The pairing sessions that attachments are of, and those that they continue, in the order of their ids."""
    found: dict[str, Mapping[str, Any]] = {}
    for each in (each for each in attached if "session" in each.data):
        named, part = each.data["session"], each.data["part"]
        lineage = sessions.lineage(results / sessions.FOLDER / part / named["id"])
        if lineage[-1]["seal"] != named["seal"]:
            raise VerificationError(
                f"{each.id}: its pairing session {named['id']} went on after it was attached.",
                "What is attached is not all of it.",
                f"./inv detach {each.id}, and attach the session's conversation.md again.",
            )
        found |= {session["id"]: session for session in lineage}
    return [found[name] for name in sorted(found)]


def _files(folder: Path, place: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise VerificationError(f"{path}: it is a link.", "A pack holds files only.", "Run that cell again.")
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != hashing.LOCK:  # which is no part of what is sealed
            yield f"{place}/{name}", path


# Code


def _code(contents: Contents) -> tuple[str | None, Mapping[str, Content]]:
    """The programs and their locks: as committed where the runs say which commit, else as they lie here."""
    wanted = sources(contents)
    revision = revision_of(contents)
    if wanted and revision:
        committed = checkout.files_at(revision, wanted)
        if committed:
            return revision, {f"code/{name}": content for name, content in committed.items()}
    return None, dict(_lying_here(wanted))


def revision_of(contents: Contents) -> str | None:
    """The commit that all runs were of; None where there are several, or uncommitted changes."""
    programs = [run.record["program"] for runs in contents.runs.values() for run in runs]
    revisions = {program["revision"] if program["clean"] else None for program in programs}
    return revisions.pop() if len(revisions) == 1 else None


def sources(contents: Contents) -> list[str]:
    """What of a checkout goes in: the folders and locks of the parts that have runs."""
    return sorted({path for part in contents.parts if contents.runs[part.name] for path in _sources(part)})


def _sources(part: Part) -> list[str]:
    lock = [f"docker/locks/{part.stack}.txt"] if part.stack else []
    return [*part.folders, *lock]


def _lying_here(wanted: Sequence[str]) -> Iterator[tuple[str, Path]]:
    for name in wanted:
        place = ROOT / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                yield f"code/{path.relative_to(ROOT).as_posix()}", path


# Content


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def opened(content: Content) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
