"""The README's commands, as a stranger meets them: a clone in an empty folder, a new home, an empty cache."""

import json
import subprocess
from pathlib import Path

import pytest
from checkouts import ROOT, clean_environment


@pytest.mark.slow
def test_a_fresh_clone_reaches_its_first_matrix_and_its_records_hold(tmp_path: Path) -> None:
    clone = tmp_path / "PaddleHomework"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    environment = clean_environment(tmp_path / "home")

    def inv(*words: str) -> str:
        done = subprocess.run(
            [clone / "inv", *words], cwd=tmp_path, env=environment, text=True, capture_output=True, timeout=900
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    text = inv("run", "--task", "1,4,8-1")
    assert text.count("✓ passed") == 3, text
    assert "6 points earned of 154" in text and " waiting for evidence" in text
    states = {
        cell["part"]: cell["state"]
        for cell in json.loads(inv("matrix", "--format", "json"))["cells"]
        if cell["hardware"] == "cpu"
    }
    assert (states["1"], states["4"], states["8-1"], states["2-1"]) == ("earned", "waiting", "earned", "not run")
    assert "3 records verified" in inv("verify")
    record = json.loads(inv("show", "latest", "--format", "json"))
    assert record["program"]["clean"] is True and record["paddle"]["version"] == "3.0.0"
    assert record["environment"]["MALLOC_MMAP_THRESHOLD_"] == "4294967296"
    assert "passed" in inv("test", "--only", "tests/unit/test_project_files.py -q")
    assert not subprocess.run(["git", "-C", clone, "status", "--porcelain"], capture_output=True).stdout
