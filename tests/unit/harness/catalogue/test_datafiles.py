"""Data files: every kind of mistake is refused with file, line and mend; good files are remembered."""

import json
import os

import pytest
from samples import Tree

from harness.catalogue import datafiles, entries
from harness.errors import DataFileError

PROJECT = "projects/04-plate/project.yaml"
HARDWARE = "hardware/cpu/hardware.yaml"


def refusal(tree: Tree) -> DataFileError:
    """The error that reading the tree ends with; all its words are there."""
    with pytest.raises(DataFileError) as caught:
        entries.load(tree.root)
    assert caught.value.remedy, "it says what to do"
    assert len(str(caught.value).splitlines()) <= 3
    return caught.value


def test_a_tree_without_mistakes_is_read(tree):
    documents = datafiles.documents(tree.root)
    assert list(documents) == [HARDWARE, PROJECT]
    assert documents[PROJECT]["parts"]["4"]["parameters"]["grid"]["default"] == 101


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("timeout: 10 min", "timeot: 10 min", "did you mean 'timeout'?", id="a field's name misspelt"),
        pytest.param("at_most: 1001", "atmost: 1001", "did you mean 'at_most'?", id="a deep field's name misspelt"),
        pytest.param("timeout: 10 min", "timeout: 10 minutes", "timeout", id="an unknown unit"),
        pytest.param("timeout: 10 min", "timeout: 10", "timeout", id="no unit"),
        pytest.param("title: A plate", "title: 5", "title", id="a number for a text"),
        pytest.param("stack: base", "stack: bass", "stack", id="an unknown stack"),
        pytest.param("rule: once", "rule: twice", "rule", id="an unknown rule"),
        pytest.param("at_most: 1001", "at_most: 1e3", "at_most", id="a number that YAML reads as text"),
        pytest.param("needs: [link]", "needs: [selfie]", "needs", id="an unknown need"),
        pytest.param(
            "program: main.py", "program: other.py", "other.py is not there", id="a program that is not there"
        ),
        pytest.param("full: {method: pinn}", "full: {methd: pinn}", "'methd' is not a parameter", id="profile"),
        pytest.param("when: {method: [pinn]}", "when: {methd: [pinn]}", "'methd' is not a parameter", id="when"),
        pytest.param("at_most: 1.0e-6", "at_most: 2 * grit", "'grit' is no parameter and no other metric", id="name"),
        pytest.param("at_most: 1.0e-6", "at_most: 2 * error", "'error' is no parameter", id="a bound by itself"),
        pytest.param("at_most: 1.0e-6", "at_most: grid.real", "not in the grammar", id="out of the grammar"),
        pytest.param("at_most: 1.0e-6", "at_most: grid > 9", "no number", id="a truth for a bound"),
        pytest.param("at_most: 1.0e-6", "at_most: method + 1", "no number", id="a text in a sum"),
        pytest.param("at_most: 1.0e-6", "at_most: 1 / (grid - 101)", "division by zero", id="no value at the defaults"),
        pytest.param(
            "at_most: 1.0e-6", "at_most: 1.0, judged_when: grid, otherwise: so", "true nor false", id="no truth"
        ),
    ],
)
def test_a_mistake_in_a_project_is_named_with_its_line(tree, old, new, says):
    line = tree.change(tree.project, old, new)
    error = refusal(tree)
    assert error.what.startswith(f"{PROJECT}:{line}: ") and says in error.what


def test_bounds_may_be_expressions_and_parts_may_require(tree):
    bound = "at_most: grid * u_float32 + seconds, judged_when: method == 'ritz' and cards == 1, otherwise: so"
    tree.change(tree.project, "at_most: 1.0e-6", bound)
    tree.change(tree.project, "    profiles:", "    requires: [{that: grid % 2 == 1, otherwise: odd}]\n    profiles:")
    part = entries.load(tree.root).parts["4"]
    assert part.metrics["error"].at_most == "grid * u_float32 + seconds"
    assert part.requires == (entries.Requirement("grid % 2 == 1", "odd"),)


@pytest.mark.parametrize(
    ("that", "says"),
    [
        ("grid > 500", "the defaults do not fit it"),
        ("method != 'pinn'", "profile full does not fit it"),
        ("1 / (0 if method == 'pinn' else 1) > 0", "profile full does not fit it"),
        ("seconds > 1", "'seconds' is no parameter, nor cards"),
        ("grid", "neither true nor false"),
    ],
)
def test_a_requirement_holds_for_the_defaults_and_the_profiles(tree, that, says):
    tree.change(tree.project, "    profiles:", f'    requires: [{{that: "{that}", otherwise: so}}]\n    profiles:')
    error = refusal(tree)
    assert error.what.startswith(f"{PROJECT}:15: ") and says in error.what


@pytest.mark.parametrize(
    "metric",
    [
        "{when: {method: [pinn]}, at_most: 1 / (grid - 101)}",
        "{at_most: 1 / (grid - 101), judged_when: grid != 101, otherwise: so}",
    ],
)
def test_a_bound_needs_no_value_where_nobody_asks_for_it(tree, metric):
    tree.change(tree.project, 'error: {unit: "1", at_most: 1.0e-6}', f"error: {metric}")
    assert entries.load(tree.root)


def test_a_name_of_a_parameter_and_a_metric_is_not_guessed(tree):
    tree.change(tree.project, "seconds:", "grid: {unit: m}\n      seconds:")
    assert entries.load(tree.root)
    tree.change(tree.project, "at_most: 1.0e-6", "at_most: 2 * grid")
    assert "'grid' is a parameter and a metric" in refusal(tree).what


@pytest.mark.parametrize("name", ["cards", "u_float32"])
def test_no_metric_hides_behind_what_expressions_know(tree, name):
    line = tree.change(tree.project, "seconds:", f"{name}: {{unit: m}}\n      seconds:")
    error = refusal(tree)
    assert error.what.startswith(f"{PROJECT}:{line}: ") and f"{name!r} means something else" in error.what


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param("vendor: any", "vender: any", "did you mean 'vendor'?", id="a field's name misspelt"),
        pytest.param("class: cpu", "class: toaster", "class", id="an unknown class"),
        pytest.param('["3.10", "3.11"]', "[3.10, 3.11]", "wheels.python", id="versions as numbers"),
        pytest.param("packages: [", "beside: cann\n  packages: [", "no cann.txt", id="a lock that is not there"),
        pytest.param("device: cpu", "device: CPU", "device", id="a device in capitals"),
        pytest.param("name: cpu", "name: gpu", "name is 'gpu'", id="a name that is not the folder's"),
        pytest.param(r"(?P<model>\S.*)$", r"(?P<model>\S.*$", "not a regular expression", id="card pattern"),
        pytest.param(r"(?P<driver>\S+)", r"(?P<driver>\S+", "not a regular expression", id="driver pattern"),
        pytest.param('FLAGS_x: "1"', "FLAGS_x: 1", "environment.FLAGS_x", id="a number for a variable's value"),
    ],
)
def test_a_mistake_in_a_kind_is_named_with_its_line(tree, old, new, says):
    line = tree.change(tree.hardware, f"{old}", new)
    error = refusal(tree)
    assert error.what.startswith(f"{HARDWARE}:{line}: ") and says in error.what


def test_a_missing_field_is_named_with_the_place_that_lacks_it(tree):
    line = tree.change(tree.project, '  "4":\n    quote: 求解\n', '  "4":\n')
    error = refusal(tree)
    assert error.what == f"{PROJECT}:{line}: parts.4: 'quote' is a required property"
    tree.change(tree.hardware, "vendor: any\n", "")
    assert "'vendor' is a required property" in refusal(tree).what


def test_a_program_without_a_stack_is_refused(tree):
    tree.change(tree.project, "stack: base\n", "")
    assert "'stack' is a required property" in refusal(tree).what


def test_what_a_field_is_stands_in_the_why(tree):
    tree.change(tree.project, "timeout: 10 min", "timeout: soon")
    assert "a whole number, a space, and s, min or h" in refusal(tree).why


@pytest.mark.parametrize(
    ("old", "new", "offset"),
    [
        pytest.param("stack: base", "stack: [base", 1, id="a bracket left open"),
        pytest.param("stack: base", "stack: base: science", 0, id="two colons"),
        pytest.param("stack: base", "\tstack: base", 0, id="a tab"),
        pytest.param("stack: base", "stack: *base", 0, id="an alias of nothing"),
        pytest.param("stack: base", "stack: !!python/object:os.system base", 0, id="a Python object"),
    ],
)
def test_what_is_not_yaml_is_named_with_its_line(tree, old, new, offset):
    line = tree.change(tree.project, old, new) + offset
    assert refusal(tree).what == f"{PROJECT}:{line}: not valid YAML."


def test_a_control_character_is_named_with_its_line(tree):
    """YAML's ReaderError has no mark, so the first line is named."""
    line = tree.change(tree.project, "quote: 求解", "quote: 求\x07解")
    assert refusal(tree).what == f"{PROJECT}:{line}: not valid YAML."


def test_a_file_that_is_not_utf_8_is_refused(tree):
    tree.project.write_bytes("title: 薄板\n".encode("gbk"))
    assert refusal(tree).what == f"{PROJECT}: not UTF-8 text."


@pytest.mark.parametrize("text", ["", "[]\n", "just words\n", "null\n", "5\n"])
def test_a_file_that_is_no_mapping_is_refused(tree, text):
    tree.project.write_text(text)
    assert refusal(tree).what.startswith(f"{PROJECT}:1: the file: ")


def test_an_unquoted_part_number_is_refused_on_its_line(tree):
    """Otherwise the line of `parts:` is named in place of the number's own."""
    line = tree.change(tree.project, '  "4":', "  4:")
    error = refusal(tree)
    assert "Quote it" in error.why
    assert error.what.startswith(f"{PROJECT}:{line}: ")


def test_of_two_unknown_fields_one_is_named_properly(tree):
    """Otherwise both names run into one, without a line or a near name."""
    line = tree.change(tree.project, "    timeout: 10 min\n", "    timeot: 10 min\n    retries: 3\n")
    error = refusal(tree)
    assert "', '" not in error.what
    assert error.what.startswith((f"{PROJECT}:{line}: ", f"{PROJECT}:{line + 1}: "))


@pytest.mark.parametrize(
    ("line", "again"),
    [
        pytest.param("title: A plate\n", "title: Another\n", id="at the top"),
        pytest.param("    parameters:\n", "    parameters:\n      grid: {default: 5, help: other}\n", id="a parameter"),
        pytest.param("parts:\n", 'parts:\n  "4": {quote: 四, evidence: 四, reading: any, points: []}\n', id="a part"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tree, line, again):
    """YAML takes the last one silently, and a part or parameter is lost."""
    tree.change(tree.project, line, again if again.startswith(line) else line + again)
    assert "twice" in refusal(tree).what or "duplicate" in refusal(tree).what


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("default: 101", "default: 5", id="a default below its range"),
        pytest.param("uses: [kit]", "uses: [kitt]", id="a library that is not there"),
        pytest.param("uses: [kit]", "uses: [04-plate]", id="its own folder for a library"),
        pytest.param("timeout: 10", "cards: {default: 2, at_least: 4}\n    timeout: 10", id="too few cards"),
        pytest.param("timeout: 10", "cards: {default: 9, at_most: 8}\n    timeout: 10", id="too many cards"),
        pytest.param("default: ritz", "default: rits", id="a default outside its choices"),
        pytest.param("full: {method: pinn}", "full: {method: pin}", id="a profile's value outside the choices"),
        pytest.param("full: {method: pinn}", "full: {grid: 5}", id="a profile's value below its range"),
        pytest.param("full: {method: pinn}", "full: {grid: many}", id="a profile's value of another type"),
        pytest.param("when: {method: [pinn]}", "when: {method: [pin]}", id="a condition that never holds"),
        pytest.param(
            "{rule: once, value: 3, needs: [link]}", "{rule: judged, range: [8, 2]}", id="a range upside down"
        ),
        pytest.param("at_most: 1.0e-6", "at_most: .nan", id="a bound that nothing can break"),
    ],
)
def test_values_that_cannot_be_are_refused_on_their_line(tree, old, new):
    """Otherwise defaults, profiles, conditions, ranges and bounds are taken as they stand."""
    line = tree.change(tree.project, old, new)
    assert refusal(tree).what.startswith(f"{PROJECT}:{line}: ")


def test_several_cards_without_the_library_that_starts_them_are_refused(tree):
    tree.change(tree.project, "uses: [kit]\n", "")
    line = tree.change(tree.project, "timeout: 10 min", "timeout: 10 min\n    cards: {default: 8}") + 1
    assert refusal(tree).what == f"{PROJECT}:{line}: several cards are started by projects/kit/launch.py."


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(r"v(?P<version>\S+)", r"v(?P<version>\S+", id="the SDK's pattern"),
        pytest.param('driver: ">=1.0"', 'driver: ">=1.x"', id="the driver's version"),
    ],
)
def test_what_the_doctor_reads_is_checked_beforehand(tree, old, new):
    """Otherwise a bad pattern or version there breaks ./inv doctor on such a machine."""
    line = tree.change(tree.hardware, old, new)
    assert refusal(tree).what.startswith(f"{HARDWARE}:{line}: ")


def test_a_part_has_one_rule_and_one_bonus_at_most(tree):
    """The points read one plain rule, and one bonus on top of it."""
    tree.change(
        tree.project, "      - {rule: once", "      - {rule: per_model, value: 1, limit: 5}\n      - {rule: once"
    )
    assert "one rule" in refusal(tree).what


def test_a_part_with_nothing_but_a_bonus_is_refused(tree):
    """Otherwise the matrix ends with an IndexError."""
    tree.change(tree.project, "rule: once", "rule: bonus")
    refusal(tree)


def test_no_data_files_at_all_are_refused(tmp_path):
    with pytest.raises(DataFileError, match="no data files"):
        datafiles.documents(tmp_path)


# The memory of validated files


def test_files_are_validated_once_and_again_when_one_changed(tree, monkeypatch):
    datafiles.documents(tree.root)
    with monkeypatch.context() as patch:
        patch.setattr(datafiles, "_read", lambda *_: pytest.fail("read again"))
        assert datafiles.documents(tree.root)[PROJECT]["title"] == "A plate"
    tree.change(tree.project, "title: A plate", "title: Another plate")
    assert datafiles.documents(tree.root)[PROJECT]["title"] == "Another plate"


def test_a_mistake_is_not_remembered(tree):
    tree.change(tree.project, "stack: base", "stack: bass")
    refusal(tree)
    refusal(tree)


def test_a_removed_file_is_forgotten(tree):
    datafiles.documents(tree.root)
    tree.project.unlink()
    assert list(datafiles.documents(tree.root)) == [HARDWARE]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"stamp": 5}', "\x00", "[" * 500])
def test_a_damaged_memory_is_made_anew(tree, text):
    datafiles.documents(tree.root)
    memory = tree.root / ".cache" / "catalogue.json"
    memory.write_text(text)
    assert datafiles.documents(tree.root)[PROJECT]["title"] == "A plate"
    assert json.loads(memory.read_text())["documents"]


def test_a_place_that_cannot_be_written_is_only_slower(tree):
    (tree.root / ".cache").write_text("a file where the folder should be")
    assert datafiles.documents(tree.root)[PROJECT]["title"] == "A plate"


def test_a_program_that_was_removed_later_is_noticed(tree):
    """Otherwise the memory is stamped by the data files alone."""
    datafiles.documents(tree.root)
    os.unlink(tree.project.parent / "main.py")
    assert "main.py is not there" in refusal(tree).what


@pytest.mark.parametrize("file", [PROJECT, HARDWARE])
@pytest.mark.parametrize("made", ["folder", "link to nowhere", "link to itself", "date", "depth", "itself"])
def test_a_file_that_is_none_is_refused_and_its_kind_or_task_is_not_passed_over(tree, file, made):
    path = tree.root / file
    path.unlink()
    if made == "folder":
        path.mkdir()
    elif made.startswith("link"):
        path.symlink_to("nowhere" if made.endswith("nowhere") else path.name)
    else:
        path.write_text({"date": "a: 2026-99-99\n", "depth": "[" * 3000, "itself": "a: &a [*a]\n"}[made])
    error = refusal(tree)
    assert file in error.what and len(str(error).splitlines()) == 3
    assert made == "folder" or made.startswith("link") or f"{file}:1: " in error.what


def test_a_mistake_that_a_schema_does_not_describe_is_three_lines_too(tree):
    tree.project.write_text("null\n")
    assert len(str(refusal(tree)).splitlines()) == 3
