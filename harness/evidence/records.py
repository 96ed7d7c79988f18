"""Records: what a run leaves, sealed by a hash of hashes, for a stranger to check.

results/<part>/<kind>/<run id>/     record.json, run.log, the program's files
results/.unfinished/<run id>/       a run that is going on, or whose harness was killed
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from harness.errors import DataFileError, StoreError, WordsError

SCHEMA_VERSION = 2  # 1: without picture and statement
READABLE = (1, 2)
FILE = "record.json"
LOG = "run.log"
LOCK = ".lock"
RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{3}Z-[0-9a-f]{6}")
NOT_RUNS = ("reference", "by-hand", "attached", "pairing")


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

    def seal(self, **outcome: Any) -> Path:
        """Complete the record, seal it, and move the folder to its place, which is returned."""
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


def seal_folder(results: Path, folder: Path, record: dict[str, Any]) -> Path:
    """Hash every file of `folder` into the record, seal it, and rename the folder to its place."""
    record["artefacts"] = hash_files(folder)
    record["seal"] = seal_of(record)
    write_json(folder / FILE, record)
    place: Path = results / record["cell"]["part"] / record["cell"]["hardware"] / record["id"]
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)
    (place / LOCK).unlink(missing_ok=True)
    return place


def adopt_unfinished(results: Path, complete: Callable[[Path, dict[str, Any]], None] | None = None) -> list[Path]:
    """Seal the runs whose harness was killed: their records say so. Runs that are alive are left alone.

    Only its own machine can tell whether a run is dead: on a shared folder a lock may not be seen from elsewhere. What
    a job left is sealed by slurm/jobs.py, once its scheduler says that it is over. `complete` may add to a folder and
    its record before they are sealed.
    """
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
                places.append(seal_folder(results, folder, record))
            except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                shutil.rmtree(folder, ignore_errors=True)  # it never got as far as a record
    return places


def ended(record: Mapping[str, Any], log: Path, reason: str, why: str) -> dict[str, Any]:
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
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def new_id() -> str:
    """A run id that sorts by time: 20261122T231953.042Z-4fa01c."""
    now = datetime.now(timezone.utc)
    return f"{now:%Y%m%dT%H%M%S}.{now.microsecond // 1000:03}Z-{secrets.token_hex(3)}"


def timestamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hash_files(folder: Path) -> dict[str, dict[str, Any]]:
    """sha256 and size of every file below `folder` but the record itself.

    A link is hashed as its target's name, and what is neither file nor link as its kind.
    """
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        if name in (FILE, LOCK) or (path.is_dir() and not path.is_symlink()):
            continue
        hashes[name] = {"sha256": sha256(path), "bytes": path.lstat().st_size}
    return hashes


def sha256(path: Path) -> str:
    if path.is_symlink():
        return hashlib.sha256(b"link to " + os.fsencode(os.readlink(path))).hexdigest()
    if not path.is_file():
        return hashlib.sha256(b"mode %o" % stat.S_IFMT(path.stat().st_mode)).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(2**20):
        digest.update(chunk)
    return digest.hexdigest()


def seal_of(record: Mapping[str, Any]) -> str:
    """The hash over the whole record but its seal; the files' hashes are in it, so it is a hash of hashes."""
    body = {key: value for key, value in record.items() if key != "seal"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return "sha256:" + hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write beside and rename, so that no reader ever sees half a file."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        content = text.encode()
    except UnicodeEncodeError:  # half a character, which only an escape can hold
        content = json.dumps(document, indent=2, allow_nan=False).encode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(content + b"\n")
    beside.replace(path)


def unwritable(results: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{results}: results cannot be written.",
        f"{error.strerror or error}.",
        "Free space or mend the folder's permissions, then call again.",
    )


# Reading


def read(path: Path) -> dict[str, Any]:
    """Read one record.json whose seal is whole.

    Raises:
        DataFileError: it is damaged; what is wrong is named.
    """
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataFileError(f"{path}: not a readable record.", f"{error}.", "Run that cell again.") from error
    if not isinstance(record, dict) or record.get("schema") not in READABLE:
        raise DataFileError(
            f"{path}: not a record of schema {' or '.join(map(str, READABLE))}.", "", "Run that cell again."
        )
    try:
        whole = record.get("seal") == seal_of(record)
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise DataFileError(
            f"{path}: the seal is broken.",
            "The record was changed after its run.",
            "Run that cell again, or fetch the record from where it came.",
        )
    return record


def folders(results: Path) -> Iterator[tuple[str, str, os.DirEntry[str]]]:
    """Every run's folder as (part, kind, entry); unsorted, for it may be a hundred thousand."""
    for part in _subfolders(results):
        if part.name.startswith(".") or part.name in NOT_RUNS:
            continue
        for kind in _subfolders(part.path):
            for run in _subfolders(kind.path):
                yield part.name, kind.name, run


def _subfolders(path: str | Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            yield from (entry for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return


def find(results: Path, word: str) -> list[Path]:
    """The folders that RUN names: a run id, a prefix of one, `latest`, or `all`.

    Raises:
        WordsError: no run, or more than one for a prefix.
    """
    runs = sorted((run.name, Path(run.path)) for _, _, run in folders(results) if RUN_ID.fullmatch(run.name))
    if not runs and word != "all":
        raise WordsError("There is no record yet.", f"{results} is empty.", "./inv run makes records.")
    if word == "all":
        return [path for _, path in runs]
    if word == "latest":
        return [runs[-1][1]]
    matching = [path for name, path in runs if name.startswith(word)]
    if not matching:
        raise WordsError(
            f"{word!r}: no such run.", f"The latest is {runs[-1][0]}.", "A run is an id, a prefix, or latest."
        )
    if len(matching) > 1:
        names = ", ".join(path.name for path in matching[:5]) + (", …" if len(matching) > 5 else "")
        raise WordsError(f"{word!r}: {len(matching)} runs begin so.", f"{names}.", "Write more of the id.")
    return matching


def libraries(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What multiplied matrices: ("OpenBLAS of numpy", "0.3.23, kernel Haswell, 2 threads"), or that it is unknown."""
    found = (record.get("device") or {}).get("libraries")
    if not isinstance(found, list) or not found:
        yield "libraries", "unknown"
        return
    for each in (each for each in found if isinstance(each, dict)):
        kernel, threads = each.get("kernel") or "unknown", each.get("threads")
        words = [str(each.get("version") or "unknown version"), f"kernel {kernel}"]
        words += [f"{threads} thread{'s' * (threads != 1)}"] if threads else []
        yield f"{each.get('name')} of {each.get('of')}", ", ".join(words)
