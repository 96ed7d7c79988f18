"""What is written twice for two systems says the same: `inv` and `inv.ps1`, the locks and environment.yml."""

import re

import yaml

from harness.catalogue import releases
from harness.checkout import ROOT

SHELL, WINDOWS = ((ROOT / name).read_text(encoding="utf-8") for name in ("inv", "inv.ps1"))


def test_both_commands_start_the_same_program_with_the_same_pythons():
    for pattern in (r"import sys; sys\.path\[0\].*main\(tasks\)", r"\(3, 10\) <= sys\.version_info < \(3, 14\)"):
        assert len({*re.findall(pattern, SHELL), *re.findall(pattern, WINDOWS)}) == 1
    for word in ("harness.environments.uv", "--require-hashes", "PIP_USER", "PYTHONHOME", "lock.txt"):
        assert word in SHELL and word in WINDOWS


def test_the_requirement_of_uv_is_taken_from_the_lock_with_its_hashes():
    pattern = re.search(r'Match\(\$text, "(.*?)"\)', WINDOWS)
    found = re.search(pattern[1], (ROOT / "docker" / "locks" / "harness.txt").read_text(encoding="utf-8"))
    lines = found[0].splitlines()
    assert lines[0].startswith("uv==") and len(lines) > 5 and all("--hash=sha256:" in line for line in lines[1:])


def test_windows_own_shell_reads_lines_as_it_ends_them_and_hands_all_words_on():
    lines = (ROOT / "inv.cmd").read_bytes().split(b"\r\n")
    assert lines[-1] == b"" and not any(b"\n" in line for line in lines)
    assert any(b'"%~dp0inv.ps1" %*' in line for line in lines)


def test_every_version_has_an_environment_for_conda_with_its_own_lock():
    for release in releases.load().listed.values():
        lock = ROOT / release.lock("base")
        written = yaml.safe_load(lock.with_name("environment.yml").read_text(encoding="utf-8"))
        python, _, own = written["dependencies"]
        assert written["name"] == f"paddlehomework-{release.version}" and own == {"pip": [f"-r {lock.name}"]}
        assert python.removeprefix("python=") in release.python
        assert f"paddlepaddle=={release.version}" in lock.read_text(encoding="utf-8")
