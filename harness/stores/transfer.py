"""Transfers: sealed folders up to a store and down from it, several at once, none ever half there.

Up, a folder's files go first and its manifest last, so that whoever finds a manifest finds all that it names. Down, a
folder is put together in results/.incoming, every hash is computed again, and only then is it renamed into its place.
A transfer that broke off goes on where it was: what is there, on either side, is not sent again.
"""

import contextlib
import errno
import hashlib
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness import system
from harness.errors import StoreError, VerificationError
from harness.evidence import hashing
from harness.evidence.sealed import MOST_MANIFEST_BYTES, PREFIX, File, Sealed, here, of_key
from harness.stores.store import PARALLEL, Count, Source, Store, object_key, wrong_size

INCOMING = ".incoming"
AHEAD = 64 * PARALLEL
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class Outcome:
    """What a transfer did, or with `dry_run` would do."""

    moved: list[Sealed] = field(default_factory=list)
    there: int = 0
    bytes: int = 0
    refused: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A sealed folder to be sent: the hash of its manifest, and the files that the manifest names."""

    sealed: Sealed
    sha256: str
    files: Sequence[File]


# Up


def upload(results: Path, store: Store, parts: Collection[str] | None = None, dry_run: bool = False) -> Outcome:
    """Send the sealed folders that the store lacks; one that fails verification is refused, and the others go on.

    Args:
        parts: only those of these task parts; None: all.

    Raises:
        StoreError: the store fails.
    """
    outcome = Outcome()
    candidates = [sealed for sealed in here(results) if parts is None or sealed.part in parts]
    taken = store.sizes([sealed.key for sealed in candidates])
    plans = []
    for sealed in candidates:
        with refusals(outcome, sealed):
            path = results / sealed.place / sealed.kind.manifest
            if sealed.key not in taken:
                manifest = path.read_bytes()
                plans.append(Plan(sealed, hashlib.sha256(manifest).hexdigest(), sealed.files(manifest)))
                outcome.bytes += len(manifest)
            elif taken[sealed.key] != path.stat().st_size:
                raise another(sealed, store)
            else:
                outcome.there += 1
    objects = {file.sha256: file for plan in plans for file in plan.files}
    sizes = store.sizes([object_key(sha256) for sha256 in objects])
    absent = {sha256: file.bytes for sha256, file in objects.items() if object_key(sha256) not in sizes}
    outcome.bytes += sum(absent.values())
    if dry_run:
        outcome.moved = [plan.sealed for plan in plans]
        return outcome
    with _bar("Uploading", outcome.bytes) as sent:
        sender = _Sender(results, store, sizes, sent)
        for plan, sending in each(plans, sender.send, sender.pool):
            with refusals(outcome, plan.sealed):
                if sending.result():
                    outcome.moved.append(plan.sealed)
                else:
                    outcome.there += 1
    return outcome


class _Sender:
    """Sends folders, each object once even if several folders have it."""

    def __init__(self, results: Path, store: Store, sizes: Mapping[str, int], sent: Count) -> None:
        self.results, self.store, self.sizes, self.sent = results, store, sizes, sent
        self.pool = ThreadPoolExecutor(PARALLEL)
        self.on_their_way: dict[str, Future[bool]] = {}
        self.lock = threading.Lock()

    def send(self, plan: Plan) -> bool:
        """Send a folder's files, then its manifest; False if that was there.

        Raises:
            VerificationError: a file is not what the manifest says, or the store has another folder of that name.
        """
        folder = self.results / plan.sealed.place
        on_their_way = [self._send_object(folder / file.name, file) for file in plan.files]
        for future in filter(None, on_their_way):
            future.result()
        path = folder / plan.sealed.kind.manifest
        free = self.store.put(plan.sealed.key, path, plan.sha256, self.sent)
        if not free and self.store.readable:
            found = self.store.read(plan.sealed.key, MOST_MANIFEST_BYTES)
            if hashlib.sha256(found).hexdigest() != plan.sha256:
                raise another(plan.sealed, self.store)
        return free

    def _send_object(self, path: Path, file: File) -> "Future[bool] | None":
        key = object_key(file.sha256)
        if key in self.sizes:
            if self.sizes[key] != file.bytes:
                raise wrong_size(self.store.address, key, self.sizes[key], file.bytes)
            return None
        _require_plain(path)
        with self.lock:
            if key not in self.on_their_way:
                self.on_their_way[key] = self.pool.submit(self.store.put, key, path, file.sha256, self.sent)
            return self.on_their_way[key]


def _require_plain(path: Path) -> None:
    if path.is_symlink() or not path.is_file():
        raise VerificationError(
            f"{path}: {'a link' if path.is_symlink() else 'no plain file'}.",
            "A store carries plain files; a link would mean something else on another machine.",
            "Run that cell again so that it writes a file, or leave it on this machine.",
        )


def another(sealed: Sealed, store: Source) -> VerificationError:
    return VerificationError(
        f"{sealed}: {store.address} has another one of that name.",
        "One of the two is not what its run left; nothing was overwritten.",
        "./inv verify checks the one here; ./inv download to a fresh checkout shows the other.",
    )


# Down


def download(
    results: Path, store: Source, parts: Collection[str] | None = None, dry_run: bool = False, wait: bool = False
) -> Outcome:
    """Fetch the sealed folders that are not here; one that fails verification is refused, and the others go on.

    Raises:
        StoreError: the store fails, or another download is going on and one does not `wait` for it.
    """
    outcome = Outcome()
    wanted = list(_absent(results, (sealed for sealed, _ in listed(store, parts)), outcome))
    if dry_run:
        outcome.moved = wanted
        return outcome
    with _only_download(results, wait) as incoming:
        _fetch_all(results, incoming, store, _absent(results, wanted, outcome) if wait else wanted, outcome)
    return outcome


def download_those(results: Path, store: Store, wanted: Collection[Sealed]) -> Outcome:
    """Fetch those of the sealed folders that the store has and that are not here; waits for another download.

    Raises:
        StoreError: the store fails.
    """
    outcome = Outcome()
    sizes = store.sizes([sealed.key for sealed in wanted])
    if sizes:
        with _only_download(results, wait=True) as incoming:
            offered = _absent(results, (sealed for sealed in wanted if sealed.key in sizes), outcome)
            _fetch_all(results, incoming, store, offered, outcome)
    return outcome


def _absent(results: Path, offered: Iterable[Sealed], outcome: Outcome) -> Iterator[Sealed]:
    """Those that are not here; the others are counted."""
    for sealed in offered:
        if (results / sealed.place / sealed.kind.manifest).exists():
            outcome.there += 1
        else:
            yield sealed


def _fetch_all(results: Path, incoming: Path, store: Source, wanted: Iterable[Sealed], outcome: Outcome) -> None:
    with _bar("Downloading", None) as got:
        for sealed, fetching in each(wanted, lambda sealed: fetch(results, incoming, store, sealed, got)):
            with refusals(outcome, sealed):
                outcome.bytes += fetching.result()
                outcome.moved.append(sealed)


def listed(store: Source, parts: Collection[str] | None = None) -> Iterator[tuple[Sealed, int]]:
    """The sealed folders that a store has, with the bytes of their manifests; other keys are left alone.

    Of some parts alone no others are listed, for there may be millions.
    """
    within = ("", "attached/", "pairing/")
    places = [""] if parts is None else [f"{folder}{part}/" for part in parts for folder in within]
    for place in places:
        for key, size in store.list(PREFIX + place):
            sealed = of_key(key)
            if sealed:
                yield sealed, size


def fetch(results: Path, incoming: Path, store: Source, sealed: Sealed, got: Count) -> int:
    """Fetch one folder, check it, and rename it into its place; its bytes are returned.

    Raises:
        VerificationError: it is not what it says; nothing of it comes into the results.
        StoreError: the store fails, or the results cannot be written.
    """
    manifest = store.read(sealed.key, MOST_MANIFEST_BYTES)
    named = sealed.files(manifest)
    folder = incoming / sealed.place.replace("/", "_")
    try:
        folder.mkdir(exist_ok=True)
        _forget_others(folder, {file.name for file in named})
        for file in named:
            _fetch_file(store, sealed, file, folder / file.name, got)
        (folder / sealed.kind.manifest).write_bytes(manifest)
        _move(folder, results / sealed.place)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise VerificationError(
            f"{sealed}: its files have no place.",
            f"{error.filename2 or error.filename}: {error.strerror}.",
            "Move what is there away, or fetch the record from the machine that made it.",
        ) from error
    except OSError as error:
        raise hashing.unwritable(results, error) from error
    return len(manifest) + sum(file.bytes for file in named)


def _forget_others(folder: Path, names: Collection[str]) -> None:
    """Take away what an earlier download left and this manifest does not name."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in names:
            path.unlink()


def _move(folder: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        raise FileExistsError(error.errno, "a folder without a manifest", str(place)) from error


def _fetch_file(store: Source, sealed: Sealed, file: File, path: Path, got: Count) -> None:
    """Fetch one file; what an earlier download left of it is used if its hash then fits."""
    key = object_key(file.sha256)
    path.parent.mkdir(parents=True, exist_ok=True)
    started = path.exists()
    for _ in range(2 if started else 1):
        if path.exists() and path.stat().st_size > file.bytes:
            path.unlink()
        path.touch()
        store.get(key, path, file.bytes, got)
        if hashing.sha256(path) == file.sha256:
            return
        path.unlink()
    raise VerificationError(
        f"{sealed}: {file.name} failed verification.",
        f"{key} in {store.address} has other content than its name says.",
        "./inv upload --repair, on a machine that has the record, puts it there anew.",
    )


@contextlib.contextmanager
def _only_download(results: Path, wait: bool = False) -> Iterator[Path]:
    """The folder in which downloads are put together, held for this one."""
    incoming = results / INCOMING
    incoming.mkdir(parents=True, exist_ok=True)
    with (incoming / hashing.LOCK).open("w") as lock:
        try:
            system.lock(lock.fileno(), wait)
        except BlockingIOError as error:
            raise StoreError("Another download is going on here.", f"It holds {incoming}.", "Wait for it.") from error
        yield incoming


# Both


def each(
    items: Iterable[Item], move: Callable[[Item], Result], *pools: ThreadPoolExecutor
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Move the items, several at once and in order; whoever leaves early ends what was not begun, also in `pools`.

    No more than AHEAD are waiting at a time, so that a million take no more memory than a thousand.
    """
    pool = ThreadPoolExecutor(PARALLEL)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(move, item)))
            if len(waiting) == AHEAD:  # half of them at a time: to wake up for each would cost as much as moving it
                yield from (waiting.popleft() for _ in range(AHEAD // 2))
        yield from waiting
    finally:
        for other in (*pools, pool):
            other.shutdown(wait=False, cancel_futures=True)


@contextlib.contextmanager
def refusals(outcome: Outcome, sealed: Sealed) -> Iterator[None]:
    """Keep what is refused of one folder, so that the others go on."""
    try:
        yield
    except VerificationError as error:
        outcome.refused[str(sealed)] = str(error)


@contextlib.contextmanager
def _bar(what: str, total: int | None) -> Iterator[Count]:
    """A progress bar in bytes, on a terminal only."""
    from tqdm import tqdm

    shown = sys.stderr.isatty() and total != 0
    with tqdm(desc=what, total=total, unit="B", unit_scale=True, disable=not shown, leave=False) as bar:
        yield bar.update


def require_all(outcome: Outcome, what: str) -> None:
    """Raise if a folder was refused.

    Raises:
        VerificationError: naming the first few, after the others were moved.
    """
    if outcome.refused:
        shown = [text.replace("\n", " ") for text in list(outcome.refused.values())[:10]]
        more = [f"… and {len(outcome.refused) - 10} more"] if len(outcome.refused) > 10 else []
        raise VerificationError(
            f"{len(outcome.refused)} not {what}; the others were.",
            "\n".join([*shown, *more]),
            "./inv verify checks what is here.",
        )


def summary(outcome: Outcome, done: str, where: str) -> str:
    """For example: Uploaded 12 records and 1 attachment (3.4 MiB) to s3://team; 30 were there."""
    names = [sealed.kind.name for sealed in outcome.moved]
    counted = [f"{names.count(name)} {name}{'s' * (names.count(name) > 1)}" for name in dict.fromkeys(names)]
    size = f" ({outcome.bytes / 2**20:.1f} MiB)" if outcome.moved and outcome.bytes else ""
    there = f"{outcome.there} {'was' if outcome.there == 1 else 'were'} there"
    return f"{done} {' and '.join(counted) or 'nothing'}{size} {where}; {there}."
