"""The matrix: every cell in its place, the same counts in every format, nothing unescaped."""

import html.parser
import json
import re
from dataclasses import replace

import pytest
from samples import WHY_LEFT_OUT, a_catalogue, a_kind, a_part, a_record, a_record_not_judged, a_rule

from harness.errors import UsageError
from harness.points import matrix

BOOK = a_catalogue(
    a_part("4", rules=(a_rule("once", 3),)),
    a_part("5", title="Practical", rules=(a_rule("judged", 2, 8),)),
    a_part("7", title="Training", rules=(a_rule("once", 10, categories=("accelerator",)),)),
    a_part("14", title="An article", program=None, rules=(a_rule("judged", 3, 10, needs=("article",)),)),
    kinds=(a_kind(), a_kind("cuda", "gpu"), a_kind("npu", "accelerator"), a_kind("sim", "simulated")),
)


@pytest.fixture
def built(results):
    a_record(results, "4", "cpu")
    a_record(results, "5", "cpu")
    a_record(results, "7", "sim")
    a_record(results, "4", "sim", error=0.5)
    return matrix.build(BOOK, results)


def test_each_part_has_a_cell_on_each_kind(built):
    assert [(cell.part, cell.hardware) for cell in built.cells] == [
        (part, kind) for part in ("4", "5", "7", "14") for kind in ("cpu", "cuda", "npu", "sim")
    ]
    states = {(cell.part, cell.hardware): cell.state for cell in built.cells}
    assert states["4", "cpu"] == "earned" and states["4", "sim"] == "failed"
    assert states["7", "sim"] == "rehearsed" and states["14", "cpu"] == "not run"
    assert built.kinds == ["cpu", "sim"]


def test_before_any_run_every_kind_is_shown(results):
    built = matrix.build(BOOK, results)
    assert built.kinds == ["cpu", "cuda", "npu", "sim"]
    assert "0 points earned of 31" in matrix.show(built, "table", explain=False)


def test_the_table_shows_marks_points_sums_and_the_kinds_without_a_run(built):
    text = matrix.show(built, "table", explain=False)
    rows = {line.split()[0]: line for line in text.splitlines() if re.match(r"\d", line)}
    assert "✓ 3" in rows["4"] and "✗" in rows["4"] and rows["4"].endswith("3 / 3")
    assert rows["5"].endswith("2–8 / 8")
    assert "○" in rows["7"] and rows["7"].endswith("0 / 10")
    assert rows["14"].endswith("0 / 10") and "–" in rows["14"], "no program yet"
    assert rows["5"].count("·") == 1 and "–" not in rows["5"].rpartition("2–8")[0], "a program, not run there"
    said = " ".join(text.split())
    assert "5–11 points earned of 31 (and 0 by a bonus); 0 waiting for evidence, 10 rehearsed" in said
    assert "No run yet on: cuda, npu" in said and "cuda" not in text.splitlines()[0]
    assert "✗ failed" in said and "○ rehearsed: it passed where the rule gives no points" in said
    assert "△" not in said, "a legend of what is shown alone"


@pytest.mark.parametrize("columns", ["40", "60", "80", "200"])
def test_the_table_fits_the_terminal_whatever_ran(results, monkeypatch, columns):
    for kind in ("cpu", "cuda", "npu", "sim"):
        a_record(results, "4", kind)
    monkeypatch.setenv("COLUMNS", columns)
    for explain in (False, True):
        text = matrix.show(matrix.build(BOOK, results), "table", explain)
        assert max(map(len, text.splitlines())) <= max(int(columns), 40)


def test_before_any_run_the_table_has_no_kind(results):
    text = matrix.show(matrix.build(BOOK, results), "table", explain=False)
    assert text.splitlines()[0].split() == ["part", "task", "points"] and "No run yet on: cpu, cuda" in text
    text = matrix.show(matrix.build(BOOK, results, "3.9.9,3.3.1"), "table", explain=False)
    assert "No run yet with Paddle 3.9.9, 3.3.1 on: cpu, cuda" in " ".join(text.split())


def test_explain_says_once_why_cells_do_not_count(built):
    assert "nothing is earned" not in matrix.show(built, "table", explain=False)
    text = " ".join(matrix.show(built, "table", explain=True).split())
    assert "7 on sim (Processor A): rehearsed; nothing is earned on simulated hardware" in text
    assert "4 on sim (Processor A): failed; error: 0.5 is over 0.1" in text
    assert "14 on cpu; 14 on sim: not run; its program is not written yet" in text
    assert text.count("not run; no run yet") == 1


def with_paddle(version, unlisted=False):
    paddle = {"package": "paddlepaddle", "version": version, "wheel": None, "wheel_sha256": None}
    stack = {"name": "base", "lock_sha256": "a" * 64, "index": None, "python": "3.11"}
    return {"paddle": paddle, "stack": {**stack, **({"unlisted": version} if unlisted else {})}}


def test_another_version_has_a_column_of_its_own_and_takes_nothing_from_the_one_that_counts(results):
    book = a_catalogue(a_part("4", rules=(replace(a_rule("once", 3), paddle=">=3.0,<3.1"),)))
    a_record(results, **with_paddle("3.0.0"))
    a_record(results, **with_paddle("3.3.1"))
    a_record(results, error=0.5, **with_paddle("3.4.0", unlisted=True))
    built = matrix.build(book, results)
    assert [str(column) for column in built.columns] == ["cpu 3.0.0", "cpu 3.3.1", "cpu 3.4.0"]
    states = {cell.paddle: (cell.state, cell.points) for cell in built.cells if cell.run}
    assert states == {"3.0.0": ("earned", 3), "3.3.1": ("rehearsed", 0), "3.4.0": ("failed", 0)}
    text = " ".join(matrix.show(built, "table", explain=True).split())
    assert "with Paddle 3.3.1: rehearsed; it counts with Paddle >=3.0,<3.1, this ran with 3.3.1" in text
    assert built.tally.rehearsed == 0, "what is earned already is not rehearsed as well"


def test_an_own_wheel_takes_nothing_from_the_version_whose_number_it_has(results):
    book = a_catalogue(a_part("4", rules=(replace(a_rule("once", 3), paddle=">=3.0,<3.1"),)))
    a_record(results, **with_paddle("3.0.0"))
    a_record(results, **with_paddle("3.0.0", unlisted=True))
    built = matrix.build(book, results)
    assert built.tally.earned == 3
    assert {cell.state for cell in built.cells if cell.run} == {"earned", "rehearsed"}


ODD = ["0.0.0", "3.0.0.post120", "3.4.0.dev20261101", "3.3.1+cu129", "develop", "3.0-rc", "", "?"]


@pytest.mark.parametrize("odd", ODD)
def test_a_column_whatever_a_record_calls_its_version(results, odd):
    a_record(results, **with_paddle("3.0.0"))
    a_record(results, **with_paddle(odd))
    for form in ("table", "markdown", "json", "html"):
        assert odd in matrix.show(matrix.build(BOOK, results), form, explain=True)


def test_a_newer_version_earns_where_the_part_says_so_and_an_unlisted_one_nowhere(results):
    book = a_catalogue(a_part("4", rules=(replace(a_rule("once", 3), paddle=">=3.0"),)))
    a_record(results, **with_paddle("3.4.0", unlisted=True))
    assert matrix.build(book, results).tally.earned == 0
    a_record(results, **with_paddle("3.3.1"))
    assert matrix.build(book, results).tally.earned == 3


def test_a_filter_leaves_one_version(results):
    a_record(results, **with_paddle("3.0.0"))
    a_record(results, **with_paddle("3.3.1"))
    built = matrix.build(BOOK, results, "3.3.1")
    assert [str(column) for column in built.columns] == ["cpu"]
    assert {cell.paddle for cell in built.cells if cell.run} == {"3.3.1"}


def test_json_is_the_contract(built):
    document = json.loads(matrix.show(built, "json", explain=False))
    assert document["schema"] == 2
    assert set(document["cells"][0]) == {
        "part",
        "hardware",
        "model",
        "state",
        "points",
        "limit",
        "why",
        "run",
        "paddle",
    }
    assert len(document["cells"]) == 16
    assert {"earned", "rehearsed", "waiting", "limit"} <= set(document["points"])
    assert document["points"]["earned"] == sum(cell["points"] for cell in document["cells"]) == 5


def test_markdown_is_a_table_of_as_many_columns_everywhere(built):
    lines = [line for line in matrix.show(built, "markdown", explain=True).splitlines() if line.startswith("|")]
    assert len(lines) == 6 and {line.count("|") for line in lines} == {6}
    assert "- 7 on sim (Processor A): rehearsed; nothing is earned on simulated hardware" in matrix.show(
        built, "markdown", explain=True
    )


class Page(html.parser.HTMLParser):
    """Collects tags and text, and refuses tags that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text, self.titles = [], [], "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag == "td":
            assert {name for name, _ in attributes} <= {"class", "title"}
            self.titles += [value for name, value in attributes if name == "title"]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_html_is_a_whole_page_with_a_cell_for_each(built):
    page = Page(matrix.show(built, "html", explain=True))
    assert page.open == []
    assert page.seen.count("tr") == 5 and page.seen.count("td") == 4 * (1 + 2 + 1)
    assert "5–11 points earned" in page.text and "薄板" in page.text


def test_html_from_a_strange_model_is_text(results):
    a_record(results, "7", "cpu", model="<script>alert('x')</script>\" onclick=\"")
    page = Page(matrix.show(matrix.build(BOOK, results), "html", explain=True))
    assert any("<script>alert('x')</script>\" onclick=\"" in title for title in page.titles)
    assert "script" not in page.seen and "<script>alert('x')</script>" in page.text
    assert page.open == []


def test_an_unknown_format_is_refused(built):
    with pytest.raises(UsageError, match="table, markdown, json, html"):
        matrix.show(built, "xml", explain=False)


@pytest.mark.parametrize("form", ["table", "markdown", "html"])
def test_damage_is_named_in_every_format_that_a_person_reads(results, form):
    bad = a_record(results)
    a_record(results, model="B")
    (bad / "record.json").write_text("{")
    text = matrix.show(matrix.build(BOOK, results), form, explain=False)
    assert "damaged, not counted" in text and bad.name in text and "3 points earned" in text


def test_damage_is_named_in_json_and_on_stderr(results, capsys):
    bad = a_record(results)
    (bad / "record.json").write_text("{")
    built = matrix.build(BOOK, results)
    (line,) = json.loads(matrix.show(built, "json", explain=False))["damaged"]
    matrix.warn_of_damage(built)
    assert bad.name in line and bad.name in capsys.readouterr().err


def test_a_record_of_a_part_or_kind_that_this_checkout_lacks_is_named(results):
    a_record(results, part="77")
    a_record(results, kind="tpu")
    built = matrix.build(BOOK, results)
    assert len(built.damaged) == 2 and all("knows no such cell" in line for line in built.damaged)
    assert built.tally.earned == 0


def test_a_model_that_failed_after_it_passed_still_counts(results):
    a_record(results, day="2026-11-20")
    a_record(results, day="2026-11-21", error=0.5)
    assert matrix.build(BOOK, results).tally.earned == 3


def test_the_earliest_run_gets_the_points_so_that_they_stay_where_they_are(results):
    a_record(results, model="First", day="2026-11-20")
    a_record(results, model="Second", day="2026-11-21")
    cells = {cell.model: cell.points for cell in matrix.build(BOOK, results).cells if cell.part == "4"}
    assert cells["First"] == 3 and cells["Second"] == 0


def test_days_count_each_where_the_rule_is_per_day(results):
    book = a_catalogue(a_part("4", rules=(a_rule("per_day", 1, 2),)))
    for day in ("20", "21", "21", "22"):
        a_record(results, day=f"2026-11-{day}")
    built = matrix.build(book, results)
    assert built.tally.earned == 2
    assert "✓ 2" in matrix.show(built, "table", explain=False)


# Runs that are not judged, and runs on fewer cards


def test_a_run_that_is_not_judged_earns_nothing_and_says_which_bound_is_left_out(results):
    a_record_not_judged(results)
    built = matrix.build(BOOK, results)
    (cell,) = (cell for cell in built.cells if cell.run)
    assert (cell.state, cell.points, cell.why) == ("not judged", 0, WHY_LEFT_OUT)
    assert "△ not judged" in matrix.show(built, "table", explain=False)
    text = " ".join(matrix.show(built, "table", explain=True).split())
    assert f"4 on cpu (Processor A): not judged; {WHY_LEFT_OUT}" in text
    assert json.loads(matrix.show(built, "json", explain=False))["cells"][0]["state"] == "not judged"
    assert "class='not-judged'" in matrix.show(built, "html", explain=False)


def test_a_run_that_is_not_judged_does_not_displace_one_that_passed(results):
    passed = a_record(results, day="2026-11-20")
    a_record_not_judged(results, day="2026-11-25", cards=8)
    (cell,) = (cell for cell in matrix.build(BOOK, results).cells if cell.run)
    assert (cell.state, cell.points, cell.run) == ("earned", 3, passed.name)


def test_a_run_on_more_cards_is_not_displaced_by_one_on_fewer(results):
    book = a_catalogue(a_part("4", rules=(a_rule("once", 10, categories=("accelerator",), cards=8),)),
                       kinds=(a_kind("npu", "accelerator"),))  # fmt: skip
    eight = a_record(results, kind="npu", day="2026-11-20", cards=8)
    a_record(results, kind="npu", day="2026-11-25", cards=2)
    (cell,) = matrix.build(book, results).cells
    assert (cell.state, cell.points, cell.run) == ("earned", 10, eight.name)
