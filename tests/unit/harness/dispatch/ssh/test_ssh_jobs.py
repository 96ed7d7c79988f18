"""What ./inv jobs says of runs over ssh: of a machine that is not reached, of one that does something else."""

from pathlib import Path

import pytest

from harness.dispatch.dispatcher import Outcome
from harness.dispatch.ssh import jobs, underway
from harness.dispatch.ssh.dispatch import There
from harness.dispatch.ssh.underway import FarRun
from harness.errors import EngineError, HomeworkError, Interrupted

RUN = FarRun(name="a", address="ssh://box", options=["--task", "4"], begun="2026-11-30T00:00:00.000Z")


def test_a_machine_that_is_not_reached_is_said_and_its_run_stays_on_the_list(tmp_path, monkeypatch, capsys) -> None:
    def refused(address: object) -> There:
        raise EngineError("box: it cannot be reached.", "Connection refused", "Is it on?")

    monkeypatch.setattr(jobs, "_there", refused)
    RUN.write(tmp_path)
    assert jobs.show(tmp_path, once=True, cancel=False) == []
    said = capsys.readouterr().out
    assert "cannot be reached" in said and "rm " in said and underway.listed(tmp_path) == [RUN]


@pytest.mark.parametrize(
    ("there", "says"),
    [
        (There(folder="f", busy="process 7", last="a", killed=False), "running since 2026-11-30 00:00 UTC"),
        (There(folder="f", busy="another call", last="b", killed=False), "waiting for another call"),
    ],
)
def test_one_look_says_where_a_run_is(tmp_path: Path, monkeypatch, capsys, there: There, says: str) -> None:
    monkeypatch.setattr(jobs, "_there", lambda address: there)
    RUN.write(tmp_path)
    assert jobs.show(tmp_path, once=True, cancel=False) == []
    assert says in capsys.readouterr().out and underway.listed(tmp_path) == [RUN]


def test_a_run_that_was_ended_or_failed_is_an_error(tmp_path: Path) -> None:
    jobs.require_passed([Outcome([])])
    with pytest.raises(HomeworkError, match="1 of 2 runs failed or was ended"):
        jobs.require_passed([Outcome([]), Outcome([], Interrupted(2))])
