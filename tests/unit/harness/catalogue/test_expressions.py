"""Expressions: the grammar's values are Python's, and whatever else is written is refused, at once and by name."""

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.catalogue.expressions import DEPTH, LETTERS, ExpressionError, parse

NAMES = {"columns": 4, "rate": 0.5, "dtype": "float32", "residual": True, "cards": 8, "error": 1e-7}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("8 * u_float32 * sqrt(columns)", 8 * 2**-24 * 2),
        ("u_float64 + u_float16 + u_bfloat16", 2**-53 + 2**-11 + 2**-8),
        ("max(1e-5, 4 * error)", 1e-5),
        ("min(columns, cards, 9) - -1", 5),
        ("max(columns)", 4),
        ("abs(-rate) / 2 ** 2", 0.125),
        ("columns ** 0.5 + 7 // 2 + 7 % 4", 8),
        ("log(1) + log2(cards)", 3),
        ("1e-3 if dtype == 'float32' else 1e-9", 1e-3),
        ("dtype in ('float32', 'float64')", True),
        ("dtype not in ['float32'] or cards != 8", False),
        ("columns in (1, 4.0)", True),
        ("residual and not rate > 1", True),
        ("0 < rate <= 1 < cards", True),
        ("residual == True", True),
        (" cards ", 8),
        ("dtype", "float32"),
    ],
)
def test_the_value_is_pythons(text, value):
    assert parse(text).value(NAMES) == value


def test_the_names_are_those_of_the_values_that_it_needs():
    assert parse("columns * u_float32 if dtype == 'a' else max(rate, 1)").names == {"columns", "dtype", "rate"}


def test_what_is_not_needed_need_not_have_a_value():
    assert parse("1 / columns if columns != 0 else other").value({"columns": 2}) == 0.5
    assert parse("columns == 0 or 1 / columns > 1").value({"columns": 0}) is True


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "columns.real",
        "columns[0]",
        "(lambda: 1)()",
        "[x for x in (1, 2)]",
        "f'{columns}'",
        "max(*columns)",
        "max(columns, key=1)",
        "max()",
        "sqrt(1, 2)",
        "eval('1')",
        "open('x')",
        "(columns := 2)",
        "1j",
        "b'a'",
        "None",
        "...",
        "(1, 2)",
        "dtype in 'float32'",
        "columns is 4",
        "columns @ 2",
        "columns << 99",
        "~columns",
        "columns; rate",
        "columns = 1",
        "",
        "*",
        "\0",
        "1 +",
        "(" * 300,
        "-" * 400 + "1",
        "(" * (DEPTH + 1) + "1" + "+1)" * (DEPTH + 1),
        "+".join("1" * LETTERS),
        "9" * (LETTERS + 1),
    ],
)
def test_what_is_not_in_the_grammar_is_not_read(text):
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert str(caught.value).startswith(text[:80]) and "\n" not in str(caught.value).replace(text[:80], "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1 / (columns - 4)", "division by zero"),
        ("columns % 0", "modulo"),
        ("9 ** 9 ** 9", "range error"),
        ("1e300 * 1e300", "overflows"),
        ("1e999", "overflows"),
        ("-1 * (1e308 + 1e308)", "overflows"),
        ("9" * 400, "large"),
        ("sqrt(-1)", "math domain error"),
        ("log(0)", "math domain error"),
        ("(-8) ** 0.5", "math domain error"),
        ("other + 1", "there is no other"),
        ("dtype * 3", "dtype is 'float32' and no number"),
        ("residual + 1", "residual is True and no number"),
        ("dtype == 4", "'float32' and 4 are not of one kind"),
        ("residual in (1, 2)", "True and 1 are not of one kind"),
        ("dtype < 'g'", "no number"),
        ("columns and rate", "columns is 4, neither true nor false"),
        ("not dtype", "neither true nor false"),
        ("1 if columns else 2", "neither true nor false"),
    ],
)
def test_what_has_no_value_says_why_and_names_the_expression(text, why):
    with pytest.raises(ExpressionError) as caught:
        parse(text).number(NAMES)
    assert str(caught.value).startswith(text) and why in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "NaN", "-Infinity"])
def test_a_value_that_is_not_finite_is_named(value):
    with pytest.raises(ExpressionError, match=f"error is {value}"):
        parse("max(1e-5, 4 * error)").number({"error": value})


def test_a_number_and_a_truth_are_not_mistaken_for_each_other():
    with pytest.raises(ExpressionError, match="rate > 0: True is no number"):
        parse("rate > 0").number(NAMES)
    with pytest.raises(ExpressionError, match=r"rate: 0\.5 is neither true nor false"):
        parse("rate").truth(NAMES)


letters = st.sampled_from([*"()+-*/%<>=,.'9e ", "**", "//", "not ", " and ", " in ", " if ", " else ", "max", "log",
                           "columns", "dtype", "u_float32", "__class__", "\n", "\\", "é", "\ud800"])  # fmt: skip


@given(st.lists(letters, max_size=60).map("".join) | st.text(max_size=60))
def test_any_text_has_a_value_or_a_reason_and_soon(text):
    begun = time.process_time()
    try:
        value = parse(text).value(NAMES)
    except ExpressionError as error:
        assert str(error)
    else:
        assert isinstance(value, bool | int | float | str)
    assert time.process_time() - begun < 1
