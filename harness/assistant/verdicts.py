"""Verdicts: whether an answer's code passes, said by a process in which none of it runs.

The tests run in one process of the sandbox and import the answer from another (judging/); with no tests there is
nothing to judge but that the program ends with status 0.
"""

import json
import secrets
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.assistant import sandbox
from harness.assistant.sandbox import Limits, Outcome

ROOM = "/judge/harness/assistant/judging"
START = "import sys; sys.path.append('/judge'); from harness.assistant.judging import judge; judge.main(sys.argv[1])"
TAKEN = {"conftest", "sitecustomize", "usercustomize", "harness", "pytest", "_pytest", "pluggy", "setuptools", "pip"}


def refused(names: Iterable[str]) -> list[str]:
    """Those of an answer's files whose names another module has."""
    taken = TAKEN | set(sys.stdlib_module_names)
    return [name for name in names if Path(name).stem in taken]


def judge(code: Mapping[str, str], tests: Mapping[str, str], file: str, limits: Limits | None = None) -> Outcome:
    """Run the code's tests, or the program `file` where there are none.

    Raises:
        EngineError: no sandbox can be made here, so that nothing was run.
    """
    if not tests:
        return sandbox.run(code, [file], limits)
    word = secrets.token_hex(16)
    name, text = next(iter(tests.items()))
    with tempfile.TemporaryDirectory(prefix="pairing-") as folder:
        path = Path(folder, name)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o644)
        shown = {ROOM: Path(__file__).with_name("judging"), f"/tests/{name}": path}
        outcome = sandbox.run(code, ["-I", "-c", START, f"/tests/{name}"], limits, shown, f"{word}\n".encode())
    if _passed(outcome, word):
        return Outcome(0, outcome.output)
    return Outcome(outcome.status or 1, outcome.output, outcome.stopped)


def _passed(outcome: Outcome, word: str) -> bool:
    try:
        verdict = json.loads(outcome.said)
    except ValueError:
        return False
    known = isinstance(verdict, dict) and verdict.get("word") == word and not outcome.stopped
    return known and verdict.get("passed") is True and not verdict.get("broken")
