"""Dispatch: which cells are submitted, as which jobs; and inside a job, which cards it sees."""

import dataclasses
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import a_catalogue, a_kind, a_part, a_record, a_record_not_judged

from harness.catalogue import cells
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Requirement
from harness.checkout import ROOT
from harness.dispatch.dispatcher import RunRequest
from harness.dispatch.listed import batches, deliveries, jobs, missing
from harness.dispatch.listed.batches import JobCell
from harness.dispatch.registry import scheduler
from harness.dispatch.slurm import allocation, submission
from harness.dispatch.slurm import scheduler as slurms
from harness.dispatch.slurm import site as sites
from harness.dispatch.slurm.dispatch import Slurm
from harness.dispatch.slurm.site import Settings
from harness.errors import DataFileError, EngineError, StoreError, UsageError
from harness.evidence import hashing, records
from harness.runs.processes import Ending

NPU = a_kind("ascend", "accelerator", ("npu",), visible_devices="NPU_VISIBLE_DEVICES", scheduler={"slurm": "npu:910b"})
BOOK = a_catalogue(a_part("4"), a_part("7", timeout=3600.0), kinds=(a_kind(), NPU))
SITE = Settings(900.0, {})
OWN_NAME = {"ascend": {"gres": "gpu:huawei"}}
COMMIT = {"revision": "a" * 40, "clean": True}


@pytest.fixture(autouse=True)
def a_clean_tree(monkeypatch):
    for module in (missing, submission):
        monkeypatch.setattr(module, "revision", lambda: COMMIT)


@pytest.fixture
def slurm(monkeypatch, results):
    """Slurm's commands, written down instead of run; `answers` holds what sbatch says."""
    asked: list[tuple[str, ...]] = []
    answers: list[subprocess.CompletedProcess] = []

    def ask(*words, **options):
        asked.append(words)
        if words[0] == "sbatch" and answers:
            return answers.pop(0)
        said = f"{100 + len(asked)}\n" if words[0] == "sbatch" else ""
        return subprocess.CompletedProcess(words, 0, said, "")

    for module in (slurms, submission):
        monkeypatch.setattr(module, "ask", ask)
    ask.answers = answers
    return ask


def wanted(hw: str = "cpu,npu", parts: str = "4,7", **more):
    return planned_of([BOOK.parts[name] for name in parts.split(",")], hw, **more)


def planned_of(parts, hw, **more):
    return list(Slurm(scheduler).plan(RunRequest(catalogue=BOOK, parts=parts, hw=hw, on="slurm", **more)).wanted)


def test_cells_are_planned_without_looking_for_cards_here():
    planned = wanted(settings=["grid=33"], seed=5)
    assert [str(each.cell) for each in planned] == ["4 on cpu", "4 on ascend", "7 on cpu", "7 on ascend"]
    assert all(each.cell.parameters["grid"] == 33 and each.cell.seed == 5 for each in planned)
    assert [each.minutes for each in planned] == [16, 16, 75, 75], "the part's limit and the margin"
    assert len({each.cell.run for each in planned}) == 4


def test_auto_and_values_of_two_lines_are_refused():
    with pytest.raises(UsageError, match="which hardware"):
        wanted("auto")
    with pytest.raises(UsageError, match="two lines"):
        wanted(settings=["method=ri\ntz"])
    with pytest.raises(UsageError, match="no such engine"):
        sites.inside("slurm:podman")
    assert sites.inside("slurm") == "auto" and sites.inside("slurm:container") == "container"


def test_cells_with_equal_needs_are_one_array(results, slurm):
    submitted, refused = submission.submit(wanted(), results, SITE, "local")
    assert [len(batch.cells) for batch in submitted] == [1, 1, 1, 1] and refused == []
    assert [batch.job > 100 for batch in batches.listed(results)] == [True] * 4
    same = [dataclasses.replace(each, minutes=16) for each in wanted()]
    submitted, _ = submission.submit(same, results, SITE, "local")
    assert [len(batch.cells) for batch in submitted] == [2, 2]
    npu = submitted[1].file(results, ".sh").read_text()
    assert "--gres=npu:910b:1" in npu and "--array=0-1" in npu and "--time=16" in npu and "--mem=8G" in npu
    first, second = submitted[1].file(results, ".list").read_text().splitlines()
    given = f"HOMEWORK_RUN={submitted[1].cells[0].run} HOMEWORK_GRES=npu:910b"
    assert first.startswith(f"exec env {given} ./inv run --task 4 --hw ascend --cards 1")
    assert "--set grid=101" in first and "--set quick=false" in first and "--task 7" in second
    assert "--gres" not in submitted[0].file(results, ".sh").read_text()


def test_an_image_is_built_before_its_cells_and_once_for_all_of_them(results, slurm):
    submitted, _ = submission.submit(wanted("npu"), results, SITE, "container")
    builds = list((results / ".jobs").glob("build-*.sh"))
    assert len(builds) == 1 and "./inv build --hw ascend --stack base" in builds[0].read_text()
    assert "--gres" not in builds[0].read_text()
    for batch in submitted:
        assert "--dependency=afterok:102" in batch.file(results, ".sh").read_text()
        assert batch.file(results, ".list").read_text().startswith("./inv build --hw ascend --stack base && exec env")


def test_a_refused_array_is_forgotten_and_the_others_are_submitted(results, slurm):
    slurm.answers.append(subprocess.CompletedProcess((), 1, "", "sbatch: error: invalid partition specified: x"))
    submitted, refused = submission.submit(wanted(parts="4"), results, SITE, "local")
    assert len(submitted) == 1 and batches.listed(results) == submitted
    assert isinstance(refused[0], EngineError) and "invalid partition" in refused[0].why


def test_a_slurmctld_that_is_not_there_is_waited_for(results, slurm, monkeypatch, capsys):
    waited = []
    monkeypatch.setattr(submission, "wait_a_moment", lambda change, silences: waited.append(silences))
    gone = subprocess.CompletedProcess((), 1, "", "sbatch: error: Unable to contact slurm controller (connect failure)")
    slurm.answers += [gone, gone]
    submitted, refused = submission.submit(wanted("cpu", "4"), results, SITE, "local")
    assert len(submitted) == 1 and refused == [] and waited == [1, 2]
    assert capsys.readouterr().out.count("waiting until it does") == 1


def test_an_array_of_which_nobody_knows_whether_it_was_taken_stays_on_the_list(results, slurm):
    slurm.answers.append(subprocess.CompletedProcess((), 1, "", "sbatch: error: Socket timed out"))
    submission.submit(wanted("cpu", "4"), results, SITE, "local")
    (batch,) = batches.listed(results)
    assert batch.job == 0 and batch.caller == 0


def test_only_what_is_missing_is_submitted(results, slurm, monkeypatch):
    busy, passed, failed, lacking = wanted()
    program = {"file": "projects/04-plate/main.py", **COMMIT}
    of_parts = {"4": program, "7": {**program, "file": "projects/07-plate/main.py"}}
    batch = batches.Batch(id="b", cells=(busy.cell,), program=of_parts, submitted="2026-11-23T00:00:00.000Z", job=3)
    monkeypatch.setattr(
        jobs, "look", lambda results, schedulers: [jobs.Status(batch=batch, place=0, job=None, state="waiting")]
    )
    done = {"parameters": dict(passed.cell.parameters), "seed": 0, "cards": 1}
    a_record(results, "4", "ascend", program=of_parts["4"], passed=True, **done)
    a_record(results, "7", "cpu", program=of_parts["7"], passed=False, verdict="failed", **done)
    a_record(results, "7", "ascend", program={**of_parts["7"], "revision": "b" * 40}, passed=True, **done)
    found = missing.split([busy, passed, failed, lacking], results, scheduler)
    assert found.under_way == [(batch, 0)] and [each for each, _ in found.passed] == [passed]
    assert found.missing == [failed, lacking]
    monkeypatch.setattr(missing, "revision", lambda: {**COMMIT, "clean": False})
    assert passed in missing.split([passed], results, scheduler).missing, "of a changed tree nobody knows what ran"


WORK = st.tuples(st.sampled_from(["4", "7"]), st.sampled_from([NPU, a_kind()]), st.integers(0, 2), st.booleans())


@given(asked=st.lists(WORK, max_size=6), on_the_list=st.lists(WORK, max_size=6))
def test_the_same_work_is_the_same_part_kind_parameters_seed_and_cards(asked, on_the_list):
    """Held against the plain definition: the first cell of the list with the same fields but the run's id."""
    cells = [a_cell(*each) for each in on_the_list]
    batch = batches.Batch(id="b", cells=tuple(cells), program={}, submitted="2026-11-23T00:00:00.000Z", job=3)
    busy = [jobs.Status(batch=batch, place=place, job=None, state="waiting") for place in range(len(cells))]
    planned = [a_wanted(a_cell(*each)) for each in asked]
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(jobs, "look", lambda results, schedulers: busy)
        found = missing.split(planned, Path(folder), scheduler)
    plain = [
        next(
            (place for place, cell in enumerate(cells) if dataclasses.replace(cell, run=each.cell.run) == each.cell),
            None,
        )
        for each in planned
    ]
    assert found.under_way == [(batch, place) for place in plain if place is not None]
    assert found.missing == [each for each, place in zip(planned, plain, strict=True) if place is None]


def a_cell(part: str, kind, seed: int, quick: bool) -> JobCell:
    parameters = {"grid": 101, "quick": quick}
    return JobCell(run=hashing.new_id(), part=part, hardware=kind.name, parameters=parameters, seed=seed, cards=1)


def a_wanted(cell: JobCell) -> missing.Wanted:
    asked = {"parameters": cell.parameters, "seed": cell.seed, "cards": cell.cards}
    request = CellRequest(part=BOOK.parts[cell.part], kind=NPU, **asked)
    return missing.Wanted(request=request, cell=cell, minutes=16)


def test_ten_times_the_cells_take_about_ten_times_as_long(results, slurm, monkeypatch):
    def seconds(count: int) -> float:
        cells = tuple(a_cell("4", NPU, seed, False) for seed in range(count))
        batch = batches.Batch(id="b", cells=cells, program={}, submitted="2026-11-23T00:00:00.000Z", job=3)
        busy = [jobs.Status(batch=batch, place=place, job=None, state="waiting") for place in range(count)]
        monkeypatch.setattr(jobs, "look", lambda results, schedulers: busy)
        planned = [a_wanted(cell) for cell in cells]
        start = time.process_time()
        assert len(missing.split(planned, results, scheduler).under_way) == count
        return time.process_time() - start

    few = min(seconds(500) for _ in range(3))
    assert min(seconds(5_000) for _ in range(2)) < 30 * few


def test_each_record_is_read_once_and_none_that_is_not_needed(results, slurm, monkeypatch):
    (one,) = wanted("cpu", "4")
    done = {"parameters": dict(one.cell.parameters), "cards": 1}
    program = {"file": "projects/04-plate/main.py", **COMMIT}
    for seed in range(4):
        a_record(results, "4", "cpu", program=program, passed=True, seed=seed, day=f"2026-11-2{seed}", **done)
    read = []
    monkeypatch.setattr(records, "read", lambda path, read_it=records.read: read.append(path) or read_it(path))
    newest_and_none = [dataclasses.replace(one, cell=dataclasses.replace(one.cell, seed=seed)) for seed in (3, 9, 8, 0)]
    found = missing.split(newest_and_none[:1], results, scheduler)
    assert len(found.passed) == 1 and len(read) == 1, "the latest is looked at first"
    found = missing.split(newest_and_none, results, scheduler)
    assert [each.cell.seed for each, _ in found.passed] == [3, 0] and len(read) == 1 + 4


def test_settings_of_the_site_and_of_a_kind(tmp_path, monkeypatch):
    file = tmp_path / "slurm.yaml"
    file.write_text(
        "margin: 1 h\noptions: {partition: all, account: team, requeue: false}\n"
        "kinds: {ascend: {gres: 'npu:910b3', options: {partition: npu, mem: 64G}}}\n"
    )
    site = sites.settings(file)
    assert site.margin == 3600 and site.gres(NPU) == "npu:910b3" and site.gres(a_kind()) == ""
    assert site.of(NPU) == {"mem": "64G", "cpus-per-task": 2, "partition": "npu", "account": "team"}
    assert sites.settings(tmp_path / "none.yaml") == Settings(900.0, {}, {})
    file.write_text("kinds: {ascent: {}}\n")
    monkeypatch.setattr(sites, "settings", lambda settings=sites.settings: settings(file))
    with pytest.raises(DataFileError, match="ascent: no such kind"):
        planned_of([], "cpu")


def test_jobs_that_send_their_records_need_nothing_of_this_folder(results, slurm, tmp_path):
    file = tmp_path / "slurm.yaml"
    file.write_text(f"store: {tmp_path}/store\ncheckout: /opt/homework\n")
    (batch, *_), _ = submission.submit(wanted("npu"), results, sites.settings(file), "local")
    assert batch.store == f"{tmp_path}/store" and batches.listed(results)[0] == batch
    script = batch.file(results, ".sh").read_text()
    assert "--chdir=/opt/homework" in script and f"./inv upload --to {tmp_path}/store" in script
    assert batch.cells[0].run in script and str(ROOT) not in script and ".jobs" not in script


@pytest.mark.parametrize("address", ["s3://team?service=nobody", "s3://name:word@team/homework"])
def test_a_store_that_is_none_is_refused_and_no_secret_shown(tmp_path, address):
    (tmp_path / "slurm.yaml").write_text(f"store: {address}\n")
    with pytest.raises(UsageError) as raised:
        sites.settings(tmp_path / "slurm.yaml")
    assert ":word" not in str(raised.value)


def test_a_store_that_cannot_be_reached_is_said_before_anything_is_submitted(results, slurm, monkeypatch):
    def silent(address):
        raise StoreError("no answer")

    monkeypatch.setattr(deliveries, "reachable", silent)
    with pytest.raises(StoreError):
        submission.submit(wanted(), results, dataclasses.replace(SITE, store="s3://team"), "local")
    assert batches.listed(results) == []


WRONG = ("option: {}", "checkout: /opt/homework", "store: team", "margin: soon", "options: {array: 0-5}")


@pytest.mark.parametrize("text", [*WRONG, "options: {partition: [a]}", 'options: {mem: "a\\nb"}'])
def test_a_mistake_in_the_settings_is_refused(tmp_path, text):
    (tmp_path / "slurm.yaml").write_text(text)
    with pytest.raises(DataFileError):
        sites.settings(tmp_path / "slurm.yaml")


# Inside a job


@pytest.fixture
def job(monkeypatch):
    """The environment of a job, the second attempt of a task of an array."""
    for name, value in {
        "HOMEWORK_RUN": "20261123T154312.042Z-4fa01c",
        "SLURM_JOB_ID": "12",
        "SLURM_ARRAY_JOB_ID": "11",
        "SLURM_ARRAY_TASK_ID": "3",
        "SLURMD_NODENAME": "n1",
        "SLURM_RESTART_COUNT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("NPU_VISIBLE_DEVICES", "HOMEWORK_GRES"):
        monkeypatch.delenv(name, raising=False)
    answers = {"text": ""}
    monkeypatch.setattr(allocation, "_scontrol", lambda *options: answers["text"])
    return answers


def test_a_record_says_which_job_it_was_and_has_the_id_that_it_was_given(job):
    found = allocation.job()
    assert found.facts == {"scheduler": "slurm", "id": "11_3", "node": "n1", "attempt": 2}
    assert found.run != "20261123T154312.042Z-4fa01c" and hashing.RUN_ID.fullmatch(found.run)


def test_outside_a_job_a_record_says_nothing_of_one(monkeypatch):
    monkeypatch.delenv("HOMEWORK_RUN", raising=False)
    assert allocation.job() is None


def test_the_cards_of_the_job_alone_are_seen(job, results, monkeypatch):
    job["text"] = "Nodes=n1 CPU_IDs=0 Mem=100 GRES=npu:910b:2(IDX:2-3)"
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "")
    allocation.see_own_cards([NPU])
    assert os.environ["NPU_VISIBLE_DEVICES"] == "2,3"
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "7")
    allocation.see_own_cards([NPU])
    assert os.environ["NPU_VISIBLE_DEVICES"] == "7", "where Slurm has set it, it stays"


def test_a_job_looks_for_its_cards_by_the_name_that_its_site_has_for_them(job, monkeypatch):
    (each,) = wanted("ascend", "4")
    (given,) = re.findall(r"HOMEWORK_GRES=(\S+)", submission.line(each, Settings(900.0, {}, OWN_NAME), "local", ""))
    monkeypatch.setenv("HOMEWORK_GRES", given)
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "")
    job["text"] = "Nodes=n1 CPU_IDs=0 Mem=100 GRES=gpu:huawei:1(IDX:3)"
    allocation.see_own_cards([NPU])
    assert os.environ["NPU_VISIBLE_DEVICES"] == "3"


def test_a_job_that_cannot_know_its_cards_takes_none(job, monkeypatch):
    job["text"] = "Nodes=n1 CPU_IDs=0 Mem=100 GRES=npu:910b:1"
    with pytest.raises(EngineError, match="which cards are this job's"):
        allocation.see_own_cards([NPU])
    job["text"] = ""
    monkeypatch.setattr(allocation.shutil, "which", lambda name: None)
    with pytest.raises(EngineError, match="no scontrol here"):
        allocation.see_own_cards([NPU])
    assert "NPU_VISIBLE_DEVICES" not in os.environ


def test_a_job_waits_for_a_slurmctld_to_say_which_its_cards_are(job, monkeypatch, capsys):
    def answer(last_change, silences):
        job["text"] = "GRES=npu:910b:1(IDX:1)" if silences == 3 else ""

    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "")
    monkeypatch.setattr(allocation.shutil, "which", lambda name: name)
    monkeypatch.setattr(allocation, "wait_a_moment", answer)
    allocation.see_own_cards([NPU])
    assert os.environ["NPU_VISIBLE_DEVICES"] == "1" and capsys.readouterr().out.count("waiting until it does") == 1


def test_an_attempt_after_one_that_finished_has_nothing_to_do(job, results):
    earlier = a_record(results)
    place = earlier.with_name(os.environ["HOMEWORK_RUN"])
    assert not allocation.finished_before(results)
    earlier.rename(place)
    assert allocation.finished_before(results)


def test_an_ending_by_the_scheduler_gets_its_name(job):
    interrupted = Ending("interrupted", None, "SIGTERM", 1.0, 0, 0)
    assert allocation.true_ending(interrupted) == interrupted
    job["text"] = "JobState=COMPLETING Reason=TimeLimit Restarts=1"
    assert allocation.true_ending(interrupted).reason == "timed out"
    finished = Ending("finished", 0, None, 1.0, 0, 0)
    assert allocation.true_ending(finished) == finished


def test_values_that_do_not_fit_are_refused_here_and_not_on_a_node():
    part = a_part(requires=(Requirement("grid % 2 == 1", "there is a point in the middle"),))
    with pytest.raises(UsageError, match="4 cannot run with grid=50"):
        planned_of([part], "cpu", settings=["grid=50"])


def test_what_is_not_judged_is_not_submitted_again(results, slurm, monkeypatch):
    (each,) = wanted("cpu", "4")
    monkeypatch.setattr(jobs, "look", lambda results, schedulers: [])
    program = {"file": "projects/04-plate/main.py", **COMMIT}
    folder = a_record_not_judged(results, program=program, parameters=dict(each.cell.parameters), seed=0, cards=1)
    assert missing.split([each], results, scheduler).passed == [(each, folder)]


def test_a_raised_time_limit_is_the_jobs_and_the_runs():
    (part,) = cells.with_timeout([BOOK.parts["4"]], "2h")
    (each,) = planned_of([part], "cpu")
    assert each.minutes == 135 and "--timeout 7200s" in submission.line(each, SITE, "local", "")
    (each,) = wanted("cpu", "4")
    assert "--timeout" not in submission.line(each, SITE, "local", "")


def test_slurm_commands_that_are_absent_are_named():
    with pytest.raises(EngineError, match="no such-command here"):
        slurms.ask("such-command")
