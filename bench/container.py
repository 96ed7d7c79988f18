"""What a container adds to the program that runs in it, and what a rebuild of its image takes.

./inv bench --only container

The bare program is the same file under the same interpreter in the same image: nsenter starts it in a container that
is there already, so that only what `./inv run --on container` does for each cell makes the difference. Where no
engine answers, none builds, or there is no base to build on, it says so and measures nothing.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from measuring import ROOT, Side, added, commit, copy_of_checkout, goal, interleaved, table
from overhead import PROGRAM, PROJECT

sys.path.insert(0, str(ROOT))

from harness.environments import client, inventory

STACK = "bench"  # that ./inv bench runs it in
ROUNDS = 7
NAMES = "paddlehomework-bench"
IMAGE = f"{NAMES}/cpu:base"
BASES = (os.environ.get("HOMEWORK_BENCH_BASE", ""), "python:3.10-slim-bookworm", "paddlehomework-test/base:bookworm")


def main() -> None:
    """Time runs in turn, then rebuilds, and print them."""
    engine = client.find(to_build=True)
    if engine is None or not engine.builder or engine.remote:
        return print("skipped: no container engine that builds answers on this machine")
    if os.getuid() != 0:
        return print("skipped: the bare program is started with nsenter, which takes root")
    base = next((name for name in BASES if name and engine.inspect(name)), None)
    if base is None:
        return print(f"skipped: the engine has none of {', '.join(filter(None, BASES))}; docker pull one")
    os.environ["HOMEWORK_IMAGES"] = NAMES
    with copy_of_checkout() as tree:
        _prepare(tree, base)
        try:
            measure_runs(engine, tree)
            measure_rebuilds(engine, tree)
        finally:
            engine.read("rmi", "--force", IMAGE)


def measure_runs(engine: client.Client, tree: Path) -> None:
    """A cell by the command that a person types, beside the program alone in a container that is there already."""
    _build(tree)
    name = f"homework-bench-{os.getpid()}"
    mounts = [f"--volume={tree / folder}:/homework/{folder}" for folder in ("projects", "results")]
    words = ("run", "--detach", "--rm", "--name", name, "--user", "0:0", "--network", "none", *mounts, IMAGE)
    assert engine.read(*words, "sleep", "3600"), "the container that is there already does not start"
    process = (engine.read("inspect", "--format", "{{.State.Pid}}", name) or "").strip()
    arguments = ["--part", "99", "--device", "cpu", "--cards", "1", "--seed", "0", "--set", "size=1"]
    arguments += ["--out", "/homework/results/bare"]
    inside = ["nsenter", "--target", process, "--mount", "--uts", "--ipc", "--net", "--pid", "--"]
    bare = [*inside, "/opt/homework/bin/python", "/homework/projects/99-toy/main.py", *arguments]
    run = ["./inv", "run", "--task", "toy", "--hw", "cpu", "--on"]
    plain = [engine.path, "run", "--rm", "--user", "0:0", "--network", "none", *mounts, IMAGE]
    sides = [
        Side("./inv run --on container", [*run, "container"], tree),
        Side("docker run, bare", [*plain, "python", "/homework/projects/99-toy/main.py", *arguments], tree),
        Side("the program, bare", bare, tree),
    ]
    print(f"What a container adds, {engine.engine} {engine.version}, {ROUNDS} rounds in turn")
    try:
        timings = interleaved(sides, ROUNDS)
    finally:
        engine.read("rm", "--force", name)
    print(table(timings, ratio_to="./inv run --on container"))
    adds = added(timings, "./inv run --on container", "the program, bare")
    print(f"docker run by itself adds {added(timings, 'docker run, bare', 'the program, bare'):.3f} s")
    print(goal("a container run adds to the bare program, median of the rounds", adds, at_most=1.5))


def measure_rebuilds(engine: client.Client, tree: Path) -> None:
    """The command after a change in projects/, which is mounted, and after one in the lock."""
    (tree / "projects" / "99-toy" / "main.py").write_text(PROGRAM + "# changed\n")
    before = (engine.inspect(IMAGE) or {})["Id"]
    checked, said = _build(tree)
    assert "up to date" in said and (engine.inspect(IMAGE) or {})["Id"] == before
    print(f"a change in projects/: nothing is built; to find that out takes {checked:.2f} s")
    lock = tree / "docker" / "locks" / "base.txt"
    kept = lock.read_text()
    packages = inventory.read(engine, IMAGE)["pypi"]
    lock.write_text("# changed\n" + kept)
    seconds, said = _build(tree)
    assert "built in" in said and inventory.read(engine, IMAGE)["pypi"] == packages
    print(goal("a rebuild after a change in the lock, all of it installed again", seconds, at_most=60))


def _prepare(tree: Path, base: str) -> None:
    """Make the copy one whose CPU image stands on `base`, with a program that does nothing."""
    for path in (ROOT / "Dockerfile.cpu", *ROOT.glob("docker/*.sh"), *ROOT.glob("docker/*.py")):
        (tree / path.relative_to(ROOT)).write_bytes(path.read_bytes())
    data = tree / "hardware" / "cpu" / "hardware.yaml"
    data.write_text(data.read_text().replace("python:3.10-slim-bookworm", base))
    toy = tree / "projects" / "99-toy"
    for folder in (toy, tree / "results" / "bare"):
        folder.mkdir(parents=True)
    (toy / "project.yaml").write_text(PROJECT.format(stack="base"), encoding="utf-8")
    (toy / "main.py").write_text(PROGRAM)
    commit(tree)


def _build(tree: Path) -> tuple[float, str]:
    start = time.perf_counter()
    done = subprocess.run(["./inv", "build", "--hw", "cpu"], cwd=tree, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-3000:])
    return time.perf_counter() - start, done.stdout


if __name__ == "__main__":
    main()
