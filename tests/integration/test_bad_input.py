"""Bad input and bad luck: a clear error with its exit code, nothing half-written, and everything can be run again."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import Checkout, processes


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["rnu"], "Did you mean run?"),
        (["run", "--tsk", "1"], "Did you mean --task?"),
        (["run", "--task", "77"], "no such task"),
        (["run", "--task", "1-9"], "no such task"),
        (["run", "--hw", "asend"], "Did you mean ascend?"),
        (["run", "--on", "cloud"], "Known: auto"),
        (["run", "--profile", "grand"], "no such profile"),
        (["run", "--task", "1", "--set", "sise=3"], "Did you mean size?"),
        (["run", "--task", "1", "--set", "size=10"], "integer, at least 1, at most 9"),
        (["run", "--task", "1", "--set", "size=many"], "integer, at least 1, at most 9"),
        (["run", "--task", "1", "--set", "mode"], "NAME=VALUE"),
        (["run", "--task", "1", "--cards", "2"], "part 1 does not run on that many"),
        (["run", "--task", "1", "--timeout", "2s"], "Part 1 has 4 s, and a limit is only raised"),
        (["run", "--task", "1", "--timeout", "soon"], "It is a whole number and s, min or h"),
        (["run", "--task", "2"], "its program is not written yet"),
        (["run", "--seed", "many"], "seed"),
        (["matrix", "--format", "xml"], "table, markdown, json, html"),
        (["show", "2020"], "There is no record yet"),
    ],
)
def test_usage_errors_exit_with_2_and_name_the_mend(checkout: Checkout, words: list[str], says: str) -> None:
    done = checkout(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) <= 4
    assert not list(checkout.results.glob("*/*/*"))


@pytest.mark.parametrize(
    "words",
    [[], ["--dry-run"], ["--on", "slurm", "--hw", "cpu"], ["--host", "ssh://nobody@127.0.0.1:9"]],
    ids=["here", "dry run", "slurm", "ssh"],
)
def test_values_that_do_not_fit_are_three_lines_before_anything_runs(checkout: Checkout, words: list[str]) -> None:
    done = checkout("run", "--set", "size=7", *words)
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == ["1 cannot run with size=7.", "seven is no number to check: size != 7."]
    assert len(done.stderr.splitlines()) == 3 and not checkout.records()


def test_a_run_that_is_not_judged_is_no_failure_and_says_what_is_left_out(checkout: Checkout) -> None:
    done = checkout("run", "--set", "size=6")
    assert done.returncode == 0, done.stderr
    left_out = "at most 0.1, when size != 6"
    assert "△ not judged" in done.stdout and f"error: {left_out}; the bound is not meant for six" in done.stdout
    (record,) = checkout.records()
    assert record["verdict"] == "not judged" and record["passed"] is False
    explained = " ".join(checkout("matrix", "--explain").stdout.split())
    assert f"not judged; error ({left_out}): the bound is not meant for six" in explained and "0 points" in explained
    assert "△ not judged" in checkout("show").stdout and checkout("verify").returncode == 0
    checkout("run")
    checkout("run", "--set", "size=6")
    assert "✓ 3" in checkout("matrix").stdout, "it does not displace the one that passed"


def test_a_longer_time_limit_is_the_one_that_ends_a_run(checkout: Checkout) -> None:
    done = checkout("run", "--set", "mode=hang", "--timeout", "6s")
    assert done.returncode == 1 and "still running after its limit of 6 s" in done.stdout
    (record,) = checkout.records()
    assert record["timeout"] == 6 and record["times"]["seconds"] >= 6


def test_hardware_that_is_not_here_exits_with_3_and_says_where_it_was_looked_for(checkout: Checkout) -> None:
    done = checkout("run", "--hw", "ascend")
    assert done.returncode == 3
    assert "npu-smi: not on PATH" in done.stderr and "/dev/davinci" in done.stderr


@pytest.mark.parametrize(
    ("mode", "check", "why"),
    [
        ("crash", "program", "the program failed"),
        ("hang", "program", "still running after its limit of 4 s"),
        ("stubborn", "program", "still running after its limit of 4 s"),
        ("killed", "program", "ended by SIGKILL"),
        ("silent", "metrics.json", "the program wrote none"),
        ("nan", "error", "not a finite number"),
        ("undeclared", "surprise", "does not declare it"),
        ("elsewhere", "device", "a silent fall-back"),
    ],
)
def test_a_program_that_fails_leaves_a_record_that_says_why(
    checkout: Checkout, mode: str, check: str, why: str
) -> None:
    done = checkout("run", "--set", f"mode={mode}")
    assert done.returncode == 1
    (record,) = checkout.records()
    (failed,) = [each for each in record["checks"] if not each["passed"]]
    assert failed["name"] == check and why in failed["why"]
    assert not record["passed"]
    assert not _sleepers(), "no child is left behind"
    assert checkout("verify").returncode == 0


def test_a_gigabyte_of_output_leaves_a_short_log_with_both_ends(checkout: Checkout) -> None:
    project = checkout.folder / "projects" / "01-toy" / "project.yaml"
    project.write_text(project.read_text().replace("timeout: 4 s", "timeout: 60 s"))  # a busy machine needs longer
    done = checkout("run", "--set", "mode=flood")
    assert done.returncode == 0, done.stderr
    (record,) = checkout.records()
    assert record["log"]["bytes"] > 2**30
    assert record["artefacts"]["run.log"]["bytes"] < 9 * 2**20
    log = next(checkout.results.glob("1/cpu/*/run.log")).read_text()
    assert log.startswith("the toy's mode is flood") and "bytes left out here" in log


def test_offspring_that_holds_the_output_open_is_ended(checkout: Checkout) -> None:
    started = time.monotonic()
    assert checkout("run", "--set", "mode=offspring").returncode == 0
    assert time.monotonic() - started < 10 and not _sleepers()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_says_so_and_leaves_no_child(checkout: Checkout, number: int, code: int) -> None:
    process = checkout.start("run", "--set", "mode=hang", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _wait_for(lambda: _sleepers())
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == code
    (record,) = checkout.records()
    assert record["exit"]["reason"] == "interrupted" and not record["passed"]
    assert not _sleepers()
    assert checkout("verify").returncode == 0
    assert checkout("run").returncode == 0


def test_a_killed_harness_leaves_a_draft_that_a_run_seals_once_its_program_is_gone(checkout: Checkout) -> None:
    process = checkout.start("run", "--set", "mode=hang", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait_for(lambda: _sleepers())
    process.kill()
    process.wait()
    assert "Sealed" not in checkout("run").stdout, "the orphan still writes there"
    for orphan in [*processes(str(checkout.folder)), *_sleepers()]:
        os.kill(orphan, signal.SIGKILL)
    assert "Sealed a run that was killed" in checkout("run").stdout
    assert [record["exit"]["reason"] for record in checkout.records()] == ["interrupted", "finished", "finished"]
    assert checkout("verify").returncode == 0


def test_two_runs_at_the_same_moment_leave_two_records(checkout: Checkout) -> None:
    processes = [checkout.start("run", stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert len(checkout.records()) == 3
    assert checkout("verify").returncode == 0


def test_a_damaged_record_among_good_ones_is_named_and_left_out(checkout: Checkout) -> None:
    for _ in range(3):
        checkout("run")
    first, second, third = sorted(checkout.results.glob("1/cpu/*/record.json"))
    first.write_text(first.read_text()[:100])
    record = json.loads(second.read_text())
    record["metrics"]["error"] = 0.0
    second.write_text(json.dumps(record))
    done = checkout("matrix")
    assert done.returncode == 0 and "3 points earned" in done.stdout
    assert str(first) in done.stdout and str(second) in done.stdout and str(third) not in done.stdout
    verified = checkout("verify")
    assert verified.returncode == 6 and str(second) in verified.stderr and "2 of 3" in verified.stderr


def test_verify_names_a_changed_a_missing_and_an_added_file(checkout: Checkout) -> None:
    checkout("run")
    (folder,) = checkout.results.glob("1/cpu/*")
    (folder / "run.log").write_text("another story")
    (folder / "device.json").unlink()
    (folder / "extra").write_text("")
    done = checkout("verify", "latest")
    assert done.returncode == 6
    assert all(name in done.stderr for name in ("run.log", "device.json", "extra"))


def test_a_mistake_in_a_data_file_is_refused_with_file_and_line(checkout: Checkout) -> None:
    path = checkout.folder / "projects" / "01-toy" / "project.yaml"
    path.write_text(path.read_text().replace("timeout: 4 s", "timeot: 4 s"))
    done = checkout("tasks")
    line = path.read_text().splitlines().index("    timeot: 4 s") + 1
    assert done.returncode == 2
    assert f"projects/01-toy/project.yaml:{line}" in done.stderr and "did you mean 'timeout'?" in done.stderr


@pytest.fixture
def small_disk(checkout: Checkout) -> Path:
    """The results folder on a file system of 2 MiB."""
    checkout.results.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", checkout.results], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a file system can be mounted only by root here: {mounted.stderr.strip()}")
    yield checkout.results
    subprocess.run(["umount", checkout.results], check=True)


def test_a_full_disk_is_said_in_three_lines_and_leaves_nothing_half_written(
    checkout: Checkout, small_disk: Path
) -> None:
    (small_disk / "ballast").write_bytes(bytes(1900 * 1024))
    done = checkout("run", "--set", "mode=flood")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "No space left" in done.stderr and "Traceback" not in done.stderr
    assert not list(small_disk.glob("1/*/*")) and not list(small_disk.glob(".unfinished/*"))
    (small_disk / "ballast").unlink()
    assert checkout("run").returncode == 0


def test_a_program_that_fills_the_disk_fails_with_a_record_or_a_store_error(
    checkout: Checkout, small_disk: Path
) -> None:
    done = checkout("run", "--set", "mode=full")
    assert done.returncode in (1, 7) and "Traceback" not in done.stderr
    assert not list(small_disk.glob(".unfinished/*"))


def test_a_read_only_results_folder_is_refused_before_the_program_runs(checkout: Checkout, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    done = checkout("run", "-v")
    assert done.returncode == 7 and "results cannot be written" in done.stderr
    assert "the toy's mode" not in done.stdout
    assert checkout("matrix").returncode == 0, "reading goes on"


def test_a_reader_that_leaves_early_is_no_error(checkout: Checkout) -> None:
    done = subprocess.run(f"{checkout.folder}/inv tasks | head -n 1", shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_colours_only_on_a_terminal(checkout: Checkout) -> None:
    assert "\x1b[" not in checkout("run").stdout
    if shutil.which("script"):
        shown = subprocess.run(
            ["script", "-qec", f"{checkout.folder}/inv matrix", "/dev/null"],
            capture_output=True, text=True, env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
        assert "\x1b[32m" in shown.stdout


def _sleepers() -> list[int]:
    """The toy's children that are still alive."""
    return processes("sleep 61.5")


def _wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
