"""What tasks, hardware, doctor and show print."""

import json
import re
from dataclasses import replace

import pytest
from samples import a_kind, a_part, a_record, a_record_not_judged, a_rule

from harness.catalogue.entries import Metric, Parameter, Requirement
from harness.cli import listing
from harness.doctor.diagnosis import Diagnosis
from harness.evidence.records import read

UNWRITTEN = a_part("14", title="An article", program=None, rules=(a_rule("judged", 3, 10, needs=("article",)),))


def test_a_line_a_part_with_its_worth_and_whether_it_is_written():
    bonus = a_part("2-2", rules=(a_rule("once", 5), a_rule("bonus", 5)))
    *lines, empty, last = listing.parts([bonus, UNWRITTEN], detailed=False).splitlines()
    assert [line.split()[0] for line in lines] == ["2-2", "14"]
    assert "10" in lines[0] and "not written" not in lines[0] and "(not written yet)" in lines[1]
    assert empty == "" and last.startswith("1 of 2 parts have a program.")


def test_a_part_in_detail_names_parameters_profiles_and_metrics():
    metrics = {"t": Metric(name="t", unit="s", at_most=9, when={"method": ("pinn", "all")})}
    text = listing.parts([a_part(metrics=metrics)], detailed=True)
    for line in (
        "4  A plate  薄板",
        "Program: projects/04-plate/main.py, stack base, at most 60 s",
        "  grid = 101   integer, at least 11, at most 1001: points",
        "  quick = False   true or false: short",
        "Profile full: method=pinn",
        "  t [s]: at most 9, when method is pinn or all",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (a_rule("once", 3, needs=("link",)), "Points: 3, once, with link"),
        (a_rule("per_model", 1, 5), "Points: 1, per model, at most 5"),
        (a_rule("judged", 2, 8), "Points: 2–8, judged"),
        (
            a_rule("once", 10, categories=("gpu", "accelerator"), cards=8),
            "Points: 10, once, on gpu or accelerator, on 8 cards",
        ),
        (a_rule("per_architecture", 3, 9, architectures=("Ada",)), "Points: 3, per architecture, at most 9, on Ada"),
    ],
)
def test_a_rule_reads_as_a_sentence(rule, words):
    assert words in listing.parts([a_part(rules=(rule,))], detailed=True).splitlines()


def test_an_unwritten_part_says_so_and_shows_no_parameters():
    text = listing.parts([UNWRITTEN], detailed=True)
    assert text.endswith("Its program is not written yet.") and "Parameters" not in text


def test_parts_as_json_are_for_programs():
    first, second = json.loads(listing.parts_json([a_part(), UNWRITTEN]))
    assert first["part"] == "4" and first["written"] is True and first["limit"] == 3
    assert first["parameters"] == {"grid": 101, "method": "ritz", "rate": 0.5, "quick": False}
    assert second["written"] is False


def test_a_line_a_kind_or_its_whole_data_file():
    kinds = [a_kind(), a_kind("cuda", "gpu", ("gpu", "nvidia"))]
    lines = listing.kinds(kinds, detailed=False).splitlines()
    assert lines[0].split() == ["name", "aliases", "device", "class", "title"]
    assert lines[2].split() == ["cuda", "gpu,", "nvidia", "cuda", "gpu", "CUDA"]
    text = listing.kinds(kinds[:1], detailed=True)
    assert "wheels:\n  packages: paddlepaddle\n  python: 3.10, 3.11, 3.12" in text
    assert json.loads(listing.kinds_json(kinds))[1]["name"] == "cuda"


def test_the_columns_of_the_kinds_stand_below_their_heads():
    """Otherwise `device` is six wide above a column of five, so two heads stand beside theirs."""
    kind = replace(a_kind("cambricon", "accelerator", ("mlu",)), device="mlu")
    head, *lines = listing.kinds([kind], detailed=False).splitlines()
    assert lines[0].index("accelerator") == head.index("class")
    assert lines[0].index("CAMBRICON") == head.index("title")


def test_the_doctor_marks_what_fits_and_says_how_to_mend_the_rest():
    lines = listing.diagnoses(
        [("A", [Diagnosis("x", "1", True, "no"), Diagnosis("y", "2", False, "install y"), Diagnosis("z", "3", None)])]
    ).splitlines()
    assert lines == ["A", "  ✓ x: 1", "  ✗ y: 2", "      → install y", "  · z: 3"]


def test_a_record_is_shown_with_checks_and_files(results):
    folder = a_record(results, error=0.5)
    record = read(folder / "record.json")
    text = listing.record(record, folder)
    assert text.startswith(f"{record['id']}  part 4 on cpu  ✗ failed")
    assert "    ✗ error: 0.5, asked at most 0.1  (0.5 is over 0.1)" in text.splitlines()
    assert f"2cf24dba5fb0          5  {folder}/run.log" in text
    assert text.endswith(f"  seal      {record['seal']}")


@pytest.mark.parametrize(
    ("clean", "words"), [(True, "at abc\n"), (False, "at abc and uncommitted changes\n"), (None, "at abc\n")]
)
def test_a_record_of_a_changed_tree_says_so(results, clean, words):
    folder = a_record(results, program={"file": "main.py", "revision": "abc", "clean": clean})
    assert words in listing.record(read(folder / "record.json"), folder)


def test_a_record_without_seconds_or_paddle_is_shown_too(results):
    times = {"started": "2026-11-22T00:00:00.000Z", "finished": "2026-11-22T00:00:00.000Z", "seconds": None}
    folder = a_record(results, times=times, paddle=None)
    assert "unknown time" in listing.record(read(folder / "record.json"), folder)


def test_a_record_that_is_not_judged_says_which_check_and_why(results):
    folder = a_record_not_judged(results)
    text = listing.record(json.loads((folder / "record.json").read_text()), folder)
    assert "△ not judged" in text.splitlines()[0]
    assert "△ error: 0.01, asked at most u_float32, when method == 'pinn'  (no bound)" in text


def test_a_part_that_asks_for_a_person_s_evidence_says_so():
    part = a_part("14", program=None, evidence_only=True)
    assert "Nothing runs here: ./inv attach adds it." in listing.parts([part], detailed=True)
    assert "(a person's evidence)" in listing.parts([part], detailed=False)


def test_what_the_caller_set_and_what_multiplied_matrices_stand_in_a_record(results):
    openblas = {"name": "OpenBLAS", "of": "numpy", "version": "0.3.23", "kernel": "Haswell", "threads": 2}
    environment = {"environment": {"MKL_X": "5", "FLAGS_x": "1"}, "environment_of_caller": ["MKL_X"]}
    folder = a_record(results, **environment, device={"libraries": [openblas]})
    text = listing.record(json.loads((folder / "record.json").read_text()), folder)
    assert "variable  MKL_X=5, set by the caller" in text and "variable  FLAGS_x=1\n" in text
    assert "library   OpenBLAS of numpy: 0.3.23, kernel Haswell, 2 threads" in text


def test_a_part_in_detail_names_what_has_to_fit_and_where_a_bound_is_meant_to_hold():
    metric = Metric(name="m", at_most="2 * u_float32", judged_when="quick", otherwise="no bound", when={})
    part = a_part(metrics={"m": metric}, requires=(Requirement("grid > 9", "it is coarse"),))
    text = listing.parts([part], detailed=True)
    assert "Requires: grid > 9: it is coarse" in text
    assert "m: at most 2 * u_float32, judged where quick: else no bound" in text


def test_the_fields_of_a_kind_read_as_its_file_does_and_not_as_python():
    data = {
        "aliases": [],
        "container": {"privileged": False, "renumbers": True},
        "others": [{"command": ["smi", "-L"], "where": {"a": 1}}],
        "sources": [f"https://page/{number:030}" for number in range(3)],
    }
    text = listing.kinds([replace(a_kind(), data=data)], detailed=True)
    assert "aliases: –" in text and "  privileged: false" in text and "  renumbers: true" in text
    assert "others:\n  - command: smi, -L\n    where:\n      a: 1\n" in text
    assert text.count("\n  - https://page/") == 3
    assert not re.search(r"[{}']|True|False", text)


def test_of_many_values_the_first_the_last_and_their_number_are_told():
    many = Parameter(name="edges", default="a1", help="", choices=tuple(f"a{number}" for number in range(81)))
    assert many.expects == "one of a0, a1, a2, …, a80 (81 of them)"
    assert Parameter(name="load", default="x", help="", choices=("x", "y")).expects == "one of x, y"
