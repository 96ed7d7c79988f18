"""Versions: vendors' strings are ordered by their numbers, and what has none is not judged."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.catalogue import versions


@pytest.mark.parametrize(
    "rising",
    [
        ["23.0.rc2", "23.0.0", "23.0.3", "24.1.rc2", "24.1.rc2.1", "24.1.rc3", "24.1.0", "25.0.rc1.1", "25.3.rc1.2"],
        ["7.0.0", "8.0.RC1", "8.0.RC3.alpha003", "8.0.RC3", "8.0.0", "8.0.0.1", "8.1.RC1.alpha001", "8.1.RC1", "8.5.1"],
        ["v4.20.11", "v5.10.10", "v5.10.13", "v6.5.26"],
        ["3.0.0b4", "3.0.0rc1", "3.0.0", "3.2.0.dev20250825", "3.2.0"],
        ["23.0.3.rc1", "23.0.3.B010", "23.0.4"],
        ["DTK-25.04.4", "DTK-26.04-rc4", "26.04"],
        ["1.4.3.4", "1.20.0-bd87f71", "1.20.1-366eb9c"],
        ["2.7.0", "3.3.5-server", "5.1.0-server"],
    ],
)
def test_vendors_versions_are_ordered_by_their_numbers(rising):
    for lower, higher in itertools.pairwise(rising):
        assert versions.fits(higher, f">{lower}"), (lower, higher)
        assert not versions.fits(lower, f">={higher}"), (lower, higher)


@pytest.mark.parametrize(
    ("version", "wanted", "fits"),
    [
        ("24.1.rc2.1", ">=23.0.3", True),
        ("25.0.rc1.1", ">=23.0.3,<25", False),
        ("24.1.0", ">=23.0.3,<25", True),
        ("22.0.2", ">=23.0.3", False),
        ("8.0", "==8.0.0", True),
        ("8.0.RC3.alpha003", "==8.0.0", False),
        ("6.3.28-V1.3.0b", ">=6.3.28", True),
        ("hl-1.14.0-fw-48.0.1.0", ">=1.14", True),
        ("515.58", ">=5.0.21.26", True),
        ("560", ">=550.54.14", True),
    ],
)
def test_a_range_may_have_an_upper_end(version, wanted, fits):
    assert versions.fits(version, wanted) is fits


@pytest.mark.parametrize("version", ["", "N/A", "[N/A]", "unknown", "V100R001C20SPC001B251", "abc1.2"])
def test_what_has_no_dotted_number_is_not_judged(version):
    assert versions.fits(version, ">=1.0") is None


@pytest.mark.parametrize("clauses", ["", "25", ">=", ">=x", ">=1.0,,<2", "~=1.0"])
def test_what_is_no_range_is_refused(clauses):
    with pytest.raises(ValueError, match="no range"):
        versions.parse(clauses)


numbers = st.lists(st.integers(0, 10**6), min_size=2, max_size=5)


@given(numbers, numbers)
def test_plain_numbers_compare_as_tuples_of_equal_length_do(one, other):
    length = max(len(one), len(other))
    left, right = (tuple(each + [0] * (length - len(each))) for each in (one, other))
    text, bound = (".".join(map(str, each)) for each in (one, other))
    assert versions.fits(text, f">={bound}") is (left >= right)


@given(st.text(max_size=40))
def test_any_text_is_judged_or_not_and_nothing_breaks(text):
    assert versions.fits(text, ">=1.0,<2") in (True, False, None)
