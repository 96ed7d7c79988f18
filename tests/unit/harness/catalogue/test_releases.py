"""Versions of Paddle: those that are listed, which one a cell has, and what is said of any other."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from samples import a_kind

from harness.catalogue import releases
from harness.checkout import ROOT
from harness.errors import UsageError

BOOK = releases.load()
FILE = yaml.safe_load((ROOT / releases.FILE).read_text())
STACKS = ("base", "convert", "inference", "nlp", "science", "training")


@pytest.mark.parametrize("release", BOOK.listed.values(), ids=str)
def test_every_listed_version_has_a_lock_for_each_stack_with_what_belongs_to_it(release):
    wanted = [*FILE["requires"], *FILE["versions"][release.version]["requires"]]
    for stack in STACKS:
        lock = (ROOT / release.lock(stack)).read_text()
        pins = dict.fromkeys(re.findall(r"^([a-z0-9-]+==[^ ]+)", lock, re.MULTILINE))
        assert f"paddlepaddle=={release.version}" in pins
        belongs = [line.partition(" ")[0] for line in wanted if stack == "convert" or "paconvert" not in line]
        assert set(belongs) <= pins.keys(), stack
        assert all("--hash=sha256:" in entry for entry in re.findall(r"^\S+==.*\n(?: .*\n)*", lock, re.MULTILINE))


def test_the_homeworks_is_the_default_and_a_kinds_data_may_name_another():
    assert BOOK.default(a_kind(), "3.11").version == BOOK.homework == "3.0.0"
    assert BOOK.default(a_kind("iluvatar", paddle={"version": "3.1.1"}), "3.11").version == "3.1.1"


def test_a_python_without_locks_of_the_default_takes_the_oldest_version_that_has():
    old = releases.Release(version="3.0.0", near="3.0.0", homework="3.0.0", python=("3.10",), platforms=())
    new = releases.Release(version="3.1.1", near="3.1.1", homework="3.0.0", python=("3.10", "3.13"), platforms=())
    book = releases.Releases("3.0.0", ">=3.0,<3.1", {"3.0.0": old, "3.1.1": new})
    assert book.default(None, "3.10") is old and book.default(None, "3.13") is new
    assert book.default(None, "3.14") is old, "which the local engine then leaves out, and says why"


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("3.1.0", "3.1.1"),
        ("3.2.1", "3.2.2"),
        ("3.4.0", "3.3.1"),
        ("3.0.0rc1", "3.0.0"),
        ("3.4.0.dev20261130", "3.3.1"),
        ("0.0.0", "3.3.1"),
    ],
)
def test_an_unlisted_version_goes_by_the_lock_of_the_nearest(asked, near):
    release = BOOK.of(asked)
    assert not release.listed and release.near == near
    assert release.lock("base") == BOOK.listed[near].lock("base")
    assert release.of("base") == f"base-{asked}" and "unlisted" in str(release)


@pytest.mark.parametrize(("asked", "listed"), [("3.3", "3.3.0"), ("v3.3.1", "3.3.1"), ("3.3.1.0", "3.3.1")])
def test_a_listed_version_is_known_however_it_is_written(asked, listed):
    assert BOOK.of(asked) is BOOK.listed[listed]


def wheels(folder, *versions):
    for version in versions:
        (folder / f"paddlepaddle-{version}-cp311-cp311-linux_x86_64.whl").touch()
    return str(folder)


@pytest.mark.parametrize(
    ("version", "near"),
    [("3.4.0.dev1", "3.3.1"), ("3.3.1", "3.3.1"), ("3.0.0", "3.0.0"), ("3.3.1+mine", "3.3.1"), ("0.0.0", "3.3.1")],
)
def test_own_wheels_make_even_a_listed_number_their_own(version, near, tmp_path):
    """A build of untagged sources calls itself 0.0.0, and is newer than every version that is listed."""
    folder = wheels(tmp_path, version)
    (release,) = releases.asked("", folder)
    assert (release.version, release.near, release.listed, release.wheels) == (version, near, False, folder)
    assert release.of("base") == f"base-{version.replace('+', '-')}-own" and "own wheel" in str(release)


def test_of_several_own_wheels_one_is_named(tmp_path):
    folder = wheels(tmp_path, "3.3.1", "3.4.0.dev1", "nightly")
    assert releases.asked("v3.3.1", folder)[0].version == "3.3.1"
    for text in ("", "3.4.0", "3.3.1,3.4.0.dev1", "nightly"):
        with pytest.raises(UsageError, match=r"no single wheel[\s\S]*3\.3\.1, 3\.4\.0\.dev1"):
            releases.asked(text, folder)


def test_several_are_named_with_commas_or_by_all():
    assert [each.version for each in BOOK.select("3.3.1, 3.0.0,3.3.1")] == ["3.3.1", "3.0.0"]
    assert BOOK.select("all") == list(BOOK.listed.values())


def test_nothing_between_commas_is_shown_as_nothing():
    with pytest.raises(UsageError, match="--paddle '': no version"):
        BOOK.select("3.0.0,,3.3.1")


@given(st.text())
def test_what_is_no_version_of_paddle_3_is_refused_by_name(text):
    try:
        assert all(each.version.startswith(("3", "0.0.0")) for each in BOOK.select(text))
    except UsageError as error:
        assert "no version of Paddle 3" in error.what and "3.3.1" in error.why
