"""A user with a number and no name, no home and no rights outside the checkout: everything is made in it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from checkouts import ROOT

pytestmark = pytest.mark.slow
USER = 4242
WORLD_WRITABLE = ("/tmp", "/var/tmp", "/dev/shm")
AS_NOBODY = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
OF_ENGINES = (
    "podman",
    "libpod",
    "containers",
)  # what a container engine's client leaves when it is asked whether it answers


@pytest.fixture(scope="module")
def clone():
    """A clone that the user owns, in a folder that the user can reach and not change."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("only root can become another user")
    above = Path(tempfile.mkdtemp(prefix="paddlehomework-"))
    above.chmod(0o755)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, above / "clone"], check=True)
    subprocess.run(["chown", "-R", f"{USER}:{USER}", above / "clone"], check=True)
    yield above / "clone"
    shutil.rmtree(above)


def inv(clone, *words, **variables):
    environment = {"PATH": "/usr/bin:/bin", **variables}
    return subprocess.run(
        [*AS_NOBODY, clone / "inv", *words], cwd="/", env=environment, text=True, capture_output=True, timeout=600
    )


def left_elsewhere(clone):
    """What the user owns outside the clone, in the folders where anybody may write."""
    found = subprocess.run(
        ["find", *WORLD_WRITABLE, "-xdev", "-path", clone.parent, "-prune", "-o", "-uid", str(USER), "-print"],
        capture_output=True,
        text=True,
    )
    return [path for path in found.stdout.splitlines() if not any(engine in path for engine in OF_ENGINES)]


def test_a_user_without_name_home_or_rights_sets_up_runs_and_leaves_nothing_elsewhere(clone):
    done = inv(clone, "run", "1")
    assert done.returncode == 0 and "✓ passed" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    for words in (["tasks"], ["doctor"], ["matrix"], ["verify"], ["show", "latest"]):
        done = inv(clone, *words, HOME="/nonexistent")
        assert done.returncode == 0, done.stderr
    assert left_elsewhere(clone) == []


def test_what_the_user_may_not_write_or_read_is_said_in_three_lines(clone):
    record = next((clone / "results").glob("*/*/*/record.json"))
    for path, words, code in ((record, ["show", "latest"], 2), (clone / "hardware/cpu/hardware.yaml", ["tasks"], 2)):
        subprocess.run(["chown", "0:0", path], check=True)
        path.chmod(0o600)
        (clone / ".cache" / "catalogue.json").unlink(missing_ok=True)
        done = inv(clone, *words)
        assert (done.returncode, len(done.stderr.splitlines())) == (code, 3), done.stderr
        assert path.name in done.stderr and "ermission denied" in done.stderr
        subprocess.run(["chown", f"{USER}:{USER}", path], check=True)
    done = inv(clone, "report", "--out", "/report.html")
    assert done.returncode == 7 and len(done.stderr.splitlines()) == 3, done.stderr
