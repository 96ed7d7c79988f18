"""Runs on another machine: a real ssh server on loopback, and a folder that stands for the far machine's."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ssh_server
from checkouts import Checkout, commit, copy_of_this_checkout, sent_before


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssh_server.Server]:
    with ssh_server.running(tmp_path_factory.mktemp("ssh") / "server", AISTUDIO_TOKEN="far-secret-of-the-box") as found:
        yield found


@pytest.fixture
def near(tmp_path: Path, server: ssh_server.Server, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A git checkout with the toy, from which the words are typed."""
    near = copy_of_this_checkout(tmp_path / "near")
    commit(near)
    monkeypatch.setenv("PATH", server.environment()["PATH"])
    return near


@pytest.fixture
def far(tmp_path: Path, near: Checkout) -> Checkout:
    return sent_before(near, tmp_path / "far")


@pytest.fixture
def there(server: ssh_server.Server, far: Checkout) -> tuple[str, str, str]:
    return ("run", "-v", "--host", server.address(str(far.folder)))


def test_a_cell_runs_there_and_its_record_comes_here(near: Checkout, far: Checkout, there: tuple[str, ...]) -> None:
    (near.folder / "private.txt").write_text("git does not know me")
    done = near(*there, "--set", "size=5", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the toy's mode is good" in done.stdout and "1 files stay here" in done.stdout
    assert done.stdout.count("3 points earned of 7") == 1, "one matrix, of the results here"
    (record,) = near.records()
    (path,) = json.loads(done.stdout.splitlines()[-1])
    assert json.loads(Path(path).read_text()) == record == far.records()[0]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=near.folder, capture_output=True, text=True).stdout
    assert record["parameters"]["size"] == 5 and record["program"]["revision"] == head.strip()
    assert record["program"]["clean"] is True, "what git does not know decides no run there"
    assert near("verify").returncode == 0
    assert not (far.folder / "private.txt").exists() and not (far.folder / "results" / "reference").exists()


def test_only_changed_files_travel_and_removed_ones_go(near: Checkout, far: Checkout, there: tuple[str, ...]) -> None:
    assert "Would send" in near(*there, "--dry-run").stdout and not (far.folder / "inv").exists()
    assert near(*there).returncode == 0
    assert "Nothing is to be sent" in (dry := near(*there, "--dry-run").stdout) and "main.py --part 1" in dry
    toy = near.folder / "projects" / "01-toy" / "main.py"
    toy.write_text(toy.read_text().replace("the toy's mode", "now its mode"))
    (near.folder / "harness" / "attaching" / "outdoors" / "sketch.py").unlink()
    (far.folder / "hardware" / "cpu" / "hardware.yaml").write_text("changed by somebody there")
    done = near(*there)
    assert "Sending 2 of" in done.stdout and "now its mode is good" in done.stdout, done.stdout + done.stderr
    assert not (far.folder / "harness" / "attaching" / "outdoors" / "sketch.py").exists()
    assert near.records()[-1]["program"]["clean"] is False and len(near.records()) == 2


def test_a_failure_there_is_a_failure_here(near: Checkout, there: tuple[str, ...]) -> None:
    done = near(*there, "--set", "mode=crash")
    assert done.returncode == 1 and "ended with exit code 1" in done.stderr
    assert near.records()[0]["exit"]["code"] == 3
    assert near(*there, "--hw", "ascend").returncode == 3


def test_a_run_that_is_ended_leaves_its_record_here(near: Checkout, there: tuple[str, ...]) -> None:
    process = near.start(
        *there, "--set", "mode=hang", "--timeout", "2min", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _until_it_says(process, "the toy's mode is hang")
    done = near("jobs", "--cancel")
    output, _ = process.communicate(timeout=30)
    assert done.returncode == 1 and process.returncode == 130 and "■ interrupted" in output
    (record,) = near.records()
    assert record["exit"] == {"reason": "interrupted", "code": None, "signal": "SIGINT"}


def test_a_connection_that_is_cut_is_made_again_and_nothing_runs_twice(
    near: Checkout, far: Checkout, there: tuple[str, ...], server: ssh_server.Server
) -> None:
    process = near.start(*there, "--set", "mode=hang", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _until_it_says(process, "the toy's mode is hang")
    server.break_connections()
    time.sleep(2)
    server.break_connections()
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "broke" in errors and "Trying again in 1 s" in errors, errors
    assert "after its limit of 4 s" in output and "ended with exit code 1" in errors, output
    assert [record["exit"]["reason"] for record in near.records()] == ["timed out"]
    assert len(far.records()) == 1


def test_a_run_outlives_whoever_started_it_and_the_next_call_fetches_its_record(
    near: Checkout, far: Checkout, there: tuple[str, ...]
) -> None:
    process = near.start(*there, "--set", "mode=hang", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _until_it_says(process, "the toy's mode is hang")
    process.kill()
    process.communicate()
    busy = near(*there)
    refused = busy.returncode == 4 and "a run is going on" in busy.stderr and "kill -INT" in busy.stderr
    assert refused or len(near.records()) == 2, "on a slow machine it is over by now"
    _wait_for(far.records)  # the toy's limit is four seconds
    _wait_for(lambda: "busy" not in (done := near(*there)).stderr and done.returncode == 0)
    reasons = [record["exit"]["reason"] for record in near.records()]
    assert reasons[:2] == ["timed out", "finished"] and set(reasons[2:]) <= {"finished"}


def test_a_record_that_was_changed_there_is_not_taken(near: Checkout, far: Checkout, there: tuple[str, ...]) -> None:
    near(*there)
    for path in near.results.glob("1/*/*/*"):
        path.unlink()
    for path in near.results.glob("1/*/*"):
        path.rmdir()
    (log,) = far.results.glob("1/*/*/run.log")
    log.write_text("it was never like this\n" + log.read_text())
    done = near(*there, "--set", "mode=crash")
    assert done.returncode == 6 and "run.log" in done.stderr
    assert len(near.records()) == 1, "only the new one"


def test_what_stands_between_is_said_with_exit_code_4(
    near: Checkout, far: Checkout, there: tuple[str, ...], server: ssh_server.Server, tmp_path: Path
) -> None:
    keys = server.path.parent

    def refused(*words: str) -> str:
        done = near(*words)
        assert done.returncode == 4 and "Traceback" not in done.stderr, done.stdout + done.stderr
        assert len(done.stderr.strip().splitlines()) == 3, done.stderr
        return done.stderr

    usual = (server.path / "ssh").read_text()
    try:
        server.give_ssh(f"-i {keys}/user -oIdentitiesOnly=yes -oUserKnownHostsFile={tmp_path}/nothing")
        assert "its key is not known here" in refused(*there)
        (tmp_path / "changed").write_text(f"[127.0.0.1]:{server.port} {(keys / 'other.pub').read_text()}")
        server.give_ssh(f"-i {keys}/user -oIdentitiesOnly=yes -oUserKnownHostsFile={tmp_path}/changed")
        assert "not the one it had" in refused(*there)
        server.give_ssh(f"-i {keys}/other -oIdentitiesOnly=yes -oUserKnownHostsFile={keys}/known")
        assert "accepts no key" in refused(*there)
    finally:
        (server.path / "ssh").write_text(usual)
    assert "cannot be reached" in refused("run", "--host", "ssh://127.0.0.1:1")
    (far.folder / ".sent.json").unlink()
    assert "nothing was written" in refused(*there)
    with ssh_server.running(tmp_path / "bare", PATH="/nowhere") as bare:
        bare_path = f"{bare.path}:{os.environ['PATH']}"
        done = near("run", "--host", bare.address(), env={**os.environ, "PATH": bare_path})
    assert done.returncode == 4 and "there is no Python" in done.stderr, done.stderr


def test_a_full_disk_there_is_said(near: Checkout, server: ssh_server.Server, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a file system cannot be mounted here")
    try:
        done = near("run", "--host", server.address(str(small)))
    finally:
        subprocess.run(["umount", small], check=True)
    assert done.returncode == 4 and "No space left" in done.stderr, done.stdout + done.stderr


def _until_it_says(process: "subprocess.Popen[str]", words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}: {process.communicate()}")


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)
