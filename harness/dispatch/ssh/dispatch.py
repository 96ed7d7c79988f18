"""Remote runs: `./inv run --host ssh://user@box` sends the project, runs it there, and fetches the records.

    this machine                                 the far one
    checkout.py  what is to be sent      ──┐
    connection.py        one ssh, requests and answers        far.py    compare, receive, run, records, read
    results.py   the records there, as a store  ◀──┘                    └─ ./inv run: the same harness, its own set-up

The far checkout is a folder of its own for each checkout here. A run goes on there when the connection breaks, which
is then made again; should this side be gone, the next call fetches its record.
"""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import checkout
from harness.checkout import ROOT
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.ssh.connection import Address, Connection, parse
from harness.dispatch.ssh.results import FarResults
from harness.dispatch.ssh.running import Run
from harness.errors import (
    BuildError,
    EngineError,
    HardwareError,
    HomeworkError,
    Interrupted,
    StoreError,
    UsageError,
    VerificationError,
)
from harness.evidence.record import Record
from harness.evidence.sealed import RECORD
from harness.stores import transfer
from harness.terminal import bold, yellow

OF_CODE = {
    each.code: each for each in (HomeworkError, UsageError, HardwareError, EngineError, BuildError, VerificationError)
} | {StoreError.code: StoreError}
INTERRUPTED = {130: 2, 143: 15}


@dataclass(frozen=True)
class Plan:
    """The options that ./inv run is to have on the machine at `address`."""

    address: Address
    options: Sequence[str]


class Ssh:
    def plan(self, request: RunRequest) -> Plan:
        """What is to be run there.

        Raises:
            UsageError: the host is no address, or a value that a part does not take.
        """
        request.without_key("--host")
        request.without_wheels("--host")
        request.cells(())  # what does not fit is refused here, before anything is sent
        return Plan(parse(request.host), request.options)

    def show(self, plan: Plan) -> None:
        """Say what would be sent and, where nothing would, what would run there."""
        with Connection(plan.address) as far:
            _refuse_busy(plan.address, _enter(far, plan.address, make=False))
            if _send(far, dry_run=True):
                return print(f"Then, there: ./inv run {' '.join(plan.options)}")
            code = Run(plan.address, _quietly(plan.address)).to_its_end(far, ["run", *plan.options, "--dry-run"])
        if failure := failure_of(plan.address, code):
            raise failure

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Send the project, run it there, and fetch what it left, and what earlier runs had left.

        Raises:
            EngineError: no connection, or the far side cannot do it.
            VerificationError: a record that came failed verification.
        """
        with Connection(plan.address) as far:
            busy = _enter(far, plan.address, make=True)
            leftovers = transfer.download(results, FarResults(far))
            if leftovers.moved:
                print(f"Fetched {_records(len(leftovers.moved))} of earlier runs there")
            _refuse_busy(plan.address, busy)
            _send(far)
            run = Run(plan.address, _quietly(plan.address))
            code = run.to_its_end(far, ["run", *plan.options, "--format", "bare"])
        with Connection(plan.address) as far:
            _quietly(plan.address)(far)
            fetched = transfer.download(results, FarResults(far))
        for outcome in (leftovers, fetched):
            transfer.require_all(outcome, "fetched")
        here = [Record.read(results / sealed.place) for sealed in fetched.moved if sealed.kind is RECORD]
        return Outcome(here, failure_of(plan.address, code))


def failure_of(address: Address, code: int) -> HomeworkError | Interrupted | None:
    """What the far ./inv reported by its exit code; its output was shown as it came."""
    if code in INTERRUPTED:
        return Interrupted(INTERRUPTED[code])
    if not code:
        return None
    what = f"./inv run on {address} ended with exit code {code}."
    remedy = "./inv show RUN shows a record that was fetched."
    return OF_CODE.get(code, EngineError)(what, "See its output above.", remedy)


def _quietly(address: Address) -> Callable[[Connection], object]:
    """Enters the folder there once more."""
    return lambda far: far.ask(do="enter", folder=address.folder or default_folder(), make=False)


def _enter(far: Connection, address: Address, make: bool) -> tuple[str, str]:
    """Enter the folder there; it, and what holds it, if anything does."""
    entered, _ = far.ask(do="enter", folder=address.folder or default_folder(), make=make)
    print(bold(f"On {address}, in {entered['folder']}"))
    return entered["folder"], entered["busy"]


def _refuse_busy(address: Address, entered: tuple[str, str]) -> None:
    folder, busy = entered
    if busy:
        why = f"{busy} there holds {folder}; after a connection that broke, a run goes on."
        number = busy.rpartition(" ")[2]
        end = f", or end it: ssh {address} kill -INT -- -{number}" if number.isdigit() else ""
        raise EngineError(f"{address}: a run is going on.", why, f"Call again when it is over{end}")


def _send(far: Connection, dry_run: bool = False) -> list[str]:
    """Send the files that are not there, or are others; their names."""
    sending = checkout.read(ROOT)
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
