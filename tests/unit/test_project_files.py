"""The project files: each fits the schema, together they hold the fifteen tasks, and wrong files are refused."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "harness/catalogue/schemas/project.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
FOLDERS = sorted(path.parent for path in (ROOT / "projects").glob("*/project.yaml"))
PARTS = [
    "1",
    "2-1",
    "2-2",
    "2-3",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8-1",
    "8-2",
    "8-3",
    "9",
    "10",
    "11",
    "12",
    "13-1",
    "13-2",
    "14",
    "15",
]

GOOD = """
title: Deflection of a rectangular thin plate
title_zh: 矩形薄板挠曲
stack: science
uses: [kit]
parts:
  "4":
    quote: 在任一设备上实现矩形薄板挠曲方程（四阶方程）求解
    evidence: AI Studio项目链接
    reading: any device, with the link
    program: main.py
    timeout: 10 min
    parameters:
      grid: {default: 101, at_least: 11, at_most: 1001, help: points per side}
      method: {default: ritz, choices: [ritz, pinn, all], help: how it is solved}
      rate: {default: 1.0e-3, help: learning rate}
      quick: {default: false, help: leave out the slow checks}
    profiles: {full: {method: all}}
    metrics:
      relative_l2: {unit: "1", at_most: 1.0e-6, help: distance from the exact deflection}
      works: {equals: true}
      speed: {unit: tokens/s, at_least: 1}
      max_deflection: {unit: m}
      pinn_l2: {unit: "1", at_most: 0.5, when: {method: [pinn, all]}}
    points:
      - {rule: once, value: 3, needs: [link]}
      - {rule: per_model, value: 1, limit: 5}
      - {rule: per_architecture, value: 3, limit: 9, hardware: {architecture: [Ampere, Ada, Hopper]}}
      - {rule: per_day, value: 1, limit: 5, needs: [track or photo]}
      - {rule: judged, range: [2, 8], needs: [link, pull request]}
      - {rule: bonus, value: 5, hardware: {class: [gpu, accelerator], cards: 8}}
"""


def load(folder):
    return yaml.safe_load((folder / "project.yaml").read_text(encoding="utf-8"))


def all_parts():
    return {number: part for folder in FOLDERS for number, part in load(folder)["parts"].items()}


def limit(rule):
    """The most points a rule gives."""
    return rule["range"][1] if rule["rule"] == "judged" else rule.get("limit", rule.get("value"))


def place(error):
    return ".".join(["$", *map(str, error.absolute_path)])


def messages(document):
    return [f"{place(error)}: {error.message}" for error in VALIDATOR.iter_errors(document)]


# The schema itself


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(SCHEMA)


def test_every_property_is_described():
    def walk(node, where):
        for name, child in node.get("properties", {}).items():
            assert child.get("description"), f"{where}.{name} has no description"
            walk(child, f"{where}.{name}")
        for keyword in ("additionalProperties", "items"):
            if isinstance(node.get(keyword), dict):
                walk(node[keyword], f"{where}.{keyword}")

    walk(SCHEMA, "project")
    for name, definition in SCHEMA["$defs"].items():
        walk(definition, name)


# The files


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_fits_the_schema(folder):
    text = (folder / "project.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../../harness/catalogue/schemas/project.schema.json\n")
    assert not messages(yaml.safe_load(text))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_has_a_readme_in_both_languages(folder):
    english, chinese = ((folder / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
    assert english.startswith("# ") and "](README.zh-CN.md)" in english
    assert chinese.startswith("# ") and "](README.md)" in chinese
    assert re.search("[\u4e00-\u9fff]", chinese.splitlines()[0])
    assert re.findall(r"^(?:    |```)?\./inv \w+", english, re.MULTILINE) == re.findall(
        r"^(?:    |```)?\./inv \w+", chinese, re.MULTILINE
    ), "other commands"
    assert english.count("\n|") == chinese.count("\n|"), "other rows"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_says_nothing_that_the_schema_cannot_see_is_wrong(folder):
    for number, part in load(folder)["parts"].items():
        assert int(number.split("-")[0]) == int(folder.name[:2]), f"part {number} stands in {folder.name}"
        if "program" in part:
            assert (folder / part["program"]).is_file()
        parameters = part.get("parameters", {})
        for name, parameter in parameters.items():
            default = parameter["default"]
            assert default in parameter.get("choices", [default]), name
            assert parameter.get("at_least", default) <= default <= parameter.get("at_most", default), name
        for profile in part.get("profiles", {}).values():
            for name, value in profile.items():
                assert name in parameters
                assert value in parameters[name].get("choices", [value])
        for metric in part.get("metrics", {}).values():
            for name, values in metric.get("when", {}).items():
                assert name in parameters
                assert set(values) <= set(parameters[name].get("choices", values))
        for rule in part["points"]:
            if rule["rule"] == "judged":
                assert rule["range"][0] < rule["range"][1]
            else:
                assert limit(rule) % rule["value"] == 0


def test_exactly_these_parts_stand():
    numbers = [number for folder in FOLDERS for number in load(folder)["parts"]]
    assert numbers == PARTS
    assert len(FOLDERS) == 16  # fifteen tasks, and of the eighth two programs that have little in common


def test_the_limits_add_up():
    parts = all_parts()
    if set(parts) != set(PARTS):
        pytest.skip("not all parts are here")
    rules = [rule for part in parts.values() for rule in part["points"]]
    assert sum(limit(rule) for rule in rules if rule["rule"] != "bonus") == 154
    assert sum(limit(rule) for rule in rules) == 159


# Wrong files


def test_the_example_is_right():
    assert not messages(yaml.safe_load(GOOD))


METHOD = "{default: ritz, choices: [ritz, pinn, all], help: how it is solved}"
ONCE = "{rule: once, value: 3, needs: [link]}"


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        pytest.param('  "4":', "  4:", "$.parts", id="unquoted part number"),
        pytest.param('  "4":', '  "4a":', "$.parts", id="part number that is none"),
        pytest.param("title_zh: 矩形薄板挠曲\n", "", "$", id="no Chinese title"),
        pytest.param("stack: science", "stack: vision", "$.stack", id="unknown stack"),
        pytest.param("stack: science\n", "", "$", id="program without a stack"),
        pytest.param("uses: [kit]", "uses: kit", "$.uses", id="a library that is no list"),
        pytest.param("uses: [kit]", "uses: [../harness]", "$.uses.0", id="a library elsewhere"),
        pytest.param("stack: science", "stack: science\nauthor: me", "$", id="unknown field of the project"),
        pytest.param("    timeout", "    retries: 3\n    timeout", "$.parts.4", id="unknown field of a part"),
        pytest.param("    quote", "    title: A plate\n    quote", "$.parts.4", id="title of a single part"),
        pytest.param("    evidence: AI Studio项目链接\n", "", "$.parts.4", id="no evidence"),
        pytest.param("    program: main.py", "    program: ../main.py", "$.parts.4.program", id="program elsewhere"),
        pytest.param("    timeout: 10 min\n", "", "$.parts.4", id="program without a timeout"),
        pytest.param("10 min", "10", "$.parts.4.timeout", id="time without a unit"),
        pytest.param("10 min", "10 minutes", "$.parts.4.timeout", id="time in an unknown unit"),
        pytest.param("10 min", "10min", "$.parts.4.timeout", id="time without a space"),
        pytest.param("10 min", "0 s", "$.parts.4.timeout", id="no time at all"),
        pytest.param("default: 101, ", "", "$.parts.4.parameters.grid", id="parameter without a default"),
        pytest.param("default: 101", "default: [101]", "$.parts.4.parameters.grid.default", id="default is a list"),
        pytest.param("default: 101", "default: null", "$.parts.4.parameters.grid.default", id="default is nothing"),
        pytest.param(", help: points per side", "", "$.parts.4.parameters.grid", id="parameter without help"),
        pytest.param("      grid:", "      Grid:", "$.parts.4.parameters", id="parameter's name in capitals"),
        pytest.param(METHOD, "ritz", "$.parts.4.parameters.method", id="parameter that is a bare value"),
        pytest.param(
            METHOD,
            "{default: ritz, at_least: 1, help: how}",
            "$.parts.4.parameters.method.default",
            id="bound of a string",
        ),
        pytest.param(
            "at_least: 11,",
            "at_least: 11, choices: [101, 201],",
            "$.parts.4.parameters.grid",
            id="bounds beside choices",
        ),
        pytest.param("{full: {method: all}}", "{full: {}}", "$.parts.4.profiles.full", id="empty profile"),
        pytest.param("relative_l2", "relative-l2", "$.parts.4.metrics", id="metric's name with a hyphen"),
        pytest.param("1.0e-6", "true", "$.parts.4.metrics.relative_l2.at_most", id="bound that is no number"),
        pytest.param(
            "at_most: 1.0e-6", "at_most: 1.0, judged_when: grid > 9", "$.parts.4.metrics.relative_l2", id="no otherwise"
        ),
        pytest.param(
            "unit: m}", "unit: m, judged_when: a, otherwise: b}", "$.parts.4.metrics.max_deflection", id="unbounded"
        ),
        pytest.param("timeout: 10 min", "requires: [grid > 9]", "$.parts.4.requires.0", id="a requirement, no why"),
        pytest.param(
            'unit: "1", at_most: 1.0', "unit: 1, at_most: 1.0", "$.parts.4.metrics.relative_l2.unit", id="unquoted unit"
        ),
        pytest.param("equals: true", "equals: true, at_least: 1", "$.parts.4.metrics.works", id="bound beside equals"),
        pytest.param(
            "{method: [pinn, all]}",
            "{method: pinn}",
            "$.parts.4.metrics.pinn_l2.when.method",
            id="condition without a list",
        ),
        pytest.param(
            "at_most: 1.0e-6",
            "hardware: {}, at_most: 1.0e-6",
            "$.parts.4.metrics.relative_l2.hardware",
            id="a metric's hardware without a class",
        ),
        pytest.param("program: main.py", "program: main.py\n    cards: 8", "$.parts.4.cards", id="a number for cards"),
        pytest.param(ONCE, "{rule: twice, value: 3}", "$.parts.4.points.0.rule", id="unknown rule"),
        pytest.param(ONCE, "{value: 3}", "$.parts.4.points.0", id="no rule"),
        pytest.param(ONCE, "{rule: once}", "$.parts.4.points.0", id="rule without a value"),
        pytest.param(ONCE, "{rule: once, value: 0}", "$.parts.4.points.0.value", id="no points"),
        pytest.param(ONCE, "{rule: once, value: 3, limit: 3}", "$.parts.4.points.0", id="once with a limit"),
        pytest.param("value: 1, limit: 5}", "value: 1}", "$.parts.4.points.1", id="per model without a limit"),
        pytest.param("range: [2, 8]", "value: 8", "$.parts.4.points.4", id="judged without a range"),
        pytest.param("range: [2, 8]", "range: [2, 5, 8]", "$.parts.4.points.4.range", id="range of three"),
        pytest.param("track or photo", "track or selfie", "$.parts.4.points.3.needs.0", id="unknown need"),
        pytest.param("track or photo", "photo or", "$.parts.4.points.3.needs.0", id="half an alternative"),
        pytest.param("needs: [link]}", "needs: link}", "$.parts.4.points.0.needs", id="needs that are no list"),
        pytest.param("class: [gpu", "class: [tpu", "$.parts.4.points.5.hardware.class.0", id="unknown class"),
        pytest.param("Ampere", "ampere", "$.parts.4.points.2.hardware.architecture.0", id="unknown architecture"),
        pytest.param("cards: 8", "cards: many", "$.parts.4.points.5.hardware.cards", id="cards that are no number"),
        pytest.param("cards: 8", "card: 8", "$.parts.4.points.5.hardware", id="unknown field of the hardware"),
    ],
)
def test_a_wrong_file_is_refused(old, new, where):
    assert old in GOOD
    errors = list(VALIDATOR.iter_errors(yaml.safe_load(GOOD.replace(old, new, 1))))
    assert where in [place(error) for error in errors]


def test_a_program_without_metrics_is_refused():
    document = yaml.safe_load(GOOD)
    del document["parts"]["4"]["metrics"]
    assert messages(document) == ["$.parts.4: 'metrics' is a dependency of 'program'"]


def test_empty_metrics_and_points_are_refused():
    document = yaml.safe_load(GOOD)
    document["parts"]["4"].update(metrics={}, points=[])
    assert len(messages(document)) == 2


def test_several_parts_each_need_a_title():
    document = yaml.safe_load(GOOD)
    document["parts"]["5"] = copy.deepcopy(document["parts"]["4"])
    assert any("'title' is a required property" in message for message in messages(document))
    for part in document["parts"].values():
        part.update(title="A part", title_zh="小题")
    assert not messages(document)


def test_a_part_without_a_program_needs_no_stack():
    document = yaml.safe_load(GOOD)
    del document["stack"]
    for field in ("program", "timeout", "parameters", "profiles", "metrics"):
        del document["parts"]["4"][field]
    assert not messages(document)


@pytest.mark.parametrize("number", ["12", "14", "15"])
def test_a_part_by_hand_says_so_and_names_what_counts(number):
    part = all_parts()[number]
    assert part["evidence_only"] is True and all(rule["needs"] for rule in part["points"])


def test_a_part_by_hand_has_no_program_and_needs_evidence():
    document = yaml.safe_load(GOOD)
    part = document["parts"]["4"]
    part["evidence_only"] = True
    assert "$.parts.4: False schema does not allow 'main.py'" in messages(document)
    for field in ("program", "timeout", "parameters", "profiles", "metrics"):
        del part[field]
    assert any("'needs' is a required property" in message for message in messages(document))
    part["points"] = [{"rule": "once", "value": 3, "needs": ["link"]}]
    assert not messages(document)
    part["evidence_only"] = False
    assert messages(document)


def test_errors_memory_and_derived_bounds_say_what_a_run_again_is_held_to():
    """On another processor they are other values: by default a run again would be held to four digits of them."""
    silent = [
        f"{number} {name}"
        for number, part in all_parts().items()
        for name, metric in (part.get("metrics") or {}).items()
        if re.search("error|memory|peak", name) or isinstance((metric or {}).get("at_most"), str)
        if "reproduces" not in (metric or {})
    ]
    assert silent == []
