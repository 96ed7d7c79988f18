"""The board: what anyone ran, as one public page without a script: parts by hardware and version of Paddle, who signed
each run, and how to run it again.

Whatever records say is a stranger's: a record counts whole or not at all, its texts lose what turns or hides others,
and a signature is told only where it is over this very record.
"""

import contextlib
import hashlib
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from harness.catalogue.entries import Catalogue, Part
from harness.errors import DataFileError, VerificationError
from harness.evidence import records, signatures, statements
from harness.evidence.record import RecordData
from harness.evidence.sealed import RECORD, File, Sealed
from harness.points.matrix import LEGEND, MARKS, Column, Matrix, best
from harness.points.scoring import CellPoints
from harness.publish import report
from harness.publish.report.contents import NOT_TEXT

ADDRESS = "ADDRESS"  # of the store, where the page cannot know under which one it is read
LONGEST = 120  # characters of a stranger's text
MOST = 40  # models of a kind that a part shows, the best first
Read = Callable[[Sealed, File], bytes]  # a file of a record


@dataclass(frozen=True)
class Signature:
    """Who signed a record: a name from the organiser's list, else a key's print; or why nobody counts as such."""

    by: str = ""
    known: bool = False
    why: str = ""


@dataclass(frozen=True)
class Shown:
    """A run on the board."""

    cell: CellPoints
    sealed: Sealed
    record: RecordData
    signature: Signature

    @property
    def column(self) -> Column:
        return Column(self.cell.hardware, self.cell.paddle)


@dataclass(frozen=True)
class Board:
    """What a page is made from.

    Args:
        matrix: of these results, for the states.
        results: a folder shaped like results/; of records the manifests are enough.
        read: reads another file of a record, from wherever it is.
        signers: an allowed_signers file, whose names are then shown.
        address: where readers find the store.
    """

    matrix: Matrix
    catalogue: Catalogue
    results: Path
    read: Read
    signers: Path | None = None
    address: str = ""

    @cached_property
    def shown(self) -> Sequence[Shown]:
        """The runs whose records are whole, those of a part together, the best first."""
        order = list(MARKS)
        cells = [cell for cell in self.matrix.cells if cell.run and cell.hardware in self.catalogue.hardware]
        cells.sort(key=lambda cell: (-cell.points, order.index(cell.state)))
        counts: dict[tuple[str, str, str], int] = {}
        found = []
        for cell in cells:
            place = (cell.part, cell.hardware, cell.paddle)
            counts[place] = counts.get(place, 0) + 1
            if counts[place] <= MOST and (run := self._run(cell)):
                found.append(run)
        return found

    def _run(self, cell: CellPoints) -> Shown | None:
        sealed = Sealed(RECORD, f"{cell.part}/{cell.hardware}/{cell.run}")
        try:
            document = sealed.valid(self.results)
            files = {
                file.name: file for file in sealed.files((self.results / sealed.place / records.FILE).read_bytes())
            }
        except (DataFileError, VerificationError):
            return None
        record = cast(RecordData, document)
        return Shown(cell, sealed, record, self._signature(record, sealed, files))

    def _signature(self, record: RecordData, sealed: Sealed, files: dict[str, File]) -> Signature:
        names = (statements.FILE, statements.SIGNATURE)
        if not all(name in files for name in names):
            return Signature()
        with tempfile.TemporaryDirectory() as folder:
            statement, signature = (Path(folder) / name for name in names)
            try:
                for path in (statement, signature):
                    path.write_bytes(_whole(self.read(sealed, files[path.name]), files[path.name]))
            except (VerificationError, OSError):
                return Signature(why="its signature cannot be read")
            if not _states(statement, record):
                return Signature(why="what is signed is not what the record says")
            key, mistake = signatures.check(statement, signature)
            if mistake:
                return Signature(why=mistake)
            name = signatures.check(statement, signature, self.signers)[0] if self.signers else ""
            return Signature(by=name or key, known=bool(name))

    @property
    def columns(self) -> list[Column]:
        """A column for each kind and version of Paddle that ran, in the catalogue's order."""
        kinds = list(self.catalogue.hardware)
        return sorted({run.column for run in self.shown}, key=lambda each: (kinds.index(each.kind), _order(each)))


def page(board: Board) -> str:
    """The whole page."""
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(report.FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["harmless"] = harmless
    style = (report.FOLDER / "style.css").read_text(encoding="utf-8")
    columns, runs = board.columns, board.shown
    return environment.get_template("board.html").render(
        style=style,
        hash_of_style=report.hash_of(style),
        columns=[(board.catalogue.hardware[each.kind].title, each.paddle or "?") for each in columns],
        rows=[_row(part, columns, [run for run in runs if run.cell.part == part.name]) for part in _parts(board)],
        titles={name: kind.title for name, kind in board.catalogue.hardware.items()},
        commands=lambda run: list(_commands(run, board.address)),
        address=shlex.quote(board.address) if board.address else ADDRESS,
        marks=MARKS,
        legend=LEGEND.split("   "),
        signed=sum(bool(run.signature.by) for run in runs),
        count=len(runs),
        latest=max((run.record["times"]["started"][:10] for run in runs), default=""),
        left_out=len(board.matrix.damaged) + sum(bool(cell.run) for cell in _of_programs(board)) - len(runs),
        signers=board.signers is not None,
    )


def harmless(text: str) -> str:
    """A stranger's text without what moves, turns or hides other text, and no longer than a line bears."""
    plain = " ".join(NOT_TEXT.sub("", text).encode("utf-8", "replace").decode().split())
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"


def _of_programs(board: Board) -> Iterator[CellPoints]:
    return (cell for cell in board.matrix.cells if cell.hardware in board.catalogue.hardware)


def _parts(board: Board) -> list[Part]:
    return [part for part in board.matrix.parts.values() if part.program]


def _row(part: Part, columns: Sequence[Column], runs: Sequence[Shown]) -> dict[str, Any]:
    return {
        "part": part,
        "cells": [_cell([run for run in runs if run.column == each]) for each in columns],
        "runs": runs,
    }


def _cell(runs: Sequence[Shown]) -> dict[str, Any]:
    """A part on a kind with a version: the state that speaks for all of its models."""
    if not runs:
        return {}
    chosen = best([run.cell for run in runs])
    return {"state": chosen.state, "models": len(runs), "signed": any(run.signature.by for run in runs)}


def _commands(run: Shown, address: str) -> Iterator[str]:
    """What runs it again, in a clone of the project."""
    program, place = run.record["program"], run.cell
    if program["revision"]:
        changed = "" if program["clean"] else "   # and changes that it does not have"
        yield f"git checkout {shlex.quote(harmless(program['revision']))}{changed}"
    yield f"./inv download --from {shlex.quote(address) if address else ADDRESS} --task {place.part}"
    yield f"./inv verify {place.run}"
    yield f"./inv reproduce {place.run}"


def _order(column: Column) -> tuple[Any, ...]:
    """Versions in their order, then what is none, then those that a record does not say."""
    from packaging.version import InvalidVersion, parse

    try:
        return 0, parse(column.paddle or "")
    except InvalidVersion:
        return 1 if column.paddle else 2, column.paddle or ""


def _states(statement: Path, record: RecordData) -> bool:
    with contextlib.suppress(ValueError, RecursionError):
        return statements.states(statement.read_bytes(), record)
    return False


def _whole(content: bytes, file: File) -> bytes:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise VerificationError(f"{file.name}: changed.", "Its hash is another.", "Fetch it again.")
    return content
