"""The report: every cell and run as one HTML page that needs no network, from page.html, style.css and two scripts.

Each run lies in the page as a compressed block that is opened when a person looks at it, so that a thousand runs open
as quickly as ten. The latest run of each cell brings its log and pictures; older ones do while there is room.
"""

import base64
import gzip
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalogue.entries import TIMED, Catalogue, Part
from harness.errors import DataFileError
from harness.evidence import attachments, records, sealed
from harness.evidence.attachments import Attachment
from harness.evidence.record import RecordData
from harness.evidence.verdicts import verdict_of
from harness.points.matrix import LEGEND, MARKS, PERSON, Column, Matrix, best, cells_of, plain, points, sum_line
from harness.points.scoring import CellPoints
from harness.publish.report import contents
from harness.publish.report.attached import shown
from harness.publish.titles import OF_EVERY_RUN

FOLDER = Path(__file__).parent
ROOM = 24 * 2**20  # bytes for logs and pictures, compressed


@dataclass(frozen=True)
class Run:
    folder: Path
    record: RecordData

    @property
    def cell(self) -> tuple[str, str]:
        return self.record["cell"]["part"], self.record["cell"]["hardware"]


def page(matrix: Matrix, catalogue: Catalogue, results: Path, room: int = ROOM) -> str:
    """The whole page.

    Args:
        matrix: of these results, for states and points.
        catalogue: parts and kinds.
        results: the folder of records; damaged ones are named on the page, and not shown.
        room: bytes that logs, pictures and traces may take; beyond them, older runs go without.
    """
    from jinja2 import Environment, FileSystemLoader

    runs = list(_runs(results, catalogue))
    attached, _ = attachments.standing(results)  # the matrix names what is damaged
    style, script = _text("style.css"), _text("charts.js") + _text("page.js")
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template("page.html").render(
        style=style,
        script=script,
        hash_of_style=hash_of(style),
        hash_of_script=hash_of(script),
        rows=[_row(matrix, part, runs, attached.get(part.name, [])) for part in matrix.parts.values()],
        columns=[(str(each), {**catalogue.hardware, PERSON.name: PERSON}[each.kind].title) for each in matrix.columns],
        marks=MARKS,
        sum=sum_line(matrix.tally, str),
        legend=LEGEND.split("   "),
        damaged=matrix.damaged,
        index=_index(catalogue, runs),
        blocks=_blocks(runs, room),
        count=len(runs),
    )


def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """For a page's own policy: a browser runs this script and no other."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _runs(results: Path, catalogue: Catalogue) -> Iterator[Run]:
    """Every run of a known cell whose record is whole, the latest first."""
    entries = [entry for part, kind, entry in sealed.folders(results) if part in catalogue.parts]
    for entry in sorted(entries, key=lambda each: each.name, reverse=True):
        try:
            run = Run(Path(entry.path), records.read(Path(entry.path) / records.FILE))
            if run.cell[1] in catalogue.hardware and (*run.cell, run.record["id"]) == run.folder.parts[-3:]:
                yield run
        except (DataFileError, KeyError, TypeError):
            continue  # the matrix names it as damaged


# The matrix, and the headings of the parts


def _row(matrix: Matrix, part: Part, runs: Sequence[Run], attached: Sequence[Attachment]) -> dict[str, Any]:
    own = [run for run in runs if run.cell[0] == part.name]
    return {
        "part": part,
        "points": points(matrix, part),
        "attached": list(shown(part, [cell for cell in matrix.cells if cell.part == part.name], attached)),
        "cells": [
            _cell(column, cells, [run for run in own if _in(run, column)]) if cells else {"kind": column.kind}
            for column, cells in ((column, cells_of(matrix, part.name, column)) for column in matrix.columns)
        ],
    }


def _in(run: Run, column: Column) -> bool:
    return run.cell[1] == column.kind and column.paddle in (None, records.paddle_version(run.record))


def _cell(column: Column, cells: Sequence[CellPoints], runs: Sequence[Run]) -> dict[str, Any]:
    chosen = best(cells)
    return {
        "name": f"{chosen.part}-{column}".replace(" ", "-"),
        "title": str(column),
        "paddle": column.paddle or "",
        "kind": chosen.hardware,
        "state": chosen.state,
        "text": plain(cells),
        "models": [cell for cell in cells if cell.run],
        "runs": len(runs),
        "passed": any(run.record["passed"] for run in runs),
    }


def _index(catalogue: Catalogue, runs: Sequence[Run]) -> dict[str, Any]:
    """What the script knows before it opens a block."""
    return {
        "kinds": {name: kind.title for name, kind in catalogue.hardware.items()},
        "metrics": {
            name: {
                **{each: {"unit": "", "help": title, "timed": False} for each, title in OF_EVERY_RUN.items()},
                **{
                    metric.name: {"unit": metric.unit, "help": metric.help, "timed": bool(TIMED.fullmatch(metric.unit))}
                    for metric in part.metrics.values()
                },
            }
            for name, part in catalogue.parts.items()
        },
        "runs": [
            {
                "id": run.record["id"],
                "part": run.cell[0],
                "kind": run.cell[1],
                "model": run.record["hardware"]["model"],
                "started": run.record["times"]["started"],
                "seconds": run.record["times"]["seconds"],
                "paddle": records.paddle_version(run.record),
                "verdict": verdict_of(run.record),
                "like": _alike(run.record),
            }
            for run in runs
        ],
    }


def _alike(record: RecordData) -> str:
    """The same for runs of a part that may be held against each other."""
    return json.dumps([record["parameters"], record["seed"]], sort_keys=True)


# The runs


def _blocks(runs: Sequence[Run], room: int) -> Iterator[tuple[str, str]]:
    """(id, compressed data) of each run: the latest passing, or latest, of each cell first, for it needs its log."""
    for number, run in enumerate(_by_weight(runs), start=1):
        if sys.stderr.isatty() and number % 100 == 0:
            print(f"\r{number} of {len(runs)} runs", end="\n" if number + 100 > len(runs) else "", file=sys.stderr)
        data = contents.light(run.record)
        if room > 0:
            full = _packed({**data, **contents.heavy(run.folder, run.record)})
            if len(full) <= room:
                room -= len(full)
                yield run.record["id"], full
                continue
        yield run.record["id"], _packed(data)


def _by_weight(runs: Sequence[Run]) -> list[Run]:
    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        shown = first.setdefault(run.cell, run)
        if run.record["passed"] and not shown.record["passed"]:
            first[run.cell] = run
    chosen = {run.record["id"] for run in first.values()}
    return [*first.values(), *(run for run in runs if run.record["id"] not in chosen)]


def _packed(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()
