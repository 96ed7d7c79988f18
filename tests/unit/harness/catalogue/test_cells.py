"""Cells: which parts and kinds words select, and which values settings may have."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from samples import a_catalogue, a_kind, a_part

from harness.catalogue import cells
from harness.catalogue.entries import Cards, Parameter, Requirement
from harness.errors import UsageError

FFN = [a_part("8-1", slug="08-ffn"), a_part("8-2", slug="08-ffn")]
BOOK = a_catalogue(a_part("4"), *FFN, a_part("10", slug="10-optimised-inference"))


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("all", ["4", "8-1", "8-2", "10"]),
        ("4", ["4"]),
        ("8", ["8-1", "8-2"]),
        ("8-2", ["8-2"]),
        ("08", ["8-1", "8-2"]),
        ("ffn", ["8-1", "8-2"]),
        ("08-ffn", ["8-1", "8-2"]),
        ("optimised-inference", ["10"]),
        ("10,4", ["10", "4"]),
        (" 4 , 4 ", ["4"]),
        ("8-2,8", ["8-2", "8-1"]),
        ("ffn,all", ["8-1", "8-2", "4", "10"]),
    ],
)
def test_words_name_parts_each_once_in_the_order_asked_for(words, names):
    assert [part.name for part in cells.select_parts(BOOK, words)] == names


@pytest.mark.parametrize("words", ["", ",", "4,", "5", "8-3", "1", "plate 4", "optimized-inference"])
def test_a_word_that_names_no_part_is_refused_with_the_known_ones(words):
    with pytest.raises(UsageError) as caught:
        cells.select_parts(BOOK, words)
    assert "no such task" in caught.value.what
    assert "all, 4, 8-1, 8-2, 10." in caught.value.why


def test_a_parameter_without_its_option_is_sent_there():
    with pytest.raises(UsageError) as caught:
        cells.select_parts(BOOK, "4,grid=5")
    assert caught.value.remedy == "Write --set grid=5"


def test_the_nearest_word_is_offered():
    with pytest.raises(UsageError, match=r"Did you mean plate\?"):
        cells.select_parts(BOOK, "plat")
    with pytest.raises(UsageError, match=r"Did you mean nvidia\?"):
        cells.select_hardware(BOOK, "nvida")


@pytest.mark.parametrize(
    ("words", "names"),
    [("gpu", ["cuda"]), ("nvidia,cuda", ["cuda"]), ("sim,cpu", ["sim", "cpu"]), ("all", ["cpu", "cuda", "sim"])],
)
def test_a_kind_answers_to_its_name_and_aliases(words, names):
    assert [kind.name for kind in cells.select_hardware(BOOK, words)] == names


@given(st.text(max_size=12))
def test_any_words_select_something_or_are_refused(words):
    for select in (cells.select_parts, cells.select_hardware):
        try:
            assert select(BOOK, words)
        except UsageError as error:
            assert len(str(error).splitlines()) >= 3


def test_a_cell_reads_as_a_sentence():
    assert str(cells.Cell(a_part("8-2"), a_kind("ascend"))) == "8-2 on ascend"


# Parameters

PART = a_part()


def test_without_settings_every_parameter_has_its_default():
    values = cells.parameters(PART, None, [])
    assert values == {"grid": 101, "method": "ritz", "rate": 0.5, "quick": False}


def test_a_profile_stands_over_the_defaults_and_settings_over_the_profile():
    assert cells.parameters(PART, "full", [])["method"] == "pinn"
    assert cells.parameters(PART, "full", ["method=ritz"])["method"] == "ritz"
    assert cells.parameters(PART, "full", ["grid=11", "grid=12"]) == {
        "grid": 12, "method": "pinn", "rate": 0.5, "quick": False,
    }  # fmt: skip


def test_a_profile_that_another_part_declares_changes_nothing_here():
    assert cells.parameters(PART, "tiny", []) == cells.parameters(PART, None, [])


def test_a_profile_that_no_part_declares_is_refused():
    cells.check_profile([PART], "full")
    cells.check_profile([PART], None)
    with pytest.raises(UsageError, match="Known for these parts: full"):
        cells.check_profile([PART], "ful")
    with pytest.raises(UsageError, match="Known for these parts: none"):
        cells.check_profile([a_part(profiles={})], "full")


@pytest.mark.parametrize(
    ("setting", "name", "value"),
    [
        ("grid=201", "grid", 201),
        ("grid=11", "grid", 11),
        ("grid=1001", "grid", 1001),
        ("rate=1e-3", "rate", 0.001),
        ("rate=1", "rate", 1.0),
        ("quick=true", "quick", True),
        ("quick=False", "quick", False),
        ("method=pinn", "method", "pinn"),
    ],
)
def test_a_setting_is_read_as_the_type_of_its_default(setting, name, value):
    found = cells.parameters(PART, None, [setting])[name]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("grid=10", "integer, at least 11, at most 1001"),
        ("grid=1002", "integer, at least 11, at most 1001"),
        ("grid=50.0", "integer"),
        ("grid=", "integer"),
        ("grid=many", "integer"),
        ("grid=" + "9" * 5000, "integer"),
        ("rate=nan", "number, at least 0, at most 1"),
        ("rate=inf", "number"),
        ("rate=-0.1", "number"),
        ("quick=yes", "true or false"),
        ("quick=1", "true or false"),
        ("method=all", "one of ritz, pinn"),
        ("method=Ritz", "one of ritz, pinn"),
        ("grid", "NAME=VALUE"),
        ("", "NAME=VALUE"),
        ("=5", "It has: grid, method, rate, quick."),
        ("gird=5", "Did you mean grid?"),
        (" grid=50", "Did you mean grid?"),
    ],
)
def test_a_wrong_setting_is_refused_and_says_what_is_right(setting, says):
    with pytest.raises(UsageError) as caught:
        cells.parameters(PART, None, [setting])
    assert says in str(caught.value)


def test_a_text_may_hold_an_equals_sign():
    part = a_part(parameters={"prompt": Parameter(name="prompt", default="", help="text")})
    assert cells.parameters(part, None, ["prompt=a=b"]) == {"prompt": "a=b"}


@given(st.text())
@example("1_000")
@example("٣٤")
@example("1e400")
@example("-nan")
def test_any_value_is_taken_within_its_range_or_refused(text):
    for parameter in PART.parameters.values():
        try:
            value = cells.parameters(PART, None, [f"{parameter.name}={text}"])[parameter.name]
        except UsageError:
            continue
        assert type(value) is type(parameter.default)
        assert not parameter.choices or value in parameter.choices
        assert parameter.at_least is None or parameter.at_least <= value <= parameter.at_most


@pytest.mark.parametrize(
    ("text", "bounds"),
    [("nan", {}), ("inf", {}), ("1e999", {}), ("inf", {"at_least": 0.0}), ("-inf", {"at_most": 0.0})],
)
def test_a_number_is_finite_even_without_bounds(text, bounds):
    """Otherwise it is taken, and later the record, which is strict JSON, cannot be written."""
    part = a_part(parameters={"rate": Parameter(name="rate", default=0.5, help="rate", **bounds)})
    with pytest.raises(UsageError):
        cells.parameters(part, None, [f"rate={text}"])


# What parameters and cards have to fit

SQUARE = Requirement("grid % 2 == 1 or method == 'pinn'", "Ritz takes a point in the middle")
SHARED = Requirement("grid > cards", "each card has a point")


def test_values_that_fit_are_settled_with_the_cards():
    part = a_part(requires=(SQUARE, SHARED), cards=Cards(8, 1, 16))
    assert cells.settled(part, None, ["grid=11"]) == (cells.parameters(part, None, ["grid=11"]), 8)
    assert cells.settled(part, "full", ["grid=12"], 4)[1] == 4


@pytest.mark.parametrize(
    ("settings", "cards", "lines"),
    [
        (["grid=12"], 0, ["4 cannot run with grid=12, method=ritz.", f"{SQUARE.otherwise}: {SQUARE.that}."]),
        (["grid=11"], 12, ["4 cannot run with grid=11 on 12 cards.", f"{SHARED.otherwise}: {SHARED.that}."]),
    ],
)
def test_values_that_do_not_fit_are_refused_in_three_lines(settings, cards, lines):
    part = a_part(requires=(SQUARE, SHARED), cards=Cards(8, 1, 16))
    with pytest.raises(UsageError) as caught:
        cells.settled(part, None, settings, cards)
    assert str(caught.value).splitlines() == [*lines, caught.value.remedy]
    assert caught.value.code == 2


def test_a_requirement_without_a_value_refuses_too():
    part = a_part(requires=(Requirement("1 / (grid - 11) > 0", "so"),))
    with pytest.raises(UsageError, match="cannot run with grid=11") as caught:
        cells.settled(part, None, ["grid=11"])
    assert "division by zero" in caught.value.why


# Time limits


@pytest.mark.parametrize(("text", "limit"), [("2h", 7200), ("90 min", 5400), ("61s", 61), ("60s", 60), ("", 60)])
def test_a_time_limit_is_raised(text, limit):
    part, by_hand = cells.with_timeout([a_part(), a_part("14", program=None, timeout=0.0)], text)
    assert (part.timeout, part.raised) == (limit, limit > 60) and by_hand.timeout == 0


@pytest.mark.parametrize("text", ["59s", "1 s", "0h"])
def test_a_time_limit_is_not_lowered(text):
    with pytest.raises(UsageError, match="too short") as caught:
        cells.with_timeout([a_part()], text)
    assert "Part 4 has 60 s" in caught.value.why


@pytest.mark.parametrize("text", ["2", "h", "2 days", "-2h", "1.5h", "2hh", "9999999h"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="no time"):
        cells.with_timeout([a_part()], text)
