"""Task 13-1's conversion of what people write most with PyTorch: equal, open, refused or silently wrong, by topic.

    ./inv bench --only snippets
    .stacks/convert/bin/python bench/snippets.py --pytorch PYTHON [--topic layers] [--every 10] [--show]

Each snippet of tests/data/snippets is run in PyTorch and, converted, in Paddle, on the same inputs and random numbers.
`open`: the conversion names a line; `refused`: the converted code ends with an error; `wrong`: it computes something
else and says nothing, which no snippet may. --every N takes each Nth.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import yaml

STACK = "convert"
ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "tests" / "data" / "snippets"
sys.path.insert(0, str(ROOT / "projects" / "13-conversion"))
KINDS = ("equal", "open", "refused", "wrong")


@dataclass(frozen=True)
class Outcome:
    """What came of a snippet; `invalid`: PyTorch itself does not run it."""

    topic: str
    code: str
    kind: str
    why: str = ""


def snippets(topic: str, every: int) -> list[tuple[str, str]]:
    """Topic and code of those asked for."""
    data = yaml.safe_load((DATA / "snippets.yaml").read_text(encoding="utf-8"))
    found = [(name, code) for name, codes in data.items() for code in codes if topic in ("", name)]
    return found[::every]


def outcomes(some: list[tuple[str, str]], pytorch: str) -> list[Outcome]:
    """Convert all as one project, run each on both sides, and compare."""
    import conversion

    prelude = (DATA / "prelude.py").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        source, target, records = (Path(temporary) / name for name in ("source", "target", "records"))
        source.mkdir()
        records.mkdir()
        for number, (_, code) in enumerate(some):
            (source / f"s{number:03}.py").write_text(f"{prelude}\n\n{code}", encoding="utf-8")
        found = conversion.convert(source, target, Path(temporary) / "log")
        sides = Path(__file__).with_name("snippets_sides.py")
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        running = [
            subprocess.Popen([python, "-W", "ignore", sides, kind, folder, records], env=environment)
            for kind, python, folder in (("torch", pytorch, source), ("paddle", sys.executable, target))
        ]
        for each in running:
            each.wait()
        return [_outcome(some[number], f"s{number:03}", records, found) for number in range(len(some))]


def _outcome(snippet: tuple[str, str], name: str, records: Path, found: Any) -> Outcome:
    import comparing

    theirs, ours = (
        comparing.read(path) if (path := records / f"{name}.{kind}").exists() else comparing.Record()
        for kind in ("torch", "paddle")
    )
    if not theirs.ended or theirs.fault:
        return Outcome(*snippet, "open" if found.open.get(f"{name}.py") else "invalid", str(theirs.fault))
    if some := found.open.get(f"{name}.py"):
        return Outcome(*snippet, "open", f"{some[0].text} ({some[0].hint})")
    if not ours.ended or ours.fault:
        return Outcome(*snippet, "refused", str(ours.fault or "the process died"))
    wrong = [each for each in comparing.compare(theirs, ours) if each.error > comparing.ROUNDING]
    return Outcome(*snippet, "wrong", wrong[0].what) if wrong else Outcome(*snippet, "equal")


def table(found: list[Outcome]) -> str:
    lines = [f"{'topic':14}" + "".join(f"{kind:>9}" for kind in KINDS)]
    for topic in dict.fromkeys(each.topic for each in found):
        count = Counter(each.kind for each in found if each.topic == topic)
        lines.append(f"{topic:14}" + "".join(f"{count[kind]:9}" for kind in KINDS))
    count = Counter(each.kind for each in found)
    lines.append(f"{'all':14}" + "".join(f"{count[kind]:9}" for kind in KINDS))
    return "\n".join(lines)


def main() -> int:
    import environments

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pytorch", default="install", help="a Python with torch; install: downloaded once")
    parser.add_argument("--topic", default="", help="of snippets.yaml; all")
    parser.add_argument("--every", type=int, default=1, help="take each Nth snippet")
    parser.add_argument("--show", action="store_true", help="show each that is not equal")
    given = parser.parse_args()
    pytorch = environments.pytorch(given.pytorch)
    if not pytorch.python:
        print(pytorch.why_not, file=sys.stderr)
        return 2
    found = outcomes(snippets(given.topic, given.every), pytorch.python)
    for each in found:
        if each.kind in ("wrong", "invalid") or (given.show and each.kind != "equal"):
            print(f"{each.kind.upper()} {each.topic}: {each.code.strip()}\n    {each.why}")
    equal = sum(each.kind == "equal" for each in found)
    print(f"Paddle {version(packages_distributions()['paddle'][0])}: {equal} of {len(found)} snippets equal")
    print(table(found))
    return int(any(each.kind in ("wrong", "invalid") for each in found))


if __name__ == "__main__":
    sys.exit(main())
