"""A matrix over 1,000, 10,000 and 100,000 records of a store read over plain HTTP: requests, processor time, memory.

./inv bench --only board

The records are synthetic and sealed, the index that the store's reader asks for is written by the code of uploads, and
the server, on loopback, counts what it is asked. Each matrix is a process of its own, the first with nothing kept and
the second with what the first has kept. Ten million records are extrapolated from the two larger sizes, and said so.
Takes ten minutes of a core and 1 GiB of disk until its end.
"""

import functools
import http.server
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from matrix import synthetic
from measuring import ROOT, goal, keep, most_memory
from tabulate import tabulate

sys.path.insert(0, str(ROOT))
from harness.catalogue import entries
from harness.evidence import sealed
from harness.points.index import results_of
from harness.stores import index, team
from harness.stores.opening import open_store
from harness.stores.web import WebStore

STACK = "bench"  # that ./inv bench runs it in
SIZES = (1_000, 10_000, 100_000)
EXTRAPOLATED = 10_000_000
HANDFUL = 1 + index.MOST_SEGMENTS  # the head, and its segments


class Counting(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and counts."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


def read(address: str, cache: Path, count: int) -> None:
    """What `./inv matrix --from` does, and what it took."""
    before = time.process_time()
    folder, damaged = team.gather([WebStore(address, cache / "segments")], cache, cache / "segments")
    found, more = results_of(folder)
    if damaged or more or sum(1 for _ in sealed.here(folder)) != count or not found:
        sys.exit(f"Of {count} records not all are counted: {[*damaged, *more][:3]}")
    print(json.dumps([time.process_time() - before, most_memory()]))


def measure(address: str, cache: Path, count: int) -> tuple[int, float, float]:
    """Requests, seconds of processor and MiB of one matrix, in a process of its own."""
    Counting.asked = 0
    words: Sequence[str] = [sys.executable, __file__, address, str(cache), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    if done.returncode != 0:
        sys.exit(done.stderr[-2000:])
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return Counting.asked, seconds, memory


def main() -> None:
    """Grow the store, read it twice at each size, and show what that took."""
    book, before = entries.load(ROOT), 0
    rows: list[tuple[int, str, int, float, float]] = []
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        results, place = Path(name) / "results", Path(name) / "store"
        handler = functools.partial(Counting, directory=str(place))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        known = set[sealed.Sealed]()
        for size in SIZES:
            synthetic(range(before, size), book, results)
            there = set(sealed.here(results))
            index.update(results, open_store(str(place)), sorted(there - known, key=lambda each: each.place))
            before, known, cache = size, there, Path(name) / f"cache-{size}"
            for how in ("first", "second"):
                rows.append((size, how, *measure(f"http://127.0.0.1:{server.server_port}", cache, size)))
        server.shutdown()
        show(rows)  # before the files are taken away, which takes minutes


def show(rows: list[tuple[int, str, int, float, float]]) -> None:
    """Print the table, what it means for ten million, and the goals."""
    each = {(size, how): (cpu, memory) for size, how, _, cpu, memory in rows}
    print(
        tabulate(rows, ("records", "matrix", "requests", "s of processor", "MiB"), floatfmt=("", "", "", ".2f", ".0f"))
    )
    kept: dict[str, float] = {"requests": max(requests for _, _, requests, _, _ in rows)}
    for how in ("first", "second"):
        slopes = [(each[b, how][0] - each[a, how][0]) / (b - a) for a, b in itertools.pairwise(SIZES)]
        memory = (each[SIZES[-1], how][1] - each[SIZES[-2], how][1]) / (SIZES[-1] - SIZES[-2])
        kept |= {f"{how}_ms": slopes[-1] * 1e3, f"{how}_held": slopes[-1] / slopes[0], f"{how}_kib": memory * 1024}
        hours, gib = slopes[-1] * EXTRAPOLATED / 3600, memory * EXTRAPOLATED / 1024
        print(
            f"{how}: {slopes[-1] * 1e3:.3f} ms and {memory * 1024:.2f} KiB a further record; extrapolated to", end=" "
        )
        print(f"{EXTRAPOLATED:,}, not run: {hours:.2f} hours of one core, {gib:.1f} GiB")
        kept |= {f"{how}_hours": hours, f"{how}_gib": gib}
    print(goal("requests of a matrix over any number of records", kept["requests"], HANDFUL, unit=""))
    for how in ("first", "second"):
        print(goal(f"the {how} matrix, a further record over 10,000 to one below", kept[f"{how}_held"], 1.2, unit=""))
    print(goal("the first matrix over ten million records, extrapolated", kept["first_hours"], 1, unit=" h"))
    keep(kept)


if __name__ == "__main__":
    if sys.argv[1:]:
        read(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
