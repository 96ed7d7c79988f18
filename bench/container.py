"""What a container adds to the program that it runs, beside the same program on this machine.

./inv bench --only container                   needs the image: ./inv build --hw cpu
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import ROOT, Side, added, goal, interleaved, table

ROUNDS = 7
PROGRAM = ROOT / "projects" / "08-ffn" / "main.py"
SETTINGS = ["--set", "steps=20"]


def main() -> None:
    """Time both sides in turn and print them."""
    python = ROOT / ".stacks" / "base" / "bin" / "python"
    contract = ["--part", "8-1", "--device", "cpu", "--cards", "1", "--seed", "0"]
    with TemporaryDirectory() as out:
        sides = [
            Side("in a container", ["./inv", "run", "--task", "8-1", "--hw", "cpu", "--on", "container", *SETTINGS]),
            Side("the program, bare", [python, PROGRAM, *contract, "--out", Path(out), *SETTINGS]),
        ]
        print(f"What a container adds, {ROUNDS} rounds in turn")
        timings = interleaved(sides, ROUNDS)
    print(table(timings, ratio_to="in a container"))
    print(
        goal(
            "a container adds, median", added(timings, "in a container", "the program, bare"), at_most=1.5, at_least=-60
        )
    )


if __name__ == "__main__":
    main()
