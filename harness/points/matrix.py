"""The matrix: every part on every hardware kind, its state and its points, as table, Markdown, JSON or HTML."""

import html
import json
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness import terminal
from harness.catalogue import releases
from harness.catalogue.cells import NOT_WRITTEN
from harness.catalogue.entries import Catalogue, Hardware, Part
from harness.errors import UsageError
from harness.evidence import attachments
from harness.evidence.attachments import Attachment
from harness.evidence.verdicts import FAILED, NOT_JUDGED
from harness.points import byhand, index, table
from harness.points.scoring import (
    EARNED,
    NOT_RUN,
    REHEARSED,
    WAITING,
    CellPoints,
    Result,
    Tally,
    assess,
    in_range,
    tally,
)

MARKS = {EARNED: "✓", REHEARSED: "○", WAITING: "…", NOT_JUDGED: "△", FAILED: "✗", NOT_RUN: "·"}
PERSON = Hardware(
    name="person", title="a person's own", aliases=(), category="cpu", device="", environment={}, data={}
)  # where only a person's evidence counts, and no hardware
LEGEND = (
    "✓ earned   ○ rehearsed: passed where the rule gives no points   … waiting: for a person's evidence   "
    "△ not judged: out of what a bound is meant for   ✗ failed   · not run   – no program yet"
)
WORDS = {
    EARNED: "earned, with its points",
    REHEARSED: "rehearsed: it passed where the rule gives no points",
    WAITING: "passed, and waits for a person's evidence",
    NOT_JUDGED: "not judged: out of what a bound is meant for",
    FAILED: "failed",
    NOT_RUN: "not run",
}
PAINT = {EARNED: terminal.green, REHEARSED: terminal.cyan, WAITING: terminal.yellow, FAILED: terminal.red}


@dataclass(frozen=True)
class Column:
    """A kind, and where more than one version of Paddle ran on it, one of them."""

    kind: str
    paddle: str | None = None

    def __str__(self) -> str:
        return self.kind if self.paddle is None else f"{self.kind} {self.paddle or '?'}"


@dataclass(frozen=True)
class Matrix:
    """`paddle`: the versions that alone were read, empty where all were."""

    parts: Mapping[str, Part]
    cells: Sequence[CellPoints]
    tally: Tally
    damaged: Sequence[str]
    paddle: str = ""

    @property
    def kinds(self) -> list[str]:
        """The hardware kinds with a run, in the catalogue's order, then a person's; all of them while there is none."""
        every = sorted(dict.fromkeys(cell.hardware for cell in self.cells), key=lambda kind: kind == PERSON.name)
        ran = {cell.hardware for cell in self.cells if cell.state != NOT_RUN}
        return [kind for kind in every if kind in ran] or every

    @property
    def columns(self) -> list[Column]:
        """A column for each kind, and for each version where more than one ran on it."""
        return [column for kind in self.kinds for column in self._of(kind)]

    def _of(self, kind: str) -> list[Column]:
        ran = {cell.paddle for cell in self.cells if cell.hardware == kind and cell.state != NOT_RUN}
        versions = sorted(ran, key=lambda each: (releases.parsed(each) or releases.parsed("0"), each))
        return [Column(kind, version) for version in versions] if len(versions) > 1 else [Column(kind)]


def build(catalogue: Catalogue, results: Path, paddle: str = "", files: bool = True) -> Matrix:
    """Read the results and count the points of every cell.

    Args:
        catalogue: parts and kinds.
        results: the folder of records and attachments.
        paddle: the versions whose runs are read; empty, all.
        files: whether the files of attachments are there; of a team's stores only manifests are.

    Raises:
        UsageError: one is no version of Paddle.
    """
    asked = [each.version for each in releases.load().select(paddle)] if paddle else []
    found, damaged = index.results_of(results, [name for name, part in catalogue.parts.items() if _daily(part)])
    by_part: dict[str, list[Result]] = {name: [] for name in catalogue.parts}
    for result in found:
        if asked and result.paddle not in asked:
            continue
        if result.part in by_part and result.hardware in catalogue.hardware:
            by_part[result.part].append(result)
        else:
            damaged.append(f"{results / result.part / result.hardware}: this checkout knows no such cell")
    attached, unreadable = attachments.standing(results, files)
    cells = [
        cell
        for name, part in catalogue.parts.items()
        for cell in _cells(part, catalogue.hardware, by_part[name], attached.get(name, []))
    ]
    return Matrix(catalogue.parts, cells, tally(catalogue.parts, cells), [*damaged, *unreadable], ", ".join(asked))


def _cells(
    part: Part, kinds: Mapping[str, Hardware], results: Sequence[Result], attached: Sequence[Attachment]
) -> list[CellPoints]:
    """The cells of a part, in the order of the kinds; where only a person's evidence counts, that person's cell."""
    if part.evidence_only:
        kinds = {PERSON.name: PERSON}
        results = byhand.results(part, PERSON, attached)
    else:
        results = _counted(part, results)
    order = list(kinds)
    cells = assess(part, kinds, results, *byhand.evidence(part, attached))
    return sorted(cells, key=lambda cell: order.index(cell.hardware))


def _counted(part: Part, results: Sequence[Result]) -> list[Result]:
    """One result for each model of a kind and version of Paddle (each day, where days count): passing before failing,
    signed before not, then the latest. Versions that the rule counts come first."""
    daily, counts = _daily(part), part.rules[0].paddle
    best: dict[tuple[str, ...], Result] = {}
    for result in sorted(results, key=lambda each: (each.passed, each.signed, each.cards, each.day, each.run)):
        whose = "own" if result.unlisted else ""
        best[(result.hardware, result.model, result.paddle, whose, result.day if daily else "")] = result

    def order(each: Result) -> tuple[bool, bool, str, str]:
        return not each.passed, each.unlisted or not in_range(each.paddle, counts), each.day, each.run

    return sorted(best.values(), key=order)


def _daily(part: Part) -> bool:
    return any(rule.name == "per_day" for rule in part.rules)


def show(matrix: Matrix, form: str, explain: bool) -> str:
    """The matrix in one of FORMATS.

    Raises:
        UsageError: an unknown format.
    """
    if form not in FORMATS:
        raise UsageError(f"{form!r}: no such format.", f"Known: {', '.join(FORMATS)}.", "See ./inv matrix --help")
    return FORMATS[form](matrix, explain)


def _table(matrix: Matrix, explain: bool) -> str:
    width = table.columns()
    ran = {cell.hardware for cell in matrix.cells if cell.state != NOT_RUN}
    columns = [column for column in matrix.columns if column.kind in ran]
    rows = [
        [
            table.plain(name),
            table.plain(part.title),
            *(_marked(cells_of(matrix, name, column)) for column in columns),
            table.plain(points(matrix, part)),
        ]
        for name, part in matrix.parts.items()
    ]
    states = {state for row in rows for state in WORDS if any(cell[0].startswith(MARKS[state]) for cell in row[2:-1])}
    lines = [table.draw(["part", "task", *map(str, columns), "points"], rows, width), ""]
    lines += [terminal.bold(line) for line in textwrap.wrap(sum_line(matrix.tally, str), width)]
    legend = ";  ".join(f"{MARKS[state]} {words}" for state, words in WORDS.items() if state in states)
    silent = [kind for kind in dict.fromkeys(cell.hardware for cell in matrix.cells) if kind not in (*ran, PERSON.name)]
    only = f" with Paddle {matrix.paddle}" if matrix.paddle else ""
    for text in (legend, f"No run yet{only} on: {', '.join(silent)}" if silent else ""):
        lines += [terminal.dim(line) for line in textwrap.wrap(text, width)]
    return "\n".join([*lines, *_explanations(matrix, explain, width)])


def _marked(cells: Sequence[CellPoints]) -> table.Cell:
    """The mark of a part on a kind with its points, in its colour."""
    if not cells:
        return table.plain("")
    chosen, earned = best(cells), sum(cell.points for cell in cells)
    mark = "–" if chosen.state == NOT_RUN and chosen.why == NOT_WRITTEN else MARKS[chosen.state]
    return f"{mark} {earned:g}" if earned else mark, PAINT.get(chosen.state, terminal.dim)


def _markdown(matrix: Matrix, explain: bool) -> str:
    from tabulate import tabulate

    text = tabulate(
        _rows(matrix),
        headers=["part", "task", *map(str, matrix.columns), "points"],
        tablefmt="github",
        disable_numparse=True,
    )
    lines = [text, "", sum_line(matrix.tally, str), "", LEGEND.replace("   ", "; ")]
    return "\n".join([*lines, *(f"- {line}" if line else "" for line in _explanations(matrix, explain))])


def _json(matrix: Matrix, explain: bool) -> str:
    counts = asdict(matrix.tally)
    document = json.dumps(
        {
            "schema": 2,
            "cells": [_exported(cell) for cell in matrix.cells],
            "points": counts,
            "damaged": list(matrix.damaged),
        },
        indent=2,
        ensure_ascii=False,
    )
    return terminal.escaped_json(document)


def _exported(cell: CellPoints) -> dict[str, Any]:
    fields = ("part", "hardware", "model", "state", "points", "limit", "why", "run", "paddle")
    return {name: getattr(cell, name) for name in fields}


def _html(matrix: Matrix, explain: bool) -> str:
    columns = matrix.columns
    head = "".join(f"<th>{html.escape(text)}</th>" for text in ("part", "task", *map(str, columns), "points"))
    body = []
    for name, part in matrix.parts.items():
        cells = "".join(_html_cell(matrix, name, column) for column in columns)
        title = f"{html.escape(part.title)}<br><span lang='zh'>{html.escape(part.title_zh)}</span>"
        body.append(
            f"<tr><th scope='row'>{name}</th><td>{title}</td>{cells}<td class='points'>{points(matrix, part)}</td></tr>"
        )
    notes = "".join(f"<li>{html.escape(line)}</li>" for line in _explanations(matrix, explain) if line)
    return PAGE.format(
        head=head,
        body="\n".join(body),
        sum=html.escape(sum_line(matrix.tally, str)),
        legend=html.escape(LEGEND),
        notes=f"<ul>{notes}</ul>" if notes else "",
    )


def _html_cell(matrix: Matrix, part: str, column: Column) -> str:
    cells = cells_of(matrix, part, column)
    if not cells:
        return "<td></td>"
    state = best(cells).state.replace(" ", "-")
    why = terminal.harmless("; ".join(f"{cell.model or column}: {cell.why or cell.state}" for cell in cells))
    return f"<td class='{state}' title='{html.escape(why, quote=True)}'>{plain(cells)}</td>"


FORMATS: dict[str, Callable[[Matrix, bool], str]] = {
    "table": _table,
    "markdown": _markdown,
    "json": _json,
    "html": _html,
}


# What the formats share


def _rows(matrix: Matrix) -> list[list[str]]:
    return [
        [name, part.title, *(plain(cells_of(matrix, name, column)) for column in matrix.columns), points(matrix, part)]
        for name, part in matrix.parts.items()
    ]


def cells_of(matrix: Matrix, part: str, column: Column) -> list[CellPoints]:
    """The cells of a part in a column: one for each model, or that it has not run."""
    kind, paddle = column.kind, column.paddle
    every = [cell for cell in matrix.cells if cell.part == part and cell.hardware == kind]
    if paddle is None or not every:
        return every
    own = [cell for cell in every if cell.paddle == paddle and cell.state != NOT_RUN]
    return own or [replace(every[0], state=NOT_RUN, points=0.0, bonus=0.0, why="no run yet", run=None)]


def best(cells: Sequence[CellPoints]) -> CellPoints:
    """Of a part on a kind, the cell that speaks for all models: the most points, then the best state."""
    return min(cells, key=lambda cell: (-cell.points, list(MARKS).index(cell.state)))


def plain(cells: Sequence[CellPoints]) -> str:
    """The mark of a part on a kind, and its points or state."""
    if not cells:
        return ""
    chosen, earned = best(cells), sum(cell.points for cell in cells)
    if chosen.state == NOT_RUN:
        return "–" if chosen.why == NOT_WRITTEN else MARKS[NOT_RUN]
    return f"{MARKS[chosen.state]} {earned:g}" if earned else f"{MARKS[chosen.state]} {chosen.state}"


def points(matrix: Matrix, part: Part) -> str:
    """What a part has earned, of its limit: '3 / 5'."""
    earned = sum(cell.points for cell in matrix.cells if cell.part == part.name)
    limit = next(cell.limit for cell in matrix.cells if cell.part == part.name)
    judged = [rule for rule in part.rules if rule.name == "judged"]
    if judged and earned:
        return f"{earned:g}–{judged[0].upper:g} / {limit:g}"
    return f"{earned:g} / {limit:g}"


def sum_line(sums: Tally, paint: Callable[[str], str]) -> str:
    """All points in a line, the earned ones in `paint`."""
    earned = f"{sums.earned:g}" if sums.earned == sums.earned_upper else f"{sums.earned:g}–{sums.earned_upper:g}"
    word = "point" if earned == "1" else "points"
    return (
        paint(f"{earned} {word} earned") + f" of {sums.limit:g} (and {sums.bonus:g} by a bonus); "
        f"{sums.waiting:g} waiting for evidence, {sums.rehearsed:g} rehearsed"
    )


def _explanations(matrix: Matrix, explain: bool, width: int = 120) -> list[str]:
    """What is damaged and, where they are asked for, the reasons why cells do not count, each once with its cells."""
    lines = [f"damaged, not counted: {damage}" for damage in matrix.damaged]
    reasons: dict[str, dict[str, list[str]]] = {}
    for cell in matrix.cells if explain else ():
        if cell.why and (cell.state != NOT_RUN or cell.hardware in (*matrix.kinds, PERSON.name)):
            where = f"{cell.hardware} ({cell.model})" if cell.model else cell.hardware
            where += f" with Paddle {cell.paddle}" if cell.paddle else ""
            which = f" ({cell.run})" if cell.hardware == PERSON.name and cell.run else ""
            parts = reasons.setdefault(f"{cell.state}; {cell.why}{which}", {})
            parts.setdefault(where, []).append(cell.part)
    for why, places in reasons.items():
        named = "; ".join(f"{', '.join(parts)} on {where}" for where, parts in places.items())
        lines += textwrap.wrap(f"{named}: {why}", width, subsequent_indent="    ", break_long_words=False)
    return ["", *lines] if lines else []


def warn_of_damage(matrix: Matrix) -> None:
    """Name the damaged records on stderr, for the formats that a program reads."""
    for damage in matrix.damaged:
        print(f"damaged, not counted: {damage}", file=sys.stderr)


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>PaddleHomework: the matrix</title>
<style>
:root {{ color-scheme: light dark; --line: #8884; }}
body {{ font: 15px/1.5 system-ui, "Noto Sans CJK SC", sans-serif;
        margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-bottom: 1px solid var(--line); padding: .4rem .6rem; text-align: left; vertical-align: top; }}
td span, .legend {{ opacity: .65; font-size: .9em; }}
td.points {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
.earned {{ background: #2a92; }} .rehearsed {{ background: #29c2; }}
.waiting, .not-judged {{ background: #db02; }} .failed {{ background: #d332; }} .not-run {{ opacity: .5; }}
</style></head><body>
<h1>PaddleHomework: the matrix</h1>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table>
<p><strong>{sum}</strong></p><p class="legend">{legend}</p>{notes}
</body></html>"""
