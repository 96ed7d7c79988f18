"""How long `./inv matrix` takes over 1,000, 10,000 and 100,000 records: cold, without its index, and warm.

./inv bench --only matrix

The records are synthetic, in a temporary copy of the checkout, spread over every part and kind and several models.
A record's folder holds record.json alone, for the matrix reads nothing else. The operating system keeps the files in
memory all along, so that a cold disk is not measured. Takes about four minutes and, until its end, 1 GiB of disk.
"""

import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from jsonschema import validate
from measuring import ROOT, Side, copy_of_checkout, goal, interleaved, table

sys.path.insert(0, str(ROOT))
from harness.catalogue import datafiles, entries
from harness.evidence import hashing, records
from harness.points import index

STACK = "bench"  # that ./inv bench runs it in
SIZES = (0, 1_000, 10_000, 100_000)
ROUNDS = 5
MODELS = 4
DISK = 2**30
FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)


def synthetic(numbers: Iterable[int], book: entries.Catalogue, results: Path) -> None:
    """Write a sealed record for each number: a minute apart, every tenth failed, the cells in turn."""
    cells = list(itertools.product(book.parts, book.hardware, range(MODELS)))
    for number in numbers:
        part, kind, model = cells[number % len(cells)]
        record = a_record(number, part, kind, f"Model {model} of {kind}")
        record["seal"] = hashing.seal_of(record)
        if number == 0:
            validate(record, json.loads((datafiles.SCHEMAS / "record.schema.json").read_bytes()))
        folder = results / part / kind / record["id"]
        folder.mkdir(parents=True)
        hashing.write_json(folder / records.FILE, record)


def a_record(number: int, part: str, kind: str, model: str) -> dict[str, Any]:
    started, passed = FIRST + timedelta(minutes=number), number % 10 != 0
    found, why = (1e-8, "") if passed else (1e-3, "0.001 is over 1e-06")
    device = {"device": kind, "places": {f"Place({kind}:0)": 12}, "kernels": {"matmul": True, "tanh_grad": True}}
    card = {"index": "0", "model": model, "driver": "1.2.3", "architecture": None, "memory": "64 GiB"}
    return {
        "schema": records.SCHEMA_VERSION,
        "id": f"{started:%Y%m%dT%H%M%S}.000Z-{number:06x}",
        "cell": {"part": part, "hardware": kind},
        "program": {"file": f"projects/{part}/main.py", "revision": f"{number:040x}", "clean": True},
        "parameters": {"method": "ritz", "grid": 101},
        "seed": 0,
        "cards": 1,
        "hardware": {
            "model": model,
            "architecture": None,
            "driver": "1.2.3",
            "cards": [card],
            "machine": "x86_64",
            "system": "Linux",
            "kernel": "6.1",
        },
        "engine": {"name": "local", "image": None},
        "command": ["python", f"projects/{part}/main.py", "--part", part, "--device", kind, "--out", "OUT"],
        "environment": {"PYTHONUNBUFFERED": "1"},
        "stack": {"name": "base", "lock_sha256": f"{number:064x}", "index": None, "python": "3.11.9"},
        "paddle": {"package": "paddlepaddle", "version": "3.0.0", "wheel": None, "wheel_sha256": None},
        "times": {
            "started": hashing.timestamp(started),
            "finished": hashing.timestamp(started + timedelta(seconds=9)),
            "seconds": 9.0,
        },
        "exit": {"reason": "finished", "code": 0, "signal": None},
        "log": {"bytes": 0, "left_out": 0},
        "metrics": {"relative_l2": found, "max_deflection": 0.0123456789},
        "device": device,
        "checks": [
            {"name": "program", "asked": "finished, code 0", "found": "finished, code 0", "passed": True, "why": ""},
            {"name": "device", "asked": kind, "found": kind, "passed": True, "why": ""},
            {"name": "relative_l2", "asked": "at most 1e-06", "found": found, "passed": passed, "why": why},
            {"name": "max_deflection", "asked": "written", "found": 0.0123456789, "passed": True, "why": ""},
        ],
        "passed": passed,
        "artefacts": {},
    }


def disk_used(folder: Path) -> int:
    """Bytes that `folder` takes on the disk."""
    paths = (os.path.join(place, name) for place, folders, files in os.walk(folder) for name in folders + files)
    return sum(os.lstat(path).st_blocks * 512 for path in paths)


def main() -> None:
    """Time both sides at each size, the records growing in number, and print them."""
    if shutil.disk_usage(tempfile.gettempdir()).free < DISK:
        sys.exit(f"{tempfile.gettempdir()} has less than {DISK >> 20} MiB free; name another place by TMPDIR")
    medians: dict[tuple[int, str], float] = {}
    with copy_of_checkout() as tree:
        results = tree / "results"
        results.mkdir()
        book = entries.load(tree)
        cold = Side("cold", ["./inv", "matrix"], tree, before=lambda: (results / index.FILE).unlink(missing_ok=True))
        warm = Side("warm", ["./inv", "matrix"], tree)
        for before, size in zip((0, *SIZES), SIZES, strict=False):
            synthetic(range(before, size), book, results)
            timings = interleaved([cold, warm], ROUNDS)
            medians.update({(size, name): statistics.median(seconds) for name, seconds in timings.items()})
            print(f"{size:,} records, {ROUNDS} rounds in turn\n{table(timings, ratio_to='warm')}\n", flush=True)
        print(f"On disk: {disk_used(results) / 2**20:.0f} MiB")
    print(goal(f"./inv matrix over {SIZES[-1]:,} records, warm", medians[SIZES[-1], "warm"], at_most=2))
    for name in ("cold", "warm"):
        each = [(medians[size, name] - medians[0, name]) / size for size in SIZES[-2:]]
        what = f"seconds a record beyond the start, {name}, {SIZES[-1]:,} over {SIZES[-2]:,}"
        print(goal(what, each[1] / each[0], at_most=2, at_least=0.5, unit=""))


if __name__ == "__main__":
    main()
