"""Task 2-3: the whole chain, and whether it is faster: plain eager, to_static, and generated code (or CINN), in turn.

    ./inv python projects/02-compiler/faster.py --part 2-3 --device cpu --out /tmp/faster --set subgraph=softmax
    ./inv python projects/02-compiler/faster.py --part 2-3 --set sizes=64x1024,16384x1024 rounds=31

Every way runs in the same process, one call each in turn, and medians count. All is done twice, in two processes: with
glibc's allocator as it is, which gives large tensors back to the system and then takes a page fault for every 4 KiB of
the next one, and with settings that keep memory in the process. `bench/compiler.py` puts torch.compile beside it.
"""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import accuracy
import backend
import numpy as np
import paddle
import pictures
import subgraphs
import toolchain

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

NAMES = ("rms_norm", "layer_norm", "softmax", "gelu", "swish", "swiglu", "rotary_embedding", "attention")
TUNED = {  # of glibc's malloc, in bytes: what lies below is not given back to the system
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "1073741824",
}
MODES = {"forward": "forward", "forward and backward": "training"}  # as measure.py calls them, and the pictures
LEAST_COLUMNS = 8
ROUNDING = 2.0**-24  # of float32, relatively
Row = dict[str, Any]


def sizes_from(text: str) -> list[tuple[int, int]]:
    """ "64x1024,4096x1024" as pairs; a usage error if it is not that."""
    try:
        sizes = [(int(rows), int(columns)) for rows, columns in (size.split("x") for size in text.split(","))]
    except ValueError:
        sizes = [(0, 0)]
    if any(rows < 1 or columns < 1 for rows, columns in sizes):
        kit.refuse(f"sizes={text} is not understood.", "A size is rows x columns.", "Write sizes=512x1024,4096x1024.")
    return sizes


def require(names: list[str], sizes: list[tuple[int, int]]) -> None:
    """Everything that can be refused before the first measurement.

    Raises SubgraphError for a size that a subgraph cannot have, NoMemory for one that does not fit.
    """
    for rows, columns in sizes:
        if columns < LEAST_COLUMNS:
            raise subgraphs.SubgraphError(
                f"The size {rows}x{columns} has rows of fewer than {LEAST_COLUMNS} numbers.\n"
                "A row that is normalised has to have enough numbers that a gradient is left.\n"
                f"Take at least {LEAST_COLUMNS} columns."
            )
        for name in names:
            accuracy.require_memory(subgraphs.find(name).numbers(rows, columns))


def measured(allocator: str, asked: Mapping[str, Any]) -> list[Row]:
    """What measure.py finds in a process of its own with this allocator."""
    environment = {name: value for name, value in os.environ.items() if name not in TUNED}
    environment |= TUNED if allocator == "tuned" else {}
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("measure.py")), json.dumps(asked)]
    lines = []
    with subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        for line in process.stdout:
            lines.append(line)
            if not line.startswith("["):
                print(f"  {line}", end="")
        words = process.stderr.read().strip().splitlines()
    if process.returncode != 0:
        why = words[-1] if words else f"measure.py ended with {process.returncode}."
        kit.refuse(f"Measuring with the {allocator} allocator failed.", why, "Try it in part 2-1 first.", exit_code=1)
    return json.loads(lines[-1])


def speedup(row: Row) -> float:
    return row["milliseconds"]["plain eager"] / row["milliseconds"][row["compiled"]]


def ways_of(rows: list[Row]) -> list[str]:
    """The ways of running in order; the own pass is one only where it finds a chain to replace."""
    return list(max((row["milliseconds"] for row in rows), key=len))


def table(rows: list[Row]) -> str:
    """Median milliseconds as Markdown, and how many times as fast as plain eager the compiled code is."""
    names = ways_of(rows)
    lines = [f"| subgraph | size | | {' | '.join(names)} | {names[-1]} over eager |", "| --- " * (len(names) + 4) + "|"]
    for row in rows:
        times = " | ".join(
            f"{row['milliseconds'][name]:.2f} ms" if name in row["milliseconds"] else "–" for name in names
        )
        lines.append(
            f"| {row['name']} | {row['rows']}x{row['columns']} | {row['mode']} | {times} | {speedup(row):.1f} |"
        )
    return "\n".join(lines)


def speedups(rows: list[Row], allocator: str) -> dict[str, float]:
    """The metrics of one allocator, from the rows of one size."""
    ratios = {mode: [speedup(row) for row in rows if row["mode"] == mode] for mode in MODES}
    found = {
        f"speedup_{allocator}": statistics.geometric_mean(ratios["forward"]),
        f"least_speedup_{allocator}": min(ratios["forward"]),
    }
    if allocator == "tuned":
        found["training_speedup_tuned"] = statistics.geometric_mean(ratios["forward and backward"])
    return found


def draw(rows: list[Row], allocator: str, artefact: Any) -> None:
    """How many times as fast as plain eager each way is: a picture for each mode, from the rows of one size."""
    for mode, suffix in MODES.items():
        bars = {
            row["name"]: {way: row["milliseconds"]["plain eager"] / time for way, time in row["milliseconds"].items()}
            for row in rows
            if row["mode"] == mode
        }
        title = f"{rows[0]['rows']} × {rows[0]['columns']} float32, {mode}, {allocator} allocator"
        pictures.bars(bars, ways_of(rows), title, artefact(f"{suffix}-{allocator}.png"))


def nearest(rows: list[Row]) -> dict[str, float]:
    """Of each error, that of the row which comes nearest to what plain Paddle's error and the sums' length explain."""
    found = {}
    for name in ("forward_error", "gradient_error"):
        plain = f"plain_{name}"
        row = max(rows, key=lambda row: row[name] / max(row[plain], ROUNDING * (8 + math.sqrt(row["longest_sum"]))))
        found |= {name: row[name], plain: row[plain], "longest_sum": row["longest_sum"]}
    return found


def main() -> None:
    program = kit.start(__file__, __doc__)
    parameters = program.parameters
    sizes = sizes_from(parameters["sizes"])
    names = list(NAMES) if parameters["subgraph"] == "all" else [parameters["subgraph"]]
    require(names, sizes)
    cinn = bool(paddle.is_compiled_with_cinn())
    chosen = backend.choose(cinn, backend.in_host_memory(paddle.arange(1024, dtype="float32")), program.device)
    if chosen == "generated":
        toolchain.compiler("CC", "gcc")
        toolchain.load_carrier()  # built here, so that it is not timed there
    program.metric("backend", chosen)

    asked = {"device": program.device, "names": names, "sizes": sizes}
    asked |= {"rounds": parameters["rounds"], "seed": program.seed}
    found: dict[str, list[Row]] = {}
    for allocator in ("default", "tuned"):
        print(f"with the {allocator} allocator:")
        found[allocator] = measured(allocator, asked)
        program.artefact(f"times-{allocator}.json").write_text(json.dumps(found[allocator], indent=1))
        program.artefact(f"times-{allocator}.md").write_text(table(found[allocator]) + "\n")

    largest = max(sizes, key=lambda size: size[0] * size[1])
    program.metric("numbers", largest[0] * largest[1])
    for allocator, rows in found.items():
        of_size = [row for row in rows if (row["rows"], row["columns"]) == largest]
        for name, value in speedups(of_size, allocator).items():
            program.metric(name, value)
        draw(of_size, allocator, program.artefact)
    for name, value in nearest([row for rows in found.values() for row in rows]).items():
        program.metric(name, value)
    for row in found["tuned"]:
        if row["mode"] == "forward":
            program.trace(**{f"{row['name']}_{row['rows']}x{row['columns']}": np.float32(row["sample"])})
    program.finish()


if __name__ == "__main__":
    kit.main(
        main,
        subgraphs.SubgraphError,
        toolchain.NoCompiler,
        toolchain.CompilationFailed,
        backend.NoBackend,
        accuracy.NoMemory,
    )
