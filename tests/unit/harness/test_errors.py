"""The exception tree: as its docstring draws it, each with its exit code and its three lines."""

import inspect
import re

import pytest

from harness import errors
from harness.errors import HomeworkError, Interrupted

DRAWN = {
    name: int(code) for name, code in re.findall(r"^\s+(?:[├└]── )?(\w+Error)\s+(\d)\s", errors.__doc__, re.MULTILINE)
}
CLASSES = {
    name: each
    for name, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, HomeworkError) and each.__module__ == errors.__name__
}


def test_the_drawn_tree_is_the_tree():
    assert len(DRAWN) == 8
    assert {name: each.code for name, each in CLASSES.items()} == DRAWN


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "HomeworkError"])
def test_every_branch_hangs_on_the_root(name):
    assert CLASSES[name].__bases__ == (HomeworkError,)


def test_each_line_of_an_error_is_shown_and_an_empty_one_left_out():
    assert str(HomeworkError("what", "why", "remedy")) == "what\nwhy\nremedy"
    assert str(HomeworkError("what", "", "remedy")) == "what\nremedy"
    assert str(HomeworkError("what")) == "what"


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)])
def test_an_interruption_exits_as_shells_do_and_is_no_ordinary_exception(number, code):
    assert Interrupted(number).code == code
    assert not issubclass(Interrupted, Exception)
