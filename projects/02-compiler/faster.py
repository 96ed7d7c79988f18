"""Task 2-3: the whole chain, and whether it is faster: plain eager, to_static, and generated code (or CINN), in turn.

    python projects/02-compiler/faster.py --part 2-3 --device cpu --out /tmp/faster --set subgraph=softmax
    python projects/02-compiler/faster.py --part 2-3 --set sizes=64x1024,16384x1024 rounds=31

Every way runs in the same process, one call each in turn, and medians count. All is done twice, in two processes: with
glibc's allocator as it is, which gives large tensors back to the system and then takes a page fault for every 4 KiB of
the next one, and with settings that keep memory in the process. `bench/compiler.py` puts torch.compile beside it.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
Row = dict[str, Any]


def refuse(message: str, code: int = 2) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(code)


def sizes_from(text: str) -> list[tuple[int, int]]:
    """ "64x1024,4096x1024" as pairs; exits with 2 if it is not that."""
    try:
        sizes = [(int(rows), int(columns)) for rows, columns in (size.split("x") for size in text.split(","))]
    except ValueError:
        sizes = [(0, 0)]
    if any(rows < 1 or columns < 1 for rows, columns in sizes):
        refuse(f"sizes={text}: write rows and columns as 512x1024,4096x1024")
    return sizes


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
        raise RuntimeError(
            f"measuring with the {allocator} allocator failed: {words[-1] if words else 'no reason given'}"
        )
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


def main() -> None:
    program = kit.start(__file__, __doc__)
    parameters = program.parameters
    sizes = sizes_from(parameters["sizes"])
    names = list(NAMES) if parameters["subgraph"] == "all" else [parameters["subgraph"]]
    cinn = bool(paddle.is_compiled_with_cinn())
    try:
        for name in names:
            for rows, columns in sizes:
                subgraphs.find(name).sizes(rows, columns)
        chosen = backend.choose(cinn, backend.in_host_memory(paddle.arange(1024, dtype="float32")), program.device)
        if chosen == "generated":
            toolchain.compiler("CC", "gcc")
            toolchain.load_carrier()  # built here, so that it is not timed there
    except subgraphs.SubgraphError as error:
        refuse(str(error))
    except (toolchain.NoCompiler, backend.NoBackend) as error:
        refuse(str(error), 3)
    except toolchain.CompilationFailed as error:
        refuse(str(error), 1)
    program.metric("backend", chosen)

    asked = {
        "device": program.device,
        "names": names,
        "sizes": sizes,
        "rounds": parameters["rounds"],
        "seed": program.seed,
    }
    found: dict[str, list[Row]] = {}
    for allocator in ("default", "tuned"):
        print(f"with the {allocator} allocator:")
        found[allocator] = measured(allocator, asked)
        program.artefact(f"times-{allocator}.json").write_text(json.dumps(found[allocator], indent=1))
        program.artefact(f"times-{allocator}.md").write_text(table(found[allocator]) + "\n")

    largest = max(sizes, key=lambda size: size[0] * size[1])
    for allocator, rows in found.items():
        at_largest = [row for row in rows if (row["rows"], row["columns"]) == largest]
        ratios = {
            mode: {row["name"]: speedup(row) for row in at_largest if row["mode"] == mode}
            for mode in ("forward", "forward and backward")
        }
        mean = statistics.geometric_mean(ratios["forward"].values())
        if parameters["subgraph"] == "all":
            program.metric(f"speedup_{allocator}", mean)
        program.metric(f"least_speedup_{allocator}", min(ratios["forward"].values()))
        if allocator == "tuned":
            training = statistics.geometric_mean(ratios["forward and backward"].values())
            program.metric("training_speedup_tuned", training)
        for mode, suffix in (("forward", "forward"), ("forward and backward", "training")):
            bars = {
                row["name"]: {
                    way: row["milliseconds"]["plain eager"] / time for way, time in row["milliseconds"].items()
                }
                for row in at_largest
                if row["mode"] == mode
            }
            title = f"{largest[0]} × {largest[1]} float32, {mode}, {allocator} allocator"
            pictures.bars(bars, ways_of(at_largest), title, program.artefact(f"{suffix}-{allocator}.png"))
    program.metric("forward_error", max(row["errors"][0] for rows in found.values() for row in rows))
    program.metric("gradient_error", max(row["errors"][1] for rows in found.values() for row in rows))
    for row in found["tuned"]:
        if row["mode"] == "forward":
            program.trace(**{f"{row['name']}_{row['rows']}x{row['columns']}": np.float32(row["sample"])})
    program.finish()


if __name__ == "__main__":
    main()
