"""Task 13-1: of what people write most with PyTorch nothing is converted into something else without a word."""

import re
import subprocess

import pytest

from harness.checkout import ROOT
from harness.environments import stacks

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("words", [("--every", "20"), ("--topic", "viewgrad3")], ids=["a sample", "writes into views"])
def test_no_snippet_is_silently_wrong(words):
    python = stacks.prepare(stacks.stack("convert")).python
    command = [python, "-W", "ignore", ROOT / "bench" / "snippets.py", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode == 2:
        pytest.skip(done.stderr.strip())
    *_, last = done.stdout.strip().splitlines()
    equal, opened, refused, wrong = map(int, re.findall(r"\d+", last))
    assert done.returncode == 0 and wrong == 0, done.stdout
    assert equal >= 0.75 * (equal + opened + refused)
