"""The pages of reference: every field of every kind of file is described, and stands once."""

import json
import re
import sys

import pytest

from harness.checkout import ROOT

sys.path.append(str(ROOT / "docs" / "hooks"))
import reference_pages

SCHEMAS = sorted(ROOT.glob("harness/catalogue/schemas/*.schema.json"))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name.partition(".")[0])
def test_every_field_is_described_and_stands_once(path):
    rows = [line.split(" | ") for line in reference_pages.schema(path).splitlines() if line.startswith("| `")]
    assert len({row[0] for row in rows}) == len(rows) > 2
    assert [row[0] for row in rows if not row[2].strip(" |")] == []


def test_nested_fields_are_named_by_their_path():
    record = next(path for path in SCHEMAS if path.name == "record.schema.json")
    found = {line.split("`")[1] for line in reference_pages.schema(record).splitlines() if line.startswith("| `")}
    assert {"cell.part", "plug_ins[].wheel_sha256", "artefacts.*.bytes", "checks[].verdict"} <= found


def test_a_choice_that_only_narrows_a_field_says_nothing_more(tmp_path):
    rule = {
        "properties": {"rule": {"enum": ["one", "two"], "description": "which"}, "limit": {"description": "how many"}},
        "oneOf": [{"properties": {"rule": {"const": "one"}, "limit": False}}, {"properties": {"limit": False}}],
    }
    schema = {"title": "a.yaml: a file", "properties": {"points": {"items": rule}}}
    path = tmp_path / "a.schema.json"
    path.write_text(json.dumps(schema))
    page = reference_pages.schema(path)
    assert page.count("`points[].rule`") == page.count("`points[].limit`") == 1


@pytest.mark.parametrize(("language", "cause"), [("en", "No container engine answers."), ("zh", "没有容器引擎应答。")])
def test_symptoms_are_told_in_the_language_of_the_page(language, cause):
    page = reference_pages.symptoms(language)
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert any(row[1] == cause for row in rows)
    assert {bool(re.search("[\u4e00-\u9fff]", row[1] + row[2])) for row in rows} == {language == "zh"}
