"""Remote runs: `./inv run --host ssh://user@box` sends the project, runs it there, and fetches the records.

    this machine                                 the far one
    checkout.py  what is to be sent      ──┐
    connection.py        one ssh, requests and answers        far.py    compare, receive, run, records, read
    results.py   the records there, as a store  ◀──┘                    └─ ./inv run: the same harness, its own set-up

The far checkout is a folder of its own for each checkout here. A run goes on there when the connection breaks; the next
call fetches its record.
"""

import hashlib
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import checkout
from harness.checkout import ROOT
from harness.dispatch.ssh.connection import Address, Connection, parse
from harness.dispatch.ssh.results import FarResults
from harness.errors import (
    BuildError,
    EngineError,
    HardwareError,
    HomeworkError,
    Interrupted,
    StoreError,
    VerificationError,
    WordsError,
)
from harness.stores import transfer
from harness.terminal import bold, yellow

OF_CODE = {
    each.code: each for each in (HomeworkError, WordsError, HardwareError, EngineError, BuildError, VerificationError)
} | {StoreError.code: StoreError}
INTERRUPTED = {130: 2, 143: 15}


@dataclass(frozen=True)
class Outcome:
    """How the far ./inv ended, and the folders here of the records that it left."""

    address: Address
    code: int
    folders: Sequence[Path]

    def require_passed(self) -> None:
        """Raise what the far ./inv reported.

        Raises:
            Interrupted: it was interrupted.
            HomeworkError: of the kind that its exit code says; its words were shown as they came.
        """
        if self.code in INTERRUPTED:
            raise Interrupted(INTERRUPTED[self.code])
        if self.code:
            kind = OF_CODE.get(self.code, EngineError)
            what = f"./inv run on {self.address} ended with exit code {self.code}."
            raise kind(what, "Its words stand above.", "./inv show RUN shows a record that was fetched.")


def run(host: str, words: Sequence[str], results: Path, dry_run: bool = False) -> Outcome:
    """Send the project, run `./inv run` with these words there, and fetch what it left.

    Args:
        results: where the records go, here.
        dry_run: send nothing; say what would be sent and, where nothing would, what would run.

    Raises:
        WordsError: `host` is no address.
        EngineError: no connection, or the far side cannot do it.
    """
    address = parse(host)
    sending = checkout.read(ROOT)
    with Connection(address) as far:
        entered, _ = far.ask(do="enter", folder=address.folder or default_folder(), make=not dry_run)
        print(bold(f"On {address}, in {entered['folder']}"))
        leftovers = transfer.download(results, FarResults(far), dry_run=dry_run)
        if leftovers.moved and not dry_run:
            print(f"Fetched {_records(len(leftovers.moved))} of earlier runs there")
        if entered["busy"]:
            why = f"{entered['busy']} there holds {entered['folder']}; after a connection that broke, a run goes on."
            number = entered["busy"].rpartition(" ")[2]
            end = f", or end it: ssh {address} kill -INT -- -{number}" if number.isdigit() else ""
            remedy = f"Call again when it is over{end}"
            raise EngineError(f"{address}: a run is going on.", why, remedy)
        wanted = _send(far, sending, dry_run)
        if dry_run and wanted:
            print(f"Then, there: ./inv run {' '.join(words)}")
            return Outcome(address, 0, [])
        code = far.run(["run", *words, *(["--dry-run"] if dry_run else ["--format", "bare"])], sys.stdout.buffer)
        fetched = transfer.download(results, FarResults(far), dry_run=dry_run)
    for outcome in (leftovers, fetched):
        transfer.require_all(outcome, "fetched")
    return Outcome(address, code, [results / sealed.place for sealed in fetched.moved])


def _send(far: Connection, sending: checkout.Project, dry_run: bool) -> list[str]:
    """Send the files that are not there, or are others; their names."""
    compared, _ = far.ask(do="compare", files=sending.files)
    wanted: list[str] = [name for name in compared["wanted"] if name in sending.files]
    size = sum(sending.files[name][2] for name in wanted)
    if sending.unknown:
        print(yellow(f"· {sending.unknown} files stay here, because git does not know them (git add)"))
    told = f"{len(wanted)} of {len(sending.files)} files ({size / 2**20:.1f} MiB)"
    print(f"{'Would send' if dry_run else 'Sending'} {told}" if wanted else "Nothing is to be sent", flush=True)
    if not dry_run:
        contents = ((ROOT / name).read_bytes() for name in wanted)
        far.ask(contents, do="receive", files=sending.files, wanted=wanted, source=checkout.revision())
    return wanted


def default_folder() -> str:
    """A folder in the far home for this checkout alone: two of them there may differ."""
    identity = hashlib.sha256(f"{platform.node()}:{ROOT}".encode()).hexdigest()[:12]
    return f"~/.paddlehomework/{identity}"


def _records(number: int) -> str:
    return f"{number} record{'s' * (number != 1)}"
