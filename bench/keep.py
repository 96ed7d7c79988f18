"""Run a measurement and keep what it printed: docs/benchmarks/NAME.json, and all of them as docs/benchmarks.md.

    python bench/keep.py compiler
    python bench/keep.py cluster --kills 80      as docs/benchmarks/cluster-kills.json: its first option names it

A measurement that fails leaves what was kept before. Numbers that texts may quote are given by measuring.keep().
"""

import datetime
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "docs" / "benchmarks"
PAGE = ROOT / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Written by `./inv bench`: what each measurement printed when it last ran, both sides in turn in the same run. Machines
are noisy: read ratios and medians, and the load that the machine had.
"""


def main(name: str, *options: str) -> int:
    """Run bench/NAME.py, show its lines as they come, and keep them. Returns its exit code."""
    facts = surroundings()
    with tempfile.TemporaryDirectory() as folder:
        numbers, picture = Path(folder) / "numbers.json", Path(folder) / "picture.svg"
        command = [sys.executable, "-u", str(ROOT / "bench" / f"{name}.py"), *options]
        environment = {**os.environ, "BENCH_NUMBERS": str(numbers), "BENCH_PICTURE": str(picture)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
            assert running.stdout
            printed = []
            for line in running.stdout:
                print(line, end="", flush=True)
                printed.append(line)
        if running.returncode == 0:
            found = json.loads(numbers.read_text()) if numbers.exists() else {}
            by_hand = {"command": f"python bench/keep.py {shlex.join([name, *options])}"} if options else {}
            kept = {**facts, **by_hand, "numbers": found, "printed": "".join(printed).strip()}
            called = "-".join([name, *(each.lstrip("-") for each in options[:1])])
            if picture.exists():
                KEPT.mkdir(exist_ok=True)
                (KEPT / f"{called}.svg").write_bytes(picture.read_bytes())
            write(called, kept)
    return running.returncode


def surroundings() -> dict[str, Any]:
    """When and where this runs: nothing that names the machine or its owner."""
    git = ("git", "-C", str(ROOT))
    revision = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain", "--", ":!docs"], capture_output=True, text=True).stdout
    return {
        "when": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "revision": revision,
        "clean": not changed,
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
    }


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write(name: str, kept: dict[str, Any]) -> None:
    """Keep one measurement, and write the page of all that are kept."""
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(HEAD + "".join(section(path) for path in sorted(KEPT.glob("*.json"))))
    print(f"\nkept in docs/benchmarks/{name}.json and docs/benchmarks.md")


def section(path: Path) -> str:
    kept = json.loads(path.read_text())
    tree = "" if kept["clean"] else ", with changes"
    place = f"{kept['cores']} cores of {kept['processor']}, load {kept['load']:g} at the start"
    head = f"{kept['when']}, revision {kept['revision'][:10]}{tree}; {place}."
    command = kept.get("command", f"./inv bench --only {path.stem}")
    drawn = path.with_suffix(".svg")
    shown = f"\n![{path.stem}](benchmarks/{drawn.name})\n" if drawn.exists() else ""
    return f"\n## {path.stem}\n\n`{command}` · {head}\n{shown}\n```text\n{kept['printed']}\n```\n"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
