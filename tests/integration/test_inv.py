"""./inv: which Python makes its environment, told from what it says and makes; nothing is installed."""

import os
import shutil
import subprocess
import sys

import pytest

from harness.checkout import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture
def checkout(tmp_path):
    """A checkout whose lock is empty, so that an environment is made and nothing goes into it."""
    locks = tmp_path / "docker" / "locks"
    locks.mkdir(parents=True)
    shutil.copy(ROOT / "inv", tmp_path)
    shutil.copy(ROOT / "docker" / "venv.sh", tmp_path / "docker")
    (locks / "harness.txt").write_text("")
    (locks / "pip.txt").write_text("")
    (tmp_path / "harness" / "cli").mkdir(parents=True)
    (tmp_path / "harness" / "cli" / "program.py").write_text("import sys\ndef main(_): print(sys.base_prefix)\n")
    (tmp_path / "harness" / "environments").mkdir()
    (tmp_path / "harness" / "environments" / "uv.py").write_text("")
    (tmp_path / "tasks.py").write_text("")
    return tmp_path


def inv(checkout, **variables):
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout), **variables}
    return subprocess.run([checkout / "inv"], env=environment, capture_output=True, text=True)


def test_a_python_that_is_named_and_cannot_be_used_is_refused(checkout):
    for named in ("/no/such/python", "/bin/true", "/bin/false", "/bin/echo"):
        done = inv(checkout, PYTHON=named)
        assert done.returncode == 3 and done.stderr.startswith(f"PYTHON={named} cannot be used"), done.stderr
        assert len(done.stderr.splitlines()) == 3 and not (checkout / ".venv").exists()


def test_it_is_refused_also_where_an_environment_is_there(checkout):
    assert inv(checkout, PYTHON=sys.executable).returncode == 0
    done = inv(checkout, PYTHON="/no/such/python")
    assert done.returncode == 3 and "cannot be used" in done.stderr


def test_an_environment_of_the_same_python_stays_and_one_of_another_is_made_anew(checkout):
    assert "Making .venv" in inv(checkout, PYTHON=sys.executable).stderr
    again = inv(checkout, PYTHON=sys.executable)
    assert again.stderr == "" and again.stdout.strip() == sys.base_prefix
    other = next((path for path in pythons() if base_prefix(path) != sys.base_prefix), None)
    if other is None:
        pytest.skip("there is one Python here")
    done = inv(checkout, PYTHON=other)
    assert "Making .venv" in done.stderr and done.stdout.strip() == base_prefix(other)


@pytest.mark.parametrize("changed", ["lock", "Python"])
def test_an_environment_elsewhere_that_is_linked_is_left_as_it_is(checkout, tmp_path, changed):
    assert inv(checkout, PYTHON=sys.executable).returncode == 0
    elsewhere = (checkout / ".venv").rename(tmp_path / "elsewhere")
    (elsewhere / "kept").write_text("another's")
    (checkout / ".venv").symlink_to(elsewhere)
    assert inv(checkout, PYTHON=sys.executable).stderr == "", "as long as it fits it is used"
    if changed == "lock":
        (checkout / "docker" / "locks" / "harness.txt").write_text("# another\n")
    else:
        (elsewhere / "bin" / "python").unlink()
        (elsewhere / "bin" / "python").symlink_to("/bin/echo")  # of another installation, as far as can be seen
    done = inv(checkout, PYTHON=sys.executable)
    assert done.returncode == 0 and f"link to {elsewhere}, which is left as it is" in done.stderr, done.stderr
    assert (elsewhere / "kept").exists() and (elsewhere / "lock.txt").read_text() == ""
    assert not (checkout / ".venv").is_symlink() and (checkout / ".venv" / "lock.txt").exists()


def pythons():
    places = [*os.environ["PATH"].split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    names = (f"python3.{minor}" for minor in (10, 11, 12))
    return [found for name in names for place in places if (found := shutil.which(name, path=place))]


def base_prefix(python):
    words = [python, "-c", "import ensurepip, sys; print(sys.base_prefix)"]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else sys.base_prefix


def test_a_step_that_takes_long_gives_a_sign_of_life_where_nobody_sees_dots(checkout, tmp_path):
    slow = tmp_path / "slow-python"
    slow.write_text(f'#!/bin/sh\ncase "$*" in "-m venv"*) sleep 5 ;; esac\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    lines = inv(checkout, PYTHON=str(slow)).stderr.splitlines()
    assert lines[0].startswith("Making .venv") and lines[1].endswith("· 4 s"), lines
