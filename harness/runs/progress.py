"""What a person sees of runs: of each cell a line when it starts and one when it ends, a live one between; a summary.

The program's own lines are seen with --verbose, and in run.log in any case.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.catalogue.entries import Part
from harness.evidence import records
from harness.evidence.record import Record
from harness.evidence.verdicts import FAILED, MARKS, NOT_JUDGED, PASSED, verdict_of
from harness.runs.processes import to_terminal
from harness.terminal import Live, bold, dim, green, one_line, red, spoken, yellow

# What frameworks print of themselves: glog's lines, warnings, rules, banners.
NOISE = re.compile(
    r"\s*$|[IWEF]\d{4} |[-=*#]{4,}|\[?(INFO|WARNING|DEBUG)\b|\S*\[\d{4}-\d\d-\d\d|LAUNCH |.*Warning: |Modified FLAGS|"
    r"  warnings\.warn|FLAGS\(|.*\bfrom: |.*site-packages/"
)
LAST_WORDS = 3
MOST_WORDS = 16  # of a refusal with an example in it
PAINT: Mapping[str, Callable[[str], str]] = {PASSED: green, FAILED: red, NOT_JUDGED: yellow}


@contextmanager
def seen(part: Part, kind: str, results: Path, verbose: bool) -> Iterator[Callable[[bytes], None]]:
    """While it lasts, what takes the program's output: shown as it is, or on one live line the last that tells."""
    if verbose:
        yield to_terminal(f"  {part.name} │ ")
        return
    with Live("", about=last_time(results / part.name / kind)) as live:
        pending = b""

        def echo(chunk: bytes) -> None:
            nonlocal pending
            *lines, pending = (pending + chunk)[-65536:].split(b"\n")
            telling = [text for line in lines if not NOISE.match(text := line.decode("utf-8", "replace"))]
            if telling:
                live.doing(telling[-1])

        yield echo


def last_time(folder: Path) -> float | None:
    """How long the latest run of a cell that passed took, in seconds; None where none has."""
    passed = (run for run in records.of_cell(folder) if run["passed"])
    latest = next(passed, None)
    return latest["times"]["seconds"] if latest else None


def ended(record: Record) -> str:
    """How a cell ended, in a line, with those of its checks that did not pass below."""
    data, place = record.data, os.path.relpath(record.folder)
    verdict, seconds = verdict_of(data), spoken(data["times"]["seconds"] or 0.0)
    if data["exit"]["reason"] == "interrupted":
        return yellow(f"  ■ interrupted after {seconds}") + f"   {place}"
    number = f", {len(data['checks'])} checks" if verdict == PASSED else ""
    how = {PASSED: f"passed in {seconds}{number}", FAILED: f"failed after {seconds}"}
    head = PAINT[verdict](f"  {MARKS[verdict]} {how.get(verdict, f'not judged after {seconds}')}")
    return "\n".join([f"{head}   {place}", *(f"      {line}" for line in reasons(record))])


def reasons(record: Record) -> list[str]:
    """Why a run has not passed, a line each: the checks that decided, what its program said last, what is known."""
    data = record.data
    verdict = verdict_of(data)
    if verdict == PASSED:
        return []
    asked = "asked " if verdict == FAILED else ""
    decided = [check for check in data["checks"] if verdict_of(check) == verdict]
    lines = [f"{check['name']}: {asked}{check['asked']}; {check['why']}" for check in decided]
    if data["exit"]["code"] != 0:
        lines += [dim(f"│ {line}") for line in last_words(record.folder / records.LOG)]
    for each in data.get("explanations", ()):
        lines += [f"known: {each['cause']}", f"→ {each['remedy']} {dim(each['source'])}"]
    return lines


def last_words(log: Path) -> list[str]:
    """The last lines of a log that tell something, of a traceback its end; all of what begins with "error:"."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16384))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    telling = [one_line(line) for line in text.splitlines() if not NOISE.match(line)]
    refused = next((place for place, line in enumerate(telling) if line.startswith("error: ")), None)
    if refused is not None and LAST_WORDS < len(telling) - refused <= MOST_WORDS:
        return telling[refused:]
    return telling[-LAST_WORDS:]


def summary(found: Sequence[Record], left_out: Mapping[str, str], seconds: float) -> str:
    """How many passed and how long it took; of each that did not, why, and what to do next."""
    verdicts = [verdict_of(record.data) for record in found]
    numbers = [
        (verdicts.count(PASSED), PASSED),
        (verdicts.count(FAILED), FAILED),
        (verdicts.count(NOT_JUDGED), NOT_JUDGED),
    ]
    numbers.append((len(left_out), "left out"))
    told = ", ".join(f"{number} {what}" for number, what in numbers if number or what == PASSED)
    lines = [bold(f"{told} in {spoken(seconds)}")]
    for record, verdict in zip(found, verdicts, strict=True):
        if verdict != PASSED:
            cell = record.data["cell"]
            lines.append(PAINT[verdict](f"{MARKS[verdict]} {cell['part']} on {cell['hardware']}"))
            lines += [f"    {reason}" for reason in reasons(record)]
            lines.append(dim(f"    ./inv show {record.folder.name}   {os.path.relpath(record.folder / records.LOG)}"))
    lines += [yellow(f"· {cell} is left out: ") + why for cell, why in left_out.items()]
    if FAILED in verdicts:
        lines.append("./inv run --failed runs what failed again, with -v its log is seen.")
    return "\n".join(lines)


def say(*lines: str) -> None:
    """Print lines at once."""
    print(*lines, sep="\n", flush=True)
