"""How long a command takes to start, beside nox, ReFrame and Snakemake listing one check of their own.

./inv bench --only startup
"""

import statistics
import tempfile
from pathlib import Path

from measuring import ROOT, TOOLS, Side, goal, interleaved, table

STACK = "bench"  # that ./inv bench runs it in
ROUNDS = 15
PYTHON = ROOT / ".venv" / "bin" / "python"
PEER_FILES = {
    "noxfile.py": """\
import nox

@nox.session
def hello(session):
    session.run("echo", "hello", external=True)
""",
    "check.py": """\
import reframe as rfm
import reframe.utility.sanity as sn

@rfm.simple_test
class Hello(rfm.RunOnlyRegressionTest):
    valid_systems = ["*"]
    valid_prog_environs = ["*"]
    executable = "echo"
    executable_opts = ["hello"]
    sanity_patterns = sn.assert_found("hello", "rfm_job.out")
""",
    "Snakefile": """\
rule hello:
    shell: "echo hello"
""",
}


def write_peers(folder: Path) -> dict[str, str]:
    """Write the peers' files into `folder`; returns the environment that keeps what they leave in it."""
    for name, text in PEER_FILES.items():
        (folder / name).write_text(text)
    return {"HOME": str(folder), "TMPDIR": str(folder)}


def main() -> None:
    """Time the sides in turn and print them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = write_peers(folder)
        sides = [
            Side("./inv --list", ["./inv", "--list"]),
            Side("./inv tasks", ["./inv", "tasks"]),
            Side("python -c pass", [PYTHON, "-c", "pass"]),
            Side("python -c 'import invoke'", [PYTHON, "-c", "import invoke"]),
            Side("nox --list", [TOOLS / "nox", "--list"], folder, own),
            Side("reframe -l", [TOOLS / "reframe", "-c", "check.py", "-l"], folder, own),
            Side("snakemake --list", [TOOLS / "snakemake", "--list"], folder, own),
        ]
        print(f"The start of {len(sides)} commands, {ROUNDS} rounds in turn")
        timings = interleaved(sides, ROUNDS)
    print(table(timings, ratio_to="./inv --list"))
    for command in ("./inv --list", "./inv tasks"):
        print(goal(f"{command}, median", statistics.median(timings[command]), at_most=0.2))


if __name__ == "__main__":
    main()
