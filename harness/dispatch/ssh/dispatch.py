"""Remote runs: `./inv run --host ssh://user@box` sends the project, runs it there, and fetches the records.

    this machine                                 the far one
    checkout.py  what is to be sent      ──┐
    connection.py        one ssh, requests and answers        far.py    compare, receive, run, records, read
    results.py   the records there, as a store  ◀──┘                    └─ ./inv run: the same harness, its own set-up

The far checkout is a folder of its own for each checkout here. A run is on the list (underway.py) before it is begun,
and goes on there when the connection breaks, which is then made again; should this side be gone, `./inv jobs` or the
same command follows it, and fetches its record.
"""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from pathlib import Path

from harness import checkout
from harness.checkout import ROOT
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.ssh import underway
from harness.dispatch.ssh.connection import Address, Connection, parse
from harness.dispatch.ssh.far import KILLED
from harness.dispatch.ssh.results import FarResults
from harness.dispatch.ssh.running import Run, patiently
from harness.dispatch.ssh.underway import FarRun
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
from harness.evidence import hashing
from harness.evidence.record import Record
from harness.evidence.sealed import RECORD, Sealed
from harness.stores import transfer
from harness.terminal import bold, dim, yellow

OF_CODE = {
    each.code: each for each in (HomeworkError, UsageError, HardwareError, EngineError, BuildError, VerificationError)
} | {StoreError.code: StoreError}
INTERRUPTED = {130: 2, 143: 15}


@dataclass(frozen=True)
class There:
    """A far folder.

    Args:
        busy: what holds it, if anything does.
        last: the name of the last run there.
        killed: whether that ended without its exit code.
    """

    folder: str
    busy: str
    last: str
    killed: bool


@dataclass(frozen=True)
class Plan:
    """The options that ./inv run is to have on the machine at `address`, which was typed as `host`."""

    address: Address
    options: Sequence[str]
    host: str


class Ssh:
    def plan(self, request: RunRequest) -> Plan:
        """What is to be run there.

        Raises:
            UsageError: the host is no address, or a value that a part does not take.
        """
        request.without_key("--host")
        request.without_wheels("--host")
        request.cells(())  # what does not fit is refused here, before anything is sent
        return Plan(parse(request.host), request.options, request.host)

    def show(self, plan: Plan) -> None:
        """Say what would be sent and, where nothing would, what would run there."""
        with Connection(plan.address) as far:
            _refuse_busy(plan.address, _enter(far, plan.address, make=False))
            if _send(far, dry_run=True):
                return print(f"Then, there: ./inv run {' '.join(plan.options)}")
            run = Run(plan.address, quietly(plan.address), hashing.new_id())
            code = run.to_its_end(far, ["run", *plan.options, "--dry-run"])
        if failure := failure_of(plan.address, code):
            raise failure

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Send the project, run it there, and fetch what it left, and what earlier runs had left.

        Where the same run is under way, or is over and its records are not here, it is that which is followed.

        Raises:
            EngineError: no connection, or the far side cannot do it.
            VerificationError: a record that came failed verification.
            Interrupted: it was left, or ended.
        """
        kept = underway.listed(results, plan.host)
        with Connection(plan.address) as far:
            there = _enter(far, plan.address, make=True)
            same = next((each for each in kept if [*each.options] == [*plan.options] and each.name == there.last), None)
            if same is None:
                _fetch_leftovers(far, results, there)
                _refuse_busy(plan.address, there)
                for each in kept:  # none is going on, and what they had left has come
                    each.forget(results)
                _send(far)
                begun = _written_down(plan, results)
                code = begun_run(begun, plan.address).to_its_end(far, ["run", *plan.options, "--format", "bare"])
                return collect(results, begun, plan.address, code)
        print(dim("· is under way already, or its records are not here yet: it is followed"), flush=True)
        return collect(results, same, plan.address, begun_run(same, plan.address).follow())


def _written_down(plan: Plan, results: Path) -> FarRun:
    """The run on the list, before the far side hears of it."""
    moment = hashing.timestamp(datetime.now(timezone.utc))
    run = FarRun(name=hashing.new_id(), address=plan.host, options=list(plan.options), begun=moment)
    run.write(results)
    return run


def begun_run(run: FarRun, address: Address) -> Run:
    """A run of the list, to be followed."""
    return Run(address, quietly(address), run.name)


def collect(results: Path, run: FarRun, address: Address, code: int) -> Outcome:
    """Fetch what a run that is over has left, and take it off the list. What was killed is sealed first.

    Raises:
        VerificationError: a record that came failed verification.
    """
    if code == KILLED:
        patiently(address, quietly(address), _seal_killed)
    offered: dict[Sealed, None] = {}  # also what came before a connection broke

    def fetch(far: Connection) -> transfer.Outcome:
        offered.update(dict.fromkeys(transfer.download(results, FarResults(far), dry_run=True).moved))
        return transfer.download(results, FarResults(far), wait=True)

    fetched = patiently(address, quietly(address), fetch)
    run.forget(results)
    transfer.require_all(fetched, "fetched")
    return Outcome(
        [Record.read(results / sealed.place) for sealed in offered if sealed.kind is RECORD], failure_of(address, code)
    )


def _fetch_leftovers(far: Connection, results: Path, there: There) -> None:
    """Fetch what earlier runs had left there, also one that was killed; what is refused is so again at the end."""
    if there.killed:
        _seal_killed(far)
    leftovers = transfer.download(results, FarResults(far), wait=True)
    if leftovers.moved:
        print(f"Fetched {_records(len(leftovers.moved))} of earlier runs there")


def _seal_killed(far: Connection) -> None:
    """Let the harness there seal what a run left that was killed with all of its processes, as by a loss of power."""
    far.run(lambda output: None, do="run", words=["jobs", "--once"], name=hashing.new_id())


def failure_of(address: Address, code: int) -> HomeworkError | Interrupted | None:
    """What the far ./inv reported by its exit code; its output was shown as it came."""
    if code in INTERRUPTED:
        return Interrupted(INTERRUPTED[code])
    if not code:
        return None
    what = f"./inv run on {address} ended with exit code {code}."
    remedy = "./inv show RUN shows a record that was fetched."
    return OF_CODE.get(code, EngineError)(what, "See its output above.", remedy)


def quietly(address: Address) -> Callable[[Connection], There]:
    """Enters the folder there once more."""
    return lambda far: _entered(far, address, make=False)


def _entered(far: Connection, address: Address, make: bool) -> There:
    answer, _ = far.ask(do="enter", folder=address.folder or default_folder(), make=make)
    return There(**{each.name: answer[each.name] for each in fields(There)})


def _enter(far: Connection, address: Address, make: bool) -> There:
    """Enter the folder there, and say so."""
    there = _entered(far, address, make)
    print(bold(f"On {address}, in {there.folder}"), flush=True)
    return there


def _refuse_busy(address: Address, there: There) -> None:
    if there.busy:
        why = f"{there.busy} there holds {there.folder}; after a connection that broke, a run goes on."
        number = there.busy.rpartition(" ")[2]
        end = f"; or end it: ssh {address} kill -INT -- -{number}" if number.isdigit() else ""
        remedy = f"Call again when it is over: ./inv jobs follows it, if it was begun here{end}"
        raise EngineError(f"{address}: a run is going on.", why, remedy)


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
