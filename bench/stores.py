"""Uploading beside the AWS CLI and s5cmd: 2,000 small files, and 2 GB in big ones; and how fast hashes are verified.

./inv bench --only stores                        or one part: .stacks/bench-stores/bin/python bench/stores.py small

The server is SeaweedFS on loopback; in each round all sides send the same files to it, in turn, each to a place of its
own. The peers copy files; this program also checks every hash and seal, asks what is there, and puts records last.
Takes six minutes and, until its end, 10 GB of disk.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from matrix import a_record
from measuring import ROOT, TOOLS, Side, Timings, copy_of_checkout, goal, interleaved, table

sys.path.insert(0, str(ROOT))
sys.path.insert(1, str(ROOT / "tests" / "integration"))
import s3_server

from harness.evidence import hashing, records

STACK = "bench-stores"  # that ./inv bench runs it in

RECORDS, FILES = 400, 4  # with record.json: five files a record
BIG_FILES, BIG_BYTES = 4, 512 * 2**20
SMALL_ROUNDS, BIG_ROUNDS, VERIFY_ROUNDS = 5, 3, 5
OURS, CLI, S5CMD = "./inv upload", "aws s3 cp --recursive", "s5cmd cp"


def fill(results: Path, count: int, files: int, size: Callable[[int], int]) -> None:
    """Write `count` sealed records, each with `files` files of random bytes."""
    for number in range(count):
        record = a_record(number, "4", "cpu", "A processor")
        folder = results / ".unfinished" / record["id"]
        folder.mkdir(parents=True)
        for index in range(files):
            with (folder / f"file-{index}.bin").open("wb") as file:
                left = size(number * files + index)
                while left:
                    left -= file.write(os.urandom(min(left, 2**24)))
        records.seal_folder(results, folder, record)
    shutil.rmtree(results / ".unfinished")


def sides(tree: Path, server: s3_server.Server) -> list[Side]:
    """The three commands; each round's place is a fresh one."""
    fresh = {**s3_server.KEYS, "AWS_DEFAULT_REGION": "us-east-1", "HOME": str(tree)}

    def renew() -> None:
        fresh["PLACE"] = f"s3://bench/{uuid.uuid4().hex}"

    ours = f'exec ./inv upload --to "$PLACE?service=seaweedfs&endpoint={server.endpoint}"'
    cli = f'exec {TOOLS}/aws --endpoint-url {server.endpoint} s3 cp --recursive --quiet results "$PLACE"'
    s5cmd = f'exec {TOOLS}/s5cmd --endpoint-url {server.endpoint} --log error cp results/ "$PLACE/"'
    return [
        Side(name, ["sh", "-c", command], tree, fresh, renew)
        for name, command in ((OURS, ours), (CLI, cli), (S5CMD, s5cmd))
    ]


def uploads(what: str, rounds: int, count: int, files: int, size: Callable[[int], int]) -> None:
    """Measure the sides and print them."""
    with copy_of_checkout() as tree:
        fill(tree / "results", count, files, size)
        timings: Timings = {}
        for number in range(rounds):  # a server for each round: what it keeps would fill the disk
            with (
                tempfile.TemporaryDirectory(prefix="homework-bench-") as name,
                s3_server.running(Path(name) / "server") as server,
            ):
                make = [str(TOOLS / "aws"), "--endpoint-url", server.endpoint, "s3", "mb", "s3://bench"]
                environment = {**os.environ, **s3_server.KEYS, "AWS_DEFAULT_REGION": "us-east-1"}
                subprocess.run(make, check=True, env=environment, stdout=subprocess.DEVNULL)
                turn = sides(tree, server)
                turn = turn[number % len(turn) :] + turn[: number % len(turn)]  # a fresh server is slow at first
                for each, seconds in interleaved(turn, 1, warm=False).items():
                    timings.setdefault(each, []).extend(seconds)
    print(f"{what}, {rounds} rounds in turn\n{table(timings, ratio_to=S5CMD)}", flush=True)
    best = min((CLI, S5CMD), key=lambda name: statistics.median(timings[name]))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(timings[OURS], timings[best], strict=True))
    print(goal(f"{what}: time over that of the best peer, {best}", ratio, at_most=2, unit="") + "\n", flush=True)


def small() -> None:
    """2,000 files of 0.2 to 20 KB, in 400 records."""
    uploads("2,000 small files", SMALL_ROUNDS, RECORDS, FILES, lambda index: 200 + index * 7919 % 20_000)


def big() -> None:
    """2 GiB in four files of one record."""
    uploads("2 GiB in four files", BIG_ROUNDS, 1, BIG_FILES, lambda index: BIG_BYTES)


def verify() -> None:
    """The hashes of one big record, as `./inv verify` computes them, on one core, beside sha256sum."""
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as name:
        results = Path(name)
        fill(results, 1, 1, lambda index: BIG_BYTES)
        (folder,) = (path.parent for path in results.rglob(records.FILE))
        rates: dict[str, list[float]] = {"./inv verify's hashes": [], "sha256sum": []}
        for _ in range(VERIFY_ROUNDS):
            start = time.process_time()
            hashing.hash_files(folder)
            rates["./inv verify's hashes"].append(BIG_BYTES / 1e6 / (time.process_time() - start))
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(["sha256sum", folder / "file-0.bin"], check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rates["sha256sum"].append(BIG_BYTES / 1e6 / used)
    for each, numbers in rates.items():
        print(f"{each}: {statistics.median(numbers):.0f} MB a second of one core (least {min(numbers):.0f})")
    rate = statistics.median(rates["./inv verify's hashes"])
    print(goal("verify, a core", rate, at_least=500, unit=" MB/s"))


def main() -> None:
    """All parts, or those named."""
    parts = {"small": small, "big": big, "verify": verify}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
