"""What a person sees of runs: little, and all that matters."""

import pytest
from samples import a_part, a_record

from harness.evidence.record import Record
from harness.runs import progress

NOISE = """
I1130 18:13:48.123456  4242 program_interpreter.cc:243] New Executor is Running.
W1130 18:13:48.123456  4242 gpu_resources.cc:119] Please NOTE: device: 0
=======================================================================
Modified FLAGS detected
WARNING: Location '/opt/wheels' is ignored
/x/site-packages/paddle/utils/cpp_extension.py:718: UserWarning: No ccache found.
  warnings.warn(warning_message)
[2026-11-30 18:13:48] ppsci INFO: Using paddlepaddle 3.0.0
"""


@pytest.mark.parametrize("line", NOISE.splitlines())
def test_what_frameworks_say_of_themselves_is_no_news(line):
    assert progress.NOISE.match(line)


@pytest.mark.parametrize(
    "line", ["step  20  loss 0.5", "error 1e-7 against float64", "Wrote warm.png", "3 of 10 cases"]
)
def test_what_programs_say_is(line):
    assert not progress.NOISE.match(line)


def test_a_run_is_quiet_where_nobody_asked(results, capfd):
    with progress.seen(a_part("4"), "cpu", results, verbose=False) as echo:
        echo(b"step 1\nI1130 noise\n")
    assert capfd.readouterr().out == ""
    with progress.seen(a_part("4"), "cpu", results, verbose=True) as echo:
        echo(b"step 1\nI1130 noise\n")
    assert capfd.readouterr().out == "  4 │ step 1\n  4 │ I1130 noise\n"


def test_the_last_time_is_that_of_the_latest_run_that_passed(results):
    assert progress.last_time(results / "4" / "cpu") is None
    a_record(results, "4", "cpu")
    assert progress.last_time(results / "4" / "cpu") == 1.5


def test_the_summary_counts_and_says_of_each_that_did_not_pass_why_and_what_next(results):
    found = [Record.read(a_record(results, "4", "cpu")), Record.read(a_record(results, "4", "sim", error=0.5))]
    said = progress.summary(found, {"7 on npu": "no image"}, 384.0)
    assert said.startswith("1 passed, 1 failed, 1 left out in 6 min 24 s")
    assert f"./inv show {found[1].id}" in said and "7 on npu is left out: no image" in said and "--failed" in said
    assert found[0].id not in said


def test_of_a_program_that_failed_the_last_words_are_seen(results):
    log = b"a\nb\nsizes=x is not understood.\nA size is rows x columns.\n\nI1130 noise\nWrite sizes=2x2.\n"
    ending = {"reason": "finished", "code": 2, "signal": None}
    record = Record.read(a_record(results, error=0.5, exit=ending, files={"run.log": log}))
    said = progress.ended(record)
    assert "│ sizes=x is not understood.\n" in said and said.endswith("│ Write sizes=2x2.")
    assert "│ b" not in said and "noise" not in said


def test_of_a_refusal_with_an_example_the_beginning_is_seen(results):
    example = "{\n" + "".join(f'  "{name}": 1,\n' for name in "abcdef") + "}\n"
    log = f"part 4\nerror: case.json is not there. For example:\n{example}".encode()
    ending = {"reason": "finished", "code": 2, "signal": None}
    said = progress.ended(Record.read(a_record(results, error=0.5, exit=ending, files={"run.log": log})))
    assert "│ error: case.json is not there. For example:\n" in said and said.endswith("│ }") and "part 4\n" not in said
