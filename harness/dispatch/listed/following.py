"""Following: jobs seen live, a line for each cell; on a terminal the lines are drawn again in place."""

import contextlib
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.dispatch.dispatcher import Outcome
from harness.dispatch.listed import batches, deliveries, endings, jobs
from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import Queue, Schedulers, Silent, wait_a_moment
from harness.dispatch.listed.jobs import Status
from harness.errors import EngineError, HomeworkError, Interrupted
from harness.evidence import records
from harness.evidence.record import Record
from harness.evidence.verdicts import FAILED, MARKS, PASSED, verdict_of
from harness.terminal import bold, cyan, dim, green, red, yellow

LATER = "./inv jobs follows them, ./inv jobs --cancel cancels them; the same ./inv run submits only what is missing."


class Board:
    """The lines of all cells. On a terminal they stand in place; elsewhere a line is printed when a cell changes."""

    def __init__(self) -> None:
        self._in_place = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._drawn = 0
        self._shown: dict[str, str] = {}
        self._seen: dict[str, Status] = {}

    def show(self, statuses: Sequence[Status]) -> bool:
        """Show how things are; whether anything has changed."""
        news = [status for status in statuses if self._seen.get(status.cell.run) is not status]
        self._seen.update({status.cell.run: status for status in news})
        lines = {status.cell.run: line(status) for status in news}
        changed = {run: text for run, text in lines.items() if self._shown.get(run) != text}
        self._shown.update(changed)
        if self._in_place:
            self._draw(statuses)
        else:
            for text in changed.values():
                print(text, flush=True)
        return bool(changed)

    def close(self) -> None:
        """Leave what is drawn where it is."""
        self._drawn = 0

    def _draw(self, statuses: Sequence[Status]) -> None:
        """Draw what fits: what runs first, then what has ended, then what waits."""
        size = shutil.get_terminal_size()
        order = {"running": 0, "away": 1, "over": 2, "waiting": 3}
        places = sorted(range(len(statuses)), key=lambda place: order[statuses[place].state])
        chosen = sorted(places[: max(1, size.lines - 3)])
        lines = [line(statuses[place], size.columns - 1) for place in chosen]
        up = f"\033[{self._drawn}A" if self._drawn else ""
        text = "".join(f"\033[2K{each}\n" for each in [*lines, bold(total(statuses))])
        print(f"{up}\033[J{text}", end="", flush=True)
        self._drawn = len(lines) + 1


def line(status: Status, width: int = 200) -> str:
    """A cell in a line."""
    head = f"{status.cell.part:<5} {status.cell.hardware:<10} "
    number = f"job {status.job.id}" if status.job else ""
    if status.state == "waiting":
        return dim(f"… {head}waiting ({status.detail})   {number}"[:width])
    if status.state == "running":
        again = f", attempt {status.job.restarts + 1}" if status.job and status.job.restarts else ""
        return cyan(f"▶ {head}running on {status.detail}{again}   {number}"[:width])
    if status.state == "away":
        return yellow(f"■ {head}ended, its record is not here: {status.detail}   {number}"[:width])
    if status.record is None:
        return yellow(f"■ {head}{status.detail}"[:width])
    return _verdict(head, status.record, width)


def _verdict(head: str, folder: Path, width: int) -> str:
    try:
        record = records.read(folder / records.FILE)
    except HomeworkError as error:
        return red(f"✗ {head}{error.what}"[:width])
    place = os.path.relpath(folder)
    verdict = verdict_of(record)
    if verdict != FAILED:
        paint, seconds = green if verdict == PASSED else yellow, record["times"]["seconds"]
        return paint(f"{MARKS[verdict]} {head}{verdict} in {seconds:.1f} s   {place}"[:width])
    check = next(check for check in record["checks"] if verdict_of(check) == FAILED)
    name = record["exit"]["reason"] if record["exit"]["reason"] != "finished" else check["name"]
    return red(f"✗ {head}{name}: {check['why']}   {place}"[:width])


def total(statuses: Sequence[Status]) -> str:
    """How many are where: '3 waiting, 2 running, 5 over'."""
    numbers = Counter(status.state for status in statuses)
    told = f"{numbers['waiting']} waiting, {numbers['running']} running, {numbers['over']} over"
    return told + (f", {numbers['away']} away" if numbers["away"] else "")


def follow(results: Path, cells: Sequence[tuple[Batch, int]], schedulers: Schedulers) -> list[Status]:
    """Show cells until all have ended; Ctrl-C asks whether to leave or cancel them.

    Returns:
        Where they are then: over, or away.

    Raises:
        Interrupted: they were left, or cancelled.
    """
    if not cells:
        return []
    board = Board()
    followed = _Followed(results, cells, schedulers)
    cancelled = False
    while True:
        try:
            followed.watch(board)
            break
        except KeyboardInterrupt as interruption:
            board.close()
            active = [status for status in followed.statuses if not ended(status)]
            if cancelled or not _wants_cancel(active, schedulers):
                print(f"\n{len(active)} cells are left to {_titles(active, schedulers)}. {LATER}")
                raise Interrupted(2) from interruption
            cancelled = True
            print(f"Cancelled {jobs.cancel(results, active, schedulers)} jobs; their records say so.")
    endings.sweep(results, schedulers)
    if cancelled:
        raise Interrupted(2)
    return followed.statuses


def ended(status: Status) -> bool:
    """Whether no more comes of a cell by waiting."""
    return status.state in ("over", "away")


def folders(statuses: Sequence[Status]) -> list[Path]:
    """The records that are here."""
    return [status.record for status in statuses if status.record]


class _Followed:
    """The cells that are followed, and where they were when their schedulers last answered."""

    def __init__(self, results: Path, cells: Sequence[tuple[Batch, int]], schedulers: Schedulers) -> None:
        self.results, self.schedulers = results, schedulers
        self.places: dict[str, tuple[Batch, list[int]]] = {}
        for batch, place in cells:
            self.places.setdefault(batch.id, (batch, []))[1].append(place)
        self.known: dict[str, list[Status]] = {}

    @property
    def statuses(self) -> list[Status]:
        known = [(self.known[name], places) for name, (_, places) in self.places.items() if name in self.known]
        return [statuses[place] for statuses, places in known for place in places]

    def watch(self, board: Board) -> None:
        changed, silences, said = time.monotonic(), 0, ""
        while True:
            start = time.monotonic()
            try:
                queue = jobs.queues([batch for batch, _ in self.places.values()], self.schedulers)
            except Silent as silent:
                silences += 1
                if silent.what != said:
                    said = silent.what
                    board.close()
                    print(yellow(f"{said.rstrip('.')}; waiting until it does."), flush=True)
            else:
                silences, said = 0, ""
                self._look(queue)
                changed = time.monotonic() if board.show(self.statuses) else changed
                if all(map(ended, self.statuses)):
                    return
            wait_a_moment(changed, silences, time.monotonic() - start)

    def _look(self, queue: Queue) -> None:
        for name, (batch, places) in self.places.items():
            if name not in self.known or not all(status.over for status in self.known[name]):
                batch = batches.again(self.results, batch)
                self.places[name] = (batch, places)
                scheduler, before = self.schedulers(batch.scheduler), self.known.get(name, ())
                self.known[name] = jobs.settle(self.results, batch, queue, scheduler, before)


def _titles(statuses: Sequence[Status], schedulers: Schedulers) -> str:
    return " and ".join(dict.fromkeys(schedulers(status.batch.scheduler).title for status in statuses))


def _wants_cancel(active: Sequence[Status], schedulers: Schedulers) -> bool:
    """Ask what to do with the jobs; without a terminal they are left."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return False
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        whom = _titles(active, schedulers)
        asked = f"\n{len(active)} cells are not over. Leave them to {whom} (Enter), or cancel them (c)? "
        return input(asked).strip() == "c"
    return False


def show(results: Path, once: bool, cancel: bool, schedulers: Schedulers) -> list[Status]:
    """What `./inv jobs` does: show the list, follow it until all has ended, or cancel it.

    Returns:
        What was shown last.

    Raises:
        EngineError: a scheduler does not answer.
        Interrupted: Ctrl-C.
    """
    statuses = jobs.look(results, schedulers)
    if not statuses:
        print("No job is on the list. ./inv run --on slurm, or kubernetes, submits some; --host begins a run over ssh.")
        return []
    if cancel:
        print(f"Cancelled {jobs.cancel(results, statuses, schedulers)} jobs; their records say so.")
        if given_up := jobs.give_up(results, statuses):
            print(f"Gave up {given_up} records that are not here; others stand in for them.")
    if not once:
        return follow(results, [(status.batch, status.place) for status in statuses], schedulers)
    for status in statuses:
        print(line(status))
    print(bold(total(statuses)))
    return statuses


def outcome(
    results: Path,
    under_way: Sequence[tuple[Batch, int]],
    submitted: Sequence[Batch],
    refused: Sequence[EngineError],
    schedulers: Schedulers,
) -> Outcome:
    """Follow what was submitted and what was under way already to the end; what came of it."""
    places = [(batch, place) for batch in submitted for place in range(len(batch.cells))]
    statuses = follow(results, [*under_way, *places], schedulers)
    here = [Record.read(folder) for folder in folders(statuses)]
    try:
        require_passed(statuses, refused)
    except HomeworkError as error:
        return Outcome(here, error)
    return Outcome(here)


def require_passed(statuses: Sequence[Status], refused: Sequence[EngineError]) -> None:
    """End with an error where a scheduler refused a cell, a record did not come, or a cell failed.

    Raises:
        EngineError: the first refusal.
        StoreError: the first record that did not come.
        HomeworkError: how many failed.
    """
    if refused:
        raise refused[0]
    away = [status for status in statuses if status.state == "away"]
    deliveries.require_here([(str(status.cell), status.detail, status.batch.store) for status in away])
    here = folders(statuses)
    failed = sum(verdict_of(records.read(folder / records.FILE)) == FAILED for folder in here)
    if failed:
        raise HomeworkError(
            f"{failed} of {len(here)} cells failed.",
            "The lines marked ✗ above say why.",
            "./inv show RUN shows a record; the same ./inv run submits only what has not passed.",
        )
