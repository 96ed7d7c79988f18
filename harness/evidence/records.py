"""Records: what a run leaves, sealed by a hash of hashes, for a stranger to check.

results/<part>/<kind>/<run id>/     record.json, run.log, the program's files
results/.unfinished/<run id>/       a run that is going on, or whose harness was killed
"""

import contextlib
import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, cast

from harness import system
from harness.errors import DataFileError, UsageError
from harness.evidence.hashing import LOCK, RUN_ID, new_id, timestamp, unwritable, write_json
from harness.evidence.record import Reason, Record, RecordData
from harness.evidence.sealed import RECORD, folders, of_document, require_folder

SCHEMA_VERSION = max(RECORD.versions)
FILE = RECORD.manifest
LOG = "run.log"


# Writing


class Draft:
    """A record in the making: a folder beside the results, which a lock marks as alive.

    The program inherits the lock, so that a folder in which an orphan still writes counts as alive too. Used as a
    context: what has not been sealed at its end is taken away.
    """

    def __init__(self, results: Path, record: Mapping[str, Any]) -> None:
        """Make the folder and write down what is going to run.

        Raises:
            StoreError: the results folder cannot be written.
        """
        self.results = results
        self.record = {"schema": SCHEMA_VERSION, "id": new_id(), **record}
        self.folder = results / ".unfinished" / str(self.record["id"])
        hidden = self.folder.with_name(f".{self.folder.name}")  # from the others, until it is locked
        try:
            hidden.mkdir(parents=True)
            self.lock = _hold(hidden)
            write_json(hidden / FILE, self.record)
            hidden.rename(self.folder)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise unwritable(results, error) from error

    def find_place(self) -> None:
        """Take another id where its place is taken: a job that its scheduler forgot was run once more."""
        if (self.results / of_document(RECORD, self.record).place).exists():
            self.record["id"] = new_id()

    def seal(self, **outcome: Any) -> Record:
        """Complete the record, seal it, and move the folder to its place."""
        self.record.update(outcome)
        return seal_folder(self.results, self.folder, self.record)

    def __enter__(self) -> "Draft":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Take away what was not sealed.

        Raises:
            StoreError: in place of the OSError of a full or read-only disk.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.close()
        if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            raise unwritable(self.results, error) from error


def seal_folder(results: Path, folder: Path, record: Mapping[str, object]) -> Record:
    """Hash every file of `folder` into the record, seal it, and rename the folder to its place."""
    sealed = of_document(RECORD, record)
    return Record(results / sealed.place, cast(RecordData, sealed.write(results, record, folder)))


def adopt_unfinished(results: Path, complete: Callable[[Path, dict[str, Any]], None] | None = None) -> list[Path]:
    """Seal the runs whose harness was killed: their records say so. Runs that are alive are left alone.

    Only its own machine can tell whether a run is dead: on a shared folder a lock may not be seen from elsewhere. What
    a job left is sealed by dispatch/listed/jobs.py, once its scheduler says that it is over. `complete` may add to a
    folder and its record before they are sealed.
    """
    require_folder(results)
    places = []
    for folder in sorted((results / ".unfinished").glob("[!.]*")):
        try:
            if _host(folder) not in ("", platform.node()):
                continue
            lock = _hold(folder)
        except OSError:
            continue  # alive, or not ours to touch
        with lock, contextlib.suppress(OSError):  # on a full disk it stays for another time
            try:
                record = json.loads((folder / FILE).read_bytes())
                if "job" in record:
                    continue
                why = "the harness was killed before the program ended"
                record.update(ended(record, folder / LOG, "interrupted", why))
                if complete:
                    complete(folder, record)
                places.append(seal_folder(results, folder, record).folder)
            except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                shutil.rmtree(folder, ignore_errors=True)  # it never got as far as a record
    return places


def ended(record: Mapping[str, Any], log: Path, reason: Reason, why: str) -> dict[str, Any]:
    """The outcome of a run that others ended, and that its harness could not seal."""
    now = datetime.now(timezone.utc)
    return {
        "times": {**record["times"], "finished": timestamp(now), "seconds": None},
        "exit": {"reason": reason, "code": None, "signal": None},
        "log": {"bytes": log.stat().st_size if log.exists() else 0, "left_out": 0},
        "metrics": {},
        "device": {},
        "checks": [{"name": "program", "asked": "finished, code 0", "found": reason, "passed": False, "why": why}],
        "passed": False,
    }


def _hold(folder: Path) -> IO[str]:
    """Lock a draft's folder for this machine; raises BlockingIOError while its run is alive."""
    handle = (folder / LOCK).open("a")
    try:
        system.lock(handle.fileno(), wait=False)
        handle.truncate(0)
        handle.write(platform.node())
        handle.flush()
    except OSError:
        handle.close()
        raise
    return handle


def _host(folder: Path) -> str:
    """The machine that runs a draft, empty where nothing says it."""
    lock = folder / LOCK
    return lock.read_text() if lock.exists() else ""


# Reading


def read(path: Path) -> RecordData:
    """Read one record.json whose seal is whole.

    Raises:
        DataFileError: it is damaged; what is wrong is named.
    """
    return cast(RecordData, RECORD.read(path))


def of_cell(folder: Path) -> Iterator[RecordData]:
    """The records of a cell whose seals are whole, the latest first; `folder` is results/PART/KIND."""
    for run in sorted(folder.glob("*Z-*"), reverse=True):
        with contextlib.suppress(DataFileError):  # a damaged record is no run; ./inv verify names it
            yield read(run / FILE)


def find(results: Path, run: str) -> list[Path]:
    """The folders that RUN names: a run id, a prefix of one, `latest`, or `all`.

    Raises:
        UsageError: no run, or more than one for a prefix.
    """
    runs = sorted((each.name, Path(each.path)) for _, _, each in folders(results) if RUN_ID.fullmatch(each.name))
    if not runs and run != "all":
        raise UsageError("There is no record yet.", f"{results} is empty.", "./inv run makes records.")
    if run == "all":
        return [path for _, path in runs]
    if run == "latest":
        return [runs[-1][1]]
    matching = [path for name, path in runs if name.startswith(run)]
    if not matching:
        raise UsageError(
            f"{run!r}: no such run.", f"The latest is {runs[-1][0]}.", "A run is an id, a prefix, or latest."
        )
    if len(matching) > 1:
        names = ", ".join(path.name for path in matching[:5]) + (", …" if len(matching) > 5 else "")
        raise UsageError(f"{run!r}: {len(matching)} runs begin so.", f"{names}.", "Write more of the id.")
    return matching


def paddle_version(record: RecordData | Mapping[str, Any]) -> str:
    """Which version of Paddle a run had; empty where the record does not say."""
    paddle = record.get("paddle")
    return str(paddle.get("version") or "") if isinstance(paddle, dict) else ""


def libraries(record: RecordData) -> Iterator[tuple[str, str]]:
    """What multiplied matrices: ("OpenBLAS of numpy", "0.3.23, kernel Haswell, 2 threads"), or that it is unknown."""
    found = (record.get("device") or {}).get("libraries")
    if not isinstance(found, list) or not found:
        yield "BLAS", "unknown"
        return
    for each in (each for each in found if isinstance(each, dict)):
        kernel, threads = each.get("kernel") or "unknown", each.get("threads")
        words = [str(each.get("version") or "unknown version"), f"kernel {kernel}"]
        words += [f"{threads} thread{'s' * (threads != 1)}"] if threads else []
        yield f"{each.get('name')} of {each.get('of')}", ", ".join(words)
