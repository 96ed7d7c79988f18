"""A hundred thousand cells on a thousand nodes, ten million records: where time and memory go, and what breaks first.

./inv bench --only scaling

The cells come from the real planner; what becomes of each is drawn (see `simulate`); its record is sealed and moved by
the real record store, over a folder and over SeaweedFS on loopback. Each step runs in a process of its own, so that its
memory is its own. What cannot be run here is extrapolated: each step is taken to cost the same for every further record
as between the two largest sizes, and the table shows how well that held between the smaller ones.
Takes three to four minutes, also on two busy cores, and with --full a quarter of an hour and 2 GiB of disk until its
end. docs/scaling.md says what follows from it.
"""

import heapq
import itertools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matrix import a_record
from measuring import ROOT, goal, most_memory
from tabulate import tabulate

sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "tests" / "integration"))
from harness.catalogue import entries
from harness.catalogue.cells import requests
from harness.dispatch.listed import batches
from harness.dispatch.listed import missing as missing_cells
from harness.dispatch.listed.job import Job
from harness.dispatch.slurm.scheduler import SlurmScheduler
from harness.evidence import records
from harness.evidence.sealed import folders
from harness.machine.probe import Card, Finding
from harness.points import index
from harness.runs import runner
from harness.runs.runner import Planned
from harness.stores import team, transfer
from harness.stores.opening import open_store

STACK = "test"  # that ./inv bench runs it in

NODES, CELLS, RECORDS = 1_000, 100_000, 10_000_000
CARDS, ARRAY = 8, 1_000
ROUNDS = (1, 2, 6)  # in which the planner is measured: each is a seed, and every part on every node
SIZES = (1_000, 4_000, 16_000)
SIZES_S3 = (300, 900, 2_700)
FULL = 6  # with --full so many times the records
OBJECTS_A_RECORD = 8  # record, log, picture, statement, metrics, device, trace, and one file of the program's own
MEDIAN_SECONDS, SPREAD = 20.0, 1.0  # of a cell: log-normal, cut at the part's own limit
FAILS, NODE_FAILS, NODE_BACK = 0.05, 1 / 2000, 600.0
WINDOW = 10.0  # seconds over which arrivals are counted
PYTHON = ROOT / ".venv" / "bin" / "python"


# The simulation


@dataclass(frozen=True)
class Outcome:
    """What became of one start of a cell."""

    part: str
    kind: str
    model: str
    end: float
    seconds: float
    reason: str
    passed: bool


def plan(count: int) -> list[Planned]:
    """The first `count` cells that the real planner makes for all nodes: each kind on as many, eight cards each.

    What it would leave out on this machine, whose Python has no wheels for a kind, is kept: the nodes have another.
    """
    book = entries.load(ROOT)
    kinds = [kind for kind in book.hardware.values() if kind.category != "simulated"]
    nodes = []
    for node in range(NODES):
        kind = kinds[node % len(kinds)]
        cards = tuple(Card(index=str(card), model=f"{kind.title} {node % 4}") for card in range(CARDS))
        nodes.append(Finding(kind, cards))
    parts = [part for part in book.parts.values() if part.program]
    planned: list[Planned] = []
    while len(planned) < count:  # once for each seed
        for part in parts:
            for found in nodes:
                planned += runner.plan(requests([part], [found.hardware]), [found], "local")
    return planned[:count]


def simulate(cells: Sequence[Planned]) -> Iterator[Outcome]:
    """Let the nodes take their kind's cells in turn; a node may fail, and its cell goes back to the queue."""
    chance = random.Random(0)
    waiting: dict[str, deque[Planned]] = {}
    for entry in cells:
        waiting.setdefault(entry.cell.hardware.name, deque()).append(entry)
    kinds = list(waiting)
    free = [(0.0, node, kinds[node % len(kinds)]) for node in range(NODES)]
    heapq.heapify(free)
    while free:
        start, node, kind = heapq.heappop(free)
        if not waiting[kind]:
            continue
        entry = waiting[kind].popleft()
        drawn, limit = MEDIAN_SECONDS * chance.lognormvariate(0, SPREAD), entry.cell.part.timeout
        seconds, reason, rest = min(drawn, limit), "finished" if drawn < limit else "timed out", 0.0
        if chance.random() < NODE_FAILS:
            reason, rest = "node failed", NODE_BACK
            waiting[kind].append(entry)
        passed = reason == "finished" and chance.random() >= FAILS
        heapq.heappush(free, (start + seconds + rest, node, kind))
        yield Outcome(entry.cell.part.name, kind, entry.finding.model, start + seconds, seconds, reason, passed)


def write(first: int, count: int, results: Path) -> None:
    """Seal the records of the outcomes from `first` to `count`, each in its place."""
    for number, outcome in enumerate(itertools.islice(simulate(plan(count)), count)):
        if number < first:
            continue
        record = a_record(number, outcome.part, outcome.kind, outcome.model)
        record["exit"]["reason"], record["times"]["seconds"] = outcome.reason, round(outcome.seconds, 3)
        record["passed"] = record["checks"][0]["passed"] = outcome.passed
        folder = results / ".unfinished" / record["id"]
        folder.mkdir(parents=True)
        records.seal_folder(results, folder, record)


def right(count: int, results: Path) -> None:
    """Whether the matrix says of every model what the simulation did."""
    wanted: dict[tuple[str, str, str], bool] = {}
    for outcome in itertools.islice(simulate(plan(count)), count):
        key = (outcome.part, outcome.kind, outcome.model)
        wanted[key] = wanted.get(key, False) or outcome.passed
    found, damaged = index.results_of(results)
    if damaged or {(each.part, each.hardware, each.model): each.passed for each in found} != wanted:
        sys.exit(f"The matrix over {count} records is not what was simulated: {damaged[:3]}")


def missing(count: int) -> None:
    """Find which of `count` cells a Slurm has still to be given, of which every second one runs already, in its arrays.

    Slurm's answer is made up; the list of jobs, the records and the search are real.
    """
    book = entries.load(ROOT)
    (asked,) = requests([book.parts["4"]], [book.hardware["cpu"]])
    one = missing_cells.wanted(asked, 900.0)
    cells = [replace(one.cell, run=f"20261123T000000.000Z-{seed:06x}", seed=seed) for seed in range(count)]
    with tempfile.TemporaryDirectory() as name:
        results, running = Path(name), {}
        for first in range(0, count, 2 * ARRAY):
            some = tuple(cells[first : first + 2 * ARRAY : 2])
            batch = batches.Batch(id=f"{first:08}", cells=some, program={}, submitted="2026-11-23T00:00:00.000Z", job=1)
            batch.write(results)
            job = Job(id="1", state="RUNNING", nodes="n1")
            running.update({(batch.id, place): job for place in range(len(some))})
        scheduler = SlurmScheduler()
        scheduler.queue = lambda batches: running  # type: ignore[method-assign]
        found = missing_cells.split([replace(one, cell=cell) for cell in cells], results, lambda name: scheduler)
    if [each.cell for each in found.missing] != cells[1::2] or len(found.under_way) != len(cells[::2]):
        sys.exit(f"Of {count} cells {len(found.missing)} are said to be missing.")


# A step, in a process of its own


def make_bucket(endpoint: str) -> None:
    import boto3

    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="bench")


STEPS: dict[str, Callable[..., object]] = {
    "plan": lambda count: plan(int(count)),
    "missing": lambda count: missing(int(count)),
    "simulate": lambda count: sum(1 for _ in simulate(plan(int(count)))),
    "write": lambda first, count, results: write(int(first), int(count), Path(results)),
    "right": lambda count, results: right(int(count), Path(results)),
    "matrix": lambda results: index.results_of(Path(results)),
    "upload": lambda results, store: transfer.upload(Path(results), open_store(store)),
    "gather": lambda store, cache: team.gather([open_store(store, reading=True)], Path(cache)),
    "bucket": make_bucket,
}


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu: float
    mib: float


def step(name: str, *words: object) -> Cost:
    """Run a step in a process of its own: its seconds and CPU seconds, without Python's start, and its most memory."""
    command = [str(PYTHON), __file__, "step", name, *map(str, words)]
    done = subprocess.run(command, env={**os.environ, **environment()}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    import s3_server

    return {**s3_server.KEYS, "AWS_DEFAULT_REGION": "us-east-1"}


def do_step(name: str, *words: str) -> None:
    if name in ("plan", "missing"):
        STEPS[name]("1")  # what is imported and read once is no cost of a cell
    start, before = time.perf_counter(), time.process_time()
    STEPS[name](*words)
    print(json.dumps(asdict(Cost(time.perf_counter() - start, time.process_time() - before, most_memory()))))


# The measurement

Costs = dict[str, dict[int, Cost]]


def measure_planner() -> Costs:
    parts = sum(part.program is not None for part in entries.load(ROOT).parts.values())
    sizes = [rounds * parts * NODES for rounds in ROUNDS]
    return {
        "plan the cells (run --dry-run)": {size: step("plan", size) for size in sizes},
        "find the missing (run --on slurm)": {size: step("missing", size) for size in sizes},
    }


def measure_folder(folder: Path, sizes: Sequence[int]) -> Costs:
    """Local results, and a store in a folder, growing."""
    results, store, cache = folder / "results", folder / "store", folder / "cache"
    (store / "sealed").mkdir(parents=True)
    costs: Costs = {}
    for before, size in itertools.pairwise((0, *sizes)):
        wrote = step("write", before, size, results)
        costs.setdefault("seal a record, on the node", {})[size - before] = wrote
        (results / index.FILE).unlink(missing_ok=True)
        named: list[tuple[str, tuple[object, ...]]] = [
            (f"matrix, {how}", ("matrix", results)) for how in ("all records new", "again")
        ]
        _link(results, store / "sealed")
        shutil.rmtree(cache, ignore_errors=True)
        named += [(f"matrix --from FOLDER, {how}", ("gather", store, cache)) for how in ("all records new", "again")]
        named += [("upload to a folder, nothing new", ("upload", results, store))]
        for name, words in named:
            costs.setdefault(name, {})[size] = step(str(words[0]), *words[1:])
        step("right", size, results)
    return costs


def _link(results: Path, sealed: Path) -> None:
    """The store as uploads would leave it. An upload waits for the disk after every record; that is measured on S3."""
    for part, kind, entry in folders(results):
        place = sealed / part / kind / entry.name
        if not place.exists():
            place.mkdir(parents=True)
            os.link(f"{entry.path}/{records.FILE}", place / records.FILE)


def measure_s3(folder: Path, endpoint: str, sizes: Sequence[int]) -> Costs:
    results, cache = folder / "results-s3", folder / "cache-s3"
    store = f"s3://bench/homework?service=seaweedfs&endpoint={endpoint}"
    step("bucket", endpoint)
    costs: Costs = {}
    for before, size in itertools.pairwise((0, *sizes)):
        step("write", before, size, results)
        costs.setdefault("upload to S3, new", {})[size - before] = step("upload", results, store)
        costs.setdefault("upload to S3, nothing new", {})[size] = step("upload", results, store)
        shutil.rmtree(cache, ignore_errors=True)
        for how in ("all records new", "again"):
            costs.setdefault(f"matrix --from s3://, {how}", {})[size] = step("gather", store, cache)
    return costs


def slopes(each: dict[int, Cost], of: str) -> list[float]:
    """What a further record costs between two sizes and the next."""
    sizes = sorted(each)
    return [(getattr(each[b], of) - getattr(each[a], of)) / (b - a) for a, b in itertools.pairwise(sizes)]


def table(costs: Costs) -> str:
    rows = []
    for name, each in costs.items():
        sizes = sorted(each)
        seconds, cpu, mib = slopes(each, "seconds"), slopes(each, "cpu"), slopes(each, "mib")
        beyond = (CELLS if "(run" in name else RECORDS) - sizes[-1]
        measured = " / ".join(f"{each[size].seconds:.2f}" for size in sizes)
        hours = (each[sizes[-1]].seconds + seconds[-1] * beyond) / 3600
        gib = max(0.0, each[sizes[-1]].mib + mib[-1] * beyond) / 1024
        each_ms = (seconds[-1] * 1e3, cpu[-1] * 1e3)
        rows.append((name, measured, *each_ms, cpu[-1] / cpu[0], mib[-1] * 1024, hours, gib))
    headers = ("", "seconds", "ms a record", "of CPU", "held", "KiB a record", "hours at 10 M", "GiB at 10 M")
    return str(tabulate(rows, headers, floatfmt=("", "", ".3f", ".3f", ".2f", ".2f", ".2f", ".1f")))


def show_simulation(put: float) -> None:
    """The cells on their nodes; and what their records ask of the store, beside what one machine could send."""
    outcomes = list(simulate(plan(CELLS)))
    end = max(outcome.end for outcome in outcomes)
    arrivals = Counter(int(outcome.end / WINDOW) for outcome in outcomes)
    busy = sum(outcome.seconds for outcome in outcomes) / (end * NODES)
    usual, most = statistics.median(arrivals.values()) / WINDOW, max(arrivals.values()) / WINDOW
    reasons = Counter(outcome.reason for outcome in outcomes)
    print(f"{CELLS:,} cells on {NODES:,} nodes: {end / 60:.0f} minutes, nodes busy {busy:.0%} of it; {dict(reasons)}")
    print(f"records a second: median {usual:.0f}, most {most:.0f}; with {OBJECTS_A_RECORD} objects each", end=" ")
    print(f"{most * OBJECTS_A_RECORD:.0f} writes a second; one uploader here sends {put:.0f} objects a second")
    backlog = worst = 0.0
    for window in range(int(end / WINDOW) + 1):
        backlog = max(0.0, backlog + arrivals[window] * OBJECTS_A_RECORD - put * WINDOW)
        worst = max(worst, backlog)
    print(f"sent by one machine, {worst:,.0f} objects would wait at worst, for {worst / put / 60:.0f} minutes\n")


def main(times: int) -> None:
    """Measure `times` the usual numbers of records, extrapolate, and print."""
    import s3_server

    sizes, sizes_s3 = (tuple(times * size for size in each) for each in (SIZES, SIZES_S3))
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        folder = Path(name)
        planner = measure_planner()
        local = measure_folder(folder, sizes)
        with s3_server.running(folder / "server") as server:
            remote = measure_s3(folder, server.endpoint, sizes_s3)
    show_simulation(1 / slopes(remote["upload to S3, new"], "seconds")[-1])
    planned = tuple(next(iter(planner.values())))
    print(f"seconds at {planned} cells, at {sizes} records in a folder and {sizes_s3} on S3;", end=" ")
    print("sealed and sent: at the numbers that were added")
    print("held: a further record's CPU time between the two larger sizes, against that between the two smaller ones")
    print(table({**planner, **local, **remote}))
    for what, each in {**planner, **local}.items():
        print(goal(f"{what}: not worse than linear", slopes(each, "cpu")[-1] / slopes(each, "cpu")[0], 1.5, 0, ""))
    print(f"took {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["step"]:
        do_step(*sys.argv[2:])
    else:
        main(FULL if "--full" in sys.argv else 1)
