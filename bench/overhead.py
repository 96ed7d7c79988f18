"""What `./inv run` adds to the program that it runs, beside what ReFrame and Snakemake add to an echo.

./inv bench --only overhead
"""

from measuring import ROOT, TOOLS, Side, added, commit, copy_of_checkout, goal, interleaved, table
from startup import write_peers

STACK = "bench"  # that ./inv bench runs it in
ROUNDS = 11
STACKS = ("base", "science", "nlp")
PROJECT = """\
title: A toy
title_zh: 玩具
stack: {stack}
parts:
  "99":
    quote: a program that does nothing
    evidence: none
    reading: any device
    program: main.py
    timeout: 1 min
    parameters: {{size: {{default: 1, help: not used}}}}
    metrics: {{answer: {{equals: 42}}}}
    points:
      - {{rule: once, value: 1}}
"""
PROGRAM = """\
import json
import sys
from pathlib import Path

out = Path(sys.argv[sys.argv.index("--out") + 1])
(out / "metrics.json").write_text(json.dumps({"answer": 42}))
(out / "device.json").write_text(json.dumps({"device": "cpu", "places": {"Place(cpu)": 1}}))
print("hello")
"""


def main() -> None:
    """Time the sides in turn and print them."""
    with copy_of_checkout() as tree:
        stack = next((name for name in STACKS if (ROOT / ".stacks" / name / "recipe.txt").is_file()), STACKS[0])
        toy, out, peers = tree / "projects" / "99-toy", tree / "results" / "bare", tree / "results" / ".peers"
        for folder in (toy, out, peers):
            folder.mkdir(parents=True)
        (toy / "project.yaml").write_text(PROJECT.format(stack=stack), encoding="utf-8")
        (toy / "main.py").write_text(PROGRAM)
        commit(tree)
        own = write_peers(peers)
        python = tree / ".stacks" / stack / "bin" / "python"
        words = ["--part", "99", "--device", "cpu", "--cards", "1", "--seed", "0", "--out", str(out), "--set", "size=1"]
        sides = [
            Side("./inv run", ["./inv", "run", "--task", "toy", "--hw", "cpu", "--on", "local"], tree),
            Side("the program, bare", [python, toy / "main.py", *words], tree),
            Side("reframe -r", [TOOLS / "reframe", "-c", "check.py", "-r"], peers, own),
            Side("snakemake", [TOOLS / "snakemake", "--cores", "1"], peers, own),
            Side("echo, bare", ["echo", "hello"], peers),
        ]
        print(f"What a run adds, {ROUNDS} rounds in turn")
        timings = interleaved(sides, ROUNDS)
    print(table(timings, ratio_to="./inv run"))
    adds = added(timings, "./inv run", "the program, bare")
    for peer in ("reframe -r", "snakemake"):
        peer_adds = added(timings, peer, "echo, bare")
        print(f"{peer} adds {peer_adds:.3f} s to its echo, {peer_adds / adds:.1f} times what ./inv run adds")
    print(goal("./inv run adds, median of the rounds", adds, at_most=0.3))


if __name__ == "__main__":
    main()
