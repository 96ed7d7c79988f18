"""The catalogue: data files as dataclasses, in a fixed order, without twins."""

import pytest

from harness.catalogue import entries
from harness.catalogue.entries import Cards, Metric, Parameter
from harness.errors import DataFileError


def test_a_kind_is_what_its_file_says(tree):
    (kind,) = entries.load(tree.root).hardware.values()
    assert (kind.name, kind.title, kind.aliases, kind.category, kind.device) == (
        "cpu", "CPU", ("processor",), "cpu", "cpu",
    )  # fmt: skip
    assert kind.environment == {"FLAGS_x": "1"}
    assert kind.data["lister"]["command"] == ["lscpu"]


def test_a_part_is_what_its_file_says(tree):
    part = entries.load(tree.root).parts["4"]
    assert (part.task, part.slug, part.title, part.title_zh, part.stack) == ("4", "04-plate", "A plate", "薄板", "base")
    assert part.program == tree.project.parent / "main.py" and part.timeout == 600
    assert part.parameters["grid"] == Parameter(name="grid", default=101, help="points", at_least=11, at_most=1001)
    assert part.parameters["method"].choices == ("ritz", "pinn")
    assert part.profiles == {"full": {"method": "pinn"}}
    assert part.metrics["error"] == Metric(name="error", unit="1", at_most=1e-6, when={})
    assert part.rules[0].needs == ("link",) and part.rules[0].limit == 3


def test_a_part_that_nobody_has_written_has_no_program(tree):
    tree.change(tree.project, "    program: main.py\n    timeout: 10 min\n", "")
    assert entries.load(tree.root).parts["4"].program is None


@pytest.mark.parametrize(
    ("line", "cards", "expects"),
    [
        ("", Cards(1, 1, 1), "1"),
        ("    cards: {default: 8}\n", Cards(8, 1, 8), "1 to 8"),
        ("    cards: {default: 8, at_least: 8}\n", Cards(8, 8, 8), "8"),
        ("    cards: {default: 1, at_most: 64}\n", Cards(1, 1, 64), "1 to 64"),
    ],
)
def test_a_part_says_how_many_cards_it_runs_on(tree, line, cards, expects):
    tree.change(tree.project, "    timeout: 10 min\n", "    timeout: 10 min\n" + line)
    found = entries.load(tree.root).parts["4"].cards
    assert found == cards and found.expects == expects


@pytest.mark.parametrize(("text", "seconds"), [("90 s", 90), ("10 min", 600), ("2 h", 7200)])
def test_a_time_is_read_with_its_unit(tree, text, seconds):
    tree.change(tree.project, "10 min", text)
    assert entries.load(tree.root).parts["4"].timeout == seconds


@pytest.mark.parametrize(
    ("rule", "value", "limit", "upper"),
    [
        ("{rule: once, value: 3}", 3, 3, 3),
        ("{rule: per_model, value: 1, limit: 5}", 1, 5, 5),
        ("{rule: judged, range: [2, 8]}", 2, 8, 8),
    ],
)
def test_a_rule_knows_its_value_and_its_limit(tree, rule, value, limit, upper):
    tree.change(tree.project, "{rule: once, value: 3, needs: [link]}", rule)
    first = entries.load(tree.root).parts["4"].rules[0]
    assert (first.value, first.limit, first.upper) == (value, limit, upper)


def test_a_rule_knows_the_hardware_that_earns_it(tree):
    tree.change(tree.project, "needs: [link]", "hardware: {class: [gpu, accelerator], cards: 8}")
    (rule,) = entries.load(tree.root).parts["4"].rules
    assert rule.categories == ("gpu", "accelerator") and rule.cards == 8 and not rule.needs


def test_parts_stand_in_the_order_of_their_numbers(tree):
    for number in (10, 2, 1):
        folder = tree.root / "projects" / f"{number:02}-more"
        folder.mkdir()
        text = tree.project.read_text(encoding="utf-8").replace('"4"', f'"{number}"')
        (folder / "project.yaml").write_text(text, encoding="utf-8")
        (folder / "main.py").write_text("")
    assert list(entries.load(tree.root).parts) == ["1", "2", "4", "10"]


def test_kinds_stand_by_class_then_name(tree):
    text = tree.hardware.read_text().replace("aliases: [processor]", "aliases: []")
    for name, category in [("sim", "simulated"), ("npu", "accelerator"), ("gcu", "accelerator"), ("cuda", "gpu")]:
        folder = tree.root / "hardware" / name
        folder.mkdir()
        described = text.replace("name: cpu", f"name: {name}").replace("class: cpu", f"class: {category}")
        (folder / "hardware.yaml").write_text(described)
    assert list(entries.load(tree.root).hardware) == ["cpu", "cuda", "gcu", "npu", "sim"]


def test_some_variables_are_for_machines_whose_file_holds_a_pattern(tree, tmp_path):
    about = tmp_path / "cpuinfo"
    about.write_text("vendor : Fast\nflags : avx avx2\n")
    cases = [(about, r"Fast[\s\S]*\bavx2\b", "HERE"), (about, "Slow", "OTHER"), (tmp_path / "none", ".", "MISSING")]
    described = "".join(
        f"  - {{file: {file}, pattern: '{pattern}', environment: {{{name}: '1'}}}}\n" for file, pattern, name in cases
    )
    before = entries.load(tree.root).hardware["cpu"].environment
    tree.hardware.write_text(f"{tree.hardware.read_text()}\nenvironment_where:\n{described}")
    assert entries.load(tree.root).hardware["cpu"].environment == {**before, "HERE": "1"}


def test_two_projects_with_one_part_are_refused(tree):
    folder = tree.root / "projects" / "05-twin"
    folder.mkdir()
    (folder / "project.yaml").write_text(tree.project.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "main.py").write_text("")
    with pytest.raises(DataFileError) as caught:
        entries.load(tree.root)
    assert "'part 4' is taken" in str(caught.value)
    assert all(f"projects/{slug}/project.yaml" in str(caught.value) for slug in ("04-plate", "05-twin"))


def test_two_kinds_that_answer_to_one_name_are_refused(tree):
    folder = tree.root / "hardware" / "gpu"
    folder.mkdir()
    (folder / "hardware.yaml").write_text(tree.hardware.read_text().replace("name: cpu", "name: gpu"))
    with pytest.raises(DataFileError, match="'processor' is taken"):
        entries.load(tree.root)


@pytest.mark.parametrize("word", ["all", "auto"])
def test_a_kind_cannot_take_a_word_that_means_something_else(tree, word):
    """Otherwise `--hw all` or `--hw auto` then never names that kind."""
    tree.change(tree.hardware, "processor", word)
    with pytest.raises(DataFileError):
        entries.load(tree.root)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        (Parameter(name="n", default=1, help="", at_least=1, at_most=9), "integer, at least 1, at most 9"),
        (Parameter(name="n", default=0.5, help="", at_least=1e-6), "number, at least 1e-06"),
        (Parameter(name="n", default=True, help=""), "true or false"),
        (Parameter(name="n", default="x", help=""), "text"),
        (Parameter(name="n", default="a", help="", choices=("a", "b")), "one of a, b"),
    ],
)
def test_a_parameter_says_what_it_expects(parameter, words):
    assert parameter.expects == words


def test_a_metric_applies_when_every_condition_holds():
    metric = Metric(name="m", when={"method": ("pinn", "all"), "quick": (False,)})
    assert metric.applies({"method": "all", "quick": False}, "cpu")
    assert not metric.applies({"method": "ritz", "quick": False}, "cpu")
    assert not metric.applies({"method": "all", "quick": True}, "cpu")
    assert not metric.applies({}, "cpu")
    assert Metric(name="m", when={}).applies({}, "cpu")


def test_a_metric_may_be_asked_for_on_some_hardware_alone(tree):
    tree.change(
        tree.project, 'error: {unit: "1", at_most: 1.0e-6}', "error: {at_most: 1.0e-6, hardware: {class: [cpu, gpu]}}"
    )
    metric = entries.load(tree.root).parts["4"].metrics["error"]
    assert metric.applies({}, "gpu") and not metric.applies({}, "simulated")


def test_the_catalogue_of_this_checkout_loads():
    book = entries.load()
    assert "cpu" in book.hardware and "1" in book.parts


@pytest.mark.parametrize(
    ("metric", "within"),
    [
        ('{unit: "1"}', 1e-4),
        ("{unit: m}", 1e-4),
        ("{unit: s}", None),
        ("{unit: tokens/s}", None),
        ("{unit: ms, reproduces: 0.5}", 0.5),
        ('{unit: "1", reproduces: false}', None),
        ('{unit: "1", reproduces: 0}', 0),
    ],
)
def test_a_metric_is_held_to_four_digits_and_a_time_to_nothing_unless_declared(tree, metric, within):
    tree.change(tree.project, '{unit: "1", at_most: 1.0e-6}', metric)
    found = entries.load(tree.root).parts["4"].metrics["error"].reproduces
    assert found == within and (found is None) == (within is None)


def test_a_traces_tolerance_is_read(tree):
    tree.change(tree.project, "    points:\n", "    traces: {deflection: 1.0e-6}\n    points:\n")
    assert entries.load(tree.root).parts["4"].traces == {"deflection": 1e-6}
