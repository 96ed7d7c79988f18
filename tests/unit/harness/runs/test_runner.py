"""Runs: whatever a program leaves, the cell has a sealed record; secrets have no place in it."""

import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import a_catalogue, a_kind, a_part

from harness.catalogue import cells
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Cards, Metric, Requirement
from harness.engines.engine import Launch
from harness.errors import BuildError, Interrupted, UsageError
from harness.evidence.record import Record
from harness.evidence.records import read
from harness.machine.devices import Card
from harness.machine.probe import Finding
from harness.runs import runner
from harness.runs.runner import Planned, run_cell
from harness.verification.verifying import verify

PART = a_part(metrics={"m": Metric(name="m", when={})})
PROOF = '{"device": "cpu", "places": {"Place(cpu)": 3}}'


class Here:
    """An engine that runs a small Python program in this interpreter; the folder for its files is argv[2]."""

    name = "here"

    def __init__(self, program: str) -> None:
        self.program = program

    def missing(self, cell):
        return None

    def prepare(self, cell):
        pass

    def launch(self, request):
        command = (sys.executable, "-c", self.program, "--out", str(request.out))
        return Launch(command=command, environment=dict(os.environ), settings={"FLAGS_x": "1"})


def planned(program: str, kind=None, **more) -> Planned:
    asked = CellRequest(**{"part": PART, "kind": kind or a_kind(), "parameters": {"method": "ritz"}, **more})
    finding = Finding(asked.kind, (Card(index="0", model="Processor A"), Card(index="1", model="Processor A")))
    return Planned(asked, Here(program), "here", finding)


def leaving(metrics: str, device: str = PROOF) -> str:
    return (
        "import sys, pathlib; out = pathlib.Path(sys.argv[2])\n"
        f"(out / 'metrics.json').write_bytes({metrics.encode()!r})\n"
        f"(out / 'device.json').write_bytes({device.encode()!r})"
    )


@pytest.mark.parametrize(("program", "cleaned"), [("", False), ("raise SystemExit(3)", True)])
def test_what_a_run_may_leave_is_taken_away_unless_it_ended_well(results, tmp_path, program, cleaned):
    """The engine has taken away the container of a program that ended well; asking it again takes time."""
    trace = tmp_path / "cleaned"
    entry = planned(program)
    launch = entry.engine.launch
    entry.engine.launch = lambda request: replace(launch(request), cleanup=("touch", str(trace)))
    run_cell(entry, results)
    assert trace.exists() == cleaned


def test_a_good_run_leaves_a_record_that_holds(results, capsys):
    folder = run_cell(planned(leaving('{"m": 1}'), seed=3), results).folder
    record = read(folder / "record.json")
    assert not Record.read(folder).failed and record["seed"] == 3 and record["parameters"] == {"method": "ritz"}
    assert record["hardware"]["model"] == "Processor A" and len(record["hardware"]["cards"]) == 1
    assert record["command"][-2:] == ["--out", "OUT"] and str(results) not in " ".join(record["command"])
    assert record["environment"]["FLAGS_x"] == "1"
    assert verify(folder, a_catalogue(PART)) == []
    assert "✓ passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("metrics", "device"),
    [
        pytest.param('{"m": 1e999}', PROOF, id="a number beyond floats"),
        pytest.param('{"m": "\\ud800"}', PROOF, id="half a character"),
        pytest.param('{"m": 1, "n": ' + "[" * 600 + "]" * 600 + "}", PROOF, id="600 lists deep"),
        pytest.param('{"m": 1}', '{"device": "cpu", "places": {"Place(cpu)": 1e999}}', id="a place beyond floats"),
        pytest.param('{"m": 1}', '{"device": "cpu", "places": {"Place(cpu)": 1}, "kernels": [1]}', id="odd kernels"),
    ],
)
def test_no_file_of_a_program_can_lose_its_run(results, metrics, device):
    """Otherwise judging or writing stumbles, the draft is taken away, and no record says what happened."""
    folder = run_cell(planned(leaving(metrics, device)), results).folder
    assert read(folder / "record.json")
    assert verify(folder, a_catalogue(PART)) == []


@settings(max_examples=12)
@given(st.binary(max_size=40))
def test_any_bytes_for_metrics_leave_a_record(tmp_path_factory, content):
    results = tmp_path_factory.mktemp("any-bytes")
    program = leaving("{}") + f"\n(out / 'metrics.json').write_bytes({content!r})"
    assert verify(run_cell(planned(program), results).folder, a_catalogue(PART)) == []


def test_a_failed_run_leaves_a_record_too_without_metrics(results, capsys):
    folder = run_cell(planned(leaving('{"m": 1}') + "\nsys.exit(4)"), results).folder
    record = read(folder / "record.json")
    assert Record.read(folder).failed and record["exit"]["code"] == 4 and record["metrics"] == {}
    assert verify(folder, a_catalogue(PART)) == []
    assert "✗ failed" in capsys.readouterr().out


def test_a_runtime_that_cannot_be_made_leaves_nothing(results, monkeypatch):
    entry = planned("")

    def fail(cell):
        raise BuildError("no")

    monkeypatch.setattr(entry.engine, "prepare", fail)
    with pytest.raises(BuildError):
        run_cell(entry, results)
    assert list(results.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "PADDLE_TOKEN",
        "FLAGS_SECRET_x",
        "PADDLE_API_KEY",
        "OMP_PASSWORD",
        "PADDLE_CREDENTIALS",
        "SIM_AUTH",
        "HOME",
        "MY_FLAGS_x",
    ],
)
def test_a_secret_or_a_stranger_s_variable_is_not_recorded(results, monkeypatch, name):
    monkeypatch.setenv(name, "hush-hush")
    record = run_cell(planned(leaving('{"m": 1}')), results)
    assert "hush-hush" not in record.file.read_text() and name not in read(record.file)["environment"]


@pytest.mark.parametrize("name", ["PADDLE_token", "PADDLE_PASSWD", "PADDLE_CREDENTIALS", "FLAGS_proxy_auth"])
def test_a_secret_by_another_name_is_not_recorded_either(results, monkeypatch, name):
    """Otherwise only four words in capitals are known."""
    monkeypatch.setenv(name, "hush-hush")
    folder = run_cell(planned(leaving('{"m": 1}')), results).folder
    assert "hush-hush" not in (folder / "record.json").read_text()


def test_paddle_s_own_variables_are_recorded(results, monkeypatch):
    monkeypatch.setenv("FLAGS_use_stride_kernel", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    record = read(run_cell(planned(leaving('{"m": 1}')), results).file)
    assert {"FLAGS_use_stride_kernel": "0", "OMP_NUM_THREADS": "2"}.items() <= record["environment"].items()


# The plan


def plan(parts, findings, on, *asked):
    return runner.plan(cells.requests(parts, [finding.hardware for finding in findings], *asked), findings, on)


def test_every_part_is_planned_on_every_kind_with_the_reason_why_not():
    findings = [Finding(kind, (Card(index="0", model="A"),)) for kind in (a_kind(), a_kind("sim", "simulated"))]
    entries = plan([a_part(), a_part("14", program=None)], findings, "auto", "full", ["grid=50"])
    assert [str(entry.cell) for entry in entries] == ["4 on cpu", "4 on sim", "14 on cpu", "14 on sim"]
    assert entries[0].request.parameters["grid"] == 50 and entries[0].request.parameters["method"] == "pinn"
    assert entries[2].engine is None and entries[2].why == "its program is not written yet"


def the_cards(*names):
    return tuple(Card(index=name, model="A") for name in names)


def planned_on(kind, names, asked=0, part=a_part(cards=Cards(4, 2, 8))):  # noqa: B008
    (entry,) = plan([part], [Finding(kind, the_cards(*names))], "local", None, [], asked)
    return entry


NPU = a_kind("npu", "accelerator", visible_devices="NPU_VISIBLE_DEVICES")


@pytest.mark.parametrize(("asked", "cards"), [(0, 4), (2, 2), (5, 5)])
def test_a_part_takes_the_first_of_the_cards_that_are_here(asked, cards):
    entry = planned_on(NPU, "012345", asked)
    assert entry.cards == cards and entry.chosen == the_cards(*"012345"[:cards])
    assert entry.engine and entry.why.endswith(f"; {cards} cards")


def test_where_cards_are_lacking_a_part_is_left_out():
    entry = planned_on(NPU, "012")
    assert (entry.engine, entry.why) == (None, "it runs on 4 cards, and 3 are here")


def test_only_cards_that_this_shell_shows_are_taken(monkeypatch):
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "5,3,1,0")
    assert planned_on(NPU, "012345").chosen == the_cards("0", "1", "3", "5")
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "all")
    assert planned_on(NPU, "012345").chosen == the_cards("0", "1", "2", "3")


@pytest.mark.parametrize("named", ["9", "-1", "GPU-8932f937", "none"])
def test_a_choice_that_names_no_card_here_is_not_taken_for_all(monkeypatch, named):
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", named)
    entry = planned_on(NPU, "01")
    assert entry.engine is None and f"NPU_VISIBLE_DEVICES={named} names none of those here: 0, 1" in entry.why


def test_cards_that_other_programs_have_are_left_out_and_named():
    cards = (Card(index="0", model="A", busy="process 7"), Card(index="1", model="A"))
    (entry,) = plan([a_part()], [Finding(NPU, cards)], "local", None, [])
    assert entry.chosen == cards[1:]
    (entry,) = plan([a_part()], [Finding(NPU, cards[:1])], "local", None, [])
    assert entry.engine is None
    why = "it runs on a card, and none is free: 0 (A): process 7; NPU_VISIBLE_DEVICES=0 takes it all the same"
    assert entry.why == why


def test_a_failed_run_is_explained_and_its_record_keeps_it(results, capsys):
    program = "print('OSError: [Errno 28] No space left on device'); raise SystemExit(1)"
    record = run_cell(planned(program), results)
    (known,) = read(record.file)["explanations"]
    assert known["line"] == "OSError: [Errno 28] No space left on device"
    assert "disk" in known["cause"] and known["source"].startswith("https://")
    assert known["cause"] in capsys.readouterr().out


def test_a_run_that_was_killed_is_explained_by_how_it_ended(results):
    record = run_cell(planned("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"), results)
    (known,) = read(record.file)["explanations"]
    assert "SIGKILL" in known["line"] and "memory" in known["cause"]


def test_what_is_not_known_is_not_explained(results):
    assert "explanations" not in read(run_cell(planned("raise SystemExit(1)"), results).file)


def test_what_a_scheduler_ended_has_the_schedulers_reason(results):
    job = runner.Job(
        run="20260101T000000.000Z-abcdef", facts={"id": "7"}, true_ending=lambda end: replace(end, reason="node failed")
    )
    record = run_cell(planned("raise SystemExit(1)"), results, job=job)
    found = read(record.file)
    assert (found["id"], found["job"], found["exit"]["reason"]) == (job.run, job.facts, "node failed")


def test_a_job_that_its_scheduler_ran_twice_leaves_two_records(results):
    job = runner.Job(run="20260101T000000.000Z-abcdef", facts={"id": "7"}, true_ending=lambda end: end)
    first, second = (read(run_cell(planned(""), results, job=job).file) for _ in range(2))
    assert first["id"] == job.run != second["id"] and first["job"] == second["job"]


def test_a_run_that_was_interrupted_is_sealed_without_an_explanation_and_goes_on_as_that_signal(results, monkeypatch):
    """What its log says is not why it ended."""
    run, how = runner.processes.run, {"reason": "interrupted", "signal": "SIGTERM"}
    monkeypatch.setattr(runner.processes, "run", lambda *words, **more: replace(run(*words, **more), **how))
    with pytest.raises(Interrupted) as caught:
        run_cell(planned("print('OSError: [Errno 28] No space left on device'); raise SystemExit(1)"), results)
    assert caught.value.code == 128 + signal.SIGTERM
    (path,) = results.glob("*/*/*/record.json")
    assert read(path)["exit"]["reason"] == "interrupted" and "explanations" not in read(path)


def test_the_summary_names_what_was_left_out_and_not_what_a_person_does(results, capsys):
    entry = replace(planned(""), engine=None)
    runner.run_all([replace(entry, why="it runs on 8 cards"), replace(entry, why=cells.BY_HAND)], results)
    said = capsys.readouterr().out
    assert "it runs on 8 cards" in said and cells.BY_HAND not in said


def test_a_cpu_takes_any_number_of_processes_and_says_so():
    entry = planned_on(a_kind(), "0")
    assert entry.engine and entry.chosen == the_cards("0")
    assert entry.why.endswith("4 processes on one CPU, a rehearsal")


def test_a_number_of_cards_that_a_part_does_not_take_is_refused():
    with pytest.raises(UsageError, match="It takes 2 to 8"):
        planned_on(NPU, "0", asked=9)
    with pytest.raises(UsageError, match="It takes 1"):
        planned_on(NPU, "0", asked=2, part=a_part())


def test_a_record_names_the_cards_and_asks_every_rank_for_its_proof(results):
    program = leaving('{"m": 1}', '{"device": "npu:0", "places": {"Place(npu:0)": 3}, "rank": 0, "processes": 2}')
    entry = planned(program, NPU, cards=2)
    folder = run_cell(entry, results).folder
    record = read(folder / "record.json")
    assert record["cards"] == 2 and [card["index"] for card in record["hardware"]["cards"]] == ["0", "1"]
    (failed,) = (check for check in record["checks"] if not check["passed"])
    assert failed["why"] == "rank 1: the program wrote none"
    assert verify(folder, a_catalogue(PART, kinds=(NPU,))) == []


def test_a_wrong_setting_is_refused_before_anything_is_planned():
    finding = Finding(a_kind(), (Card(index="0", model="A"),))
    with pytest.raises(UsageError):
        plan([a_part()], [finding], "auto", None, ["gird=50"])
    with pytest.raises(UsageError):
        plan([a_part()], [finding], "cloud", None, [])


def test_accelerators_stand_before_the_cpu_and_absent_kinds_are_left_out():
    card = (Card(index="0", model="A"),)
    findings = [
        Finding(a_kind(), card),
        Finding(a_kind("npu", "accelerator"), ()),
        Finding(a_kind("cuda", "gpu"), card),
    ]
    assert [each.hardware.name for each in runner.hardware_here(findings)] == ["cuda", "cpu"]


def test_a_readable_command_has_no_path_of_this_machine(monkeypatch):
    monkeypatch.setattr(runner, "ROOT", Path("/home/me/checkout"))
    command = ["/home/me/checkout/.stacks/base/bin/python", "/home/me/checkout/projects/a.py", "--out", "/home/me/x"]
    assert runner._readable(command) == [".stacks/base/bin/python", "projects/a.py", "--out", "OUT"]
    assert json.dumps(runner._readable(command))


def test_a_setting_that_does_not_fit_is_refused_before_anything_is_planned():
    part = a_part(requires=(Requirement("grid % 2 == 1", "there is a point in the middle"),))
    with pytest.raises(UsageError, match="4 cannot run with grid=50"):
        plan([part], [Finding(a_kind(), (Card(index="0", model="A"),))], "auto", None, ["grid=50"])


def test_a_run_out_of_what_its_bound_is_meant_for_is_recorded_and_no_failure(results, capsys):
    metric = Metric(name="m", at_most="u_float32", judged_when="method == 'pinn'", otherwise="no bound", when={})
    part = replace(PART, metrics={"m": metric})
    folder = run_cell(planned(leaving('{"m": 1}'), part=part), results).folder
    record = read(folder / "record.json")
    assert record["passed"] is False and record["verdict"] == "not judged" and not Record.read(folder).failed
    assert [check["verdict"] for check in record["checks"]] == ["passed", "passed", "not judged"]
    assert verify(folder, a_catalogue(part)) == []
    said = capsys.readouterr().out
    assert "△ not judged" in said and "m: at most u_float32, when method == 'pinn'; no bound" in said


def test_a_record_names_its_time_limit(results):
    (part,) = cells.with_timeout([PART], "2h")
    folder = run_cell(planned(leaving('{"m": 1}'), part=part), results).folder
    assert read(folder / "record.json")["timeout"] == 7200
    assert verify(folder, a_catalogue(PART)) == []


def test_a_record_says_which_variables_the_caller_set(results, monkeypatch):
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")
    monkeypatch.setenv("OPENBLAS_API_KEY", "secret")
    record = read(run_cell(planned(leaving('{"m": 1}')), results).file)
    assert record["environment"]["MKL_DEBUG_CPU_TYPE"] == "5" and record["environment"]["FLAGS_x"] == "1"
    assert "MKL_DEBUG_CPU_TYPE" in record["environment_of_caller"]
    assert not {"FLAGS_x", "OPENBLAS_API_KEY"} & set(record["environment_of_caller"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_the_record_is_made_waits_for_it(results, monkeypatch, number):
    complete = runner.finishing.complete

    def slowly(*args):
        signal.raise_signal(number)
        complete(*args)

    def raised(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner.finishing, "complete", slowly)
    former = signal.signal(number, raised)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_cell(planned(leaving('{"m": 1}')), results)
    finally:
        signal.signal(number, former)
    (file,) = results.glob("*/*/*/record.json")
    assert read(file)["exit"]["reason"] == "finished" and not list((results / ".unfinished").glob("[!.]*"))
