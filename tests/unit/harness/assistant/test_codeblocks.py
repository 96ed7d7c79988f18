"""Code blocks: every usual form of an answer gives its files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.assistant import codeblocks

CODE = "def add(a, b):\n    return a + b\n"
MORE = f"{CODE}def sub(a, b):\n    return a - b\n"
WRONG = CODE.replace("+", "-")


def fence(language: str = "python", code: str = CODE, marks: str = "```") -> str:
    return f"{marks}{language}\n{code}{marks}\n"


def inset(text: str, by: str) -> str:
    return "".join(by + line for line in text.splitlines(keepends=True))


@pytest.mark.parametrize(
    "answer",
    [
        *(fence(language) for language in ("python", "Python", "python3", "py", "", " python", "{.python}")),
        fence(marks="~~~"), fence(marks="````"), CODE,
        "1. Do this:\n\n" + inset(fence(), "   "), "Here:\n\n" + inset(CODE, "    "), inset(fence(), "> "),
        ("Here.\n\n" + fence()).replace("\n", "\r\n"),
        fence() + "Use it:\n" + fence(code="from sums import add\nprint(add(1, 2))\n"),
        fence() + "Use it:\n" + fence(code="print(add(1, 2))\n"),
        fence() + "Run it:\n" + fence("bash", "python sums.py\n") + "It prints\n" + fence("", "3\n"),
        fence(code=WRONG) + "was wrong. Now:\n" + fence(),
        "sums.py\n" + fence() + "Use it:\n" + fence(code="from sums import add\nprint(add(1, 2))\n"),
        "<think>\n" + fence(code=WRONG) + "</think>\n" + fence(), "So\n" + fence(code=WRONG) + "</think>\n" + fence(),
    ],
)  # fmt: skip
def test_the_file_of_an_answer(answer):
    assert codeblocks.files(answer, "sums.py") == {"sums.py": CODE}


def test_an_excerpt_of_a_file_is_not_the_file():
    answer = fence(code=MORE) + "The part that changed:\n" + fence()
    assert codeblocks.files(answer, "sums.py") == {"sums.py": MORE}


@pytest.mark.parametrize(
    "answer",
    [
        fence('python title="x.py"'), fence("python:x.py"), fence("python x.py"), "**x.py**\n\n" + fence(),
        "### `x.py`\n\n" + fence(), "File: x.py\n" + fence(), "`x.py`:\n" + fence(marks="~~~"),
    ],
)  # fmt: skip
def test_the_name_of_a_file(answer):
    assert codeblocks.files(answer, "sums.py") == {"x.py": CODE}


def test_a_name_in_the_first_comment():
    assert codeblocks.files(fence(code=f"# x.py\n{CODE}"), "sums.py") == {"x.py": f"# x.py\n{CODE}"}


def test_several_files_by_their_names():
    answer = (
        "**a.py**\n\n```python\n1\n```\n```python b.py\n2\n```\n"
        + "```\n3\n```\n```python\n4\n```\n```python\nunfinished"
    )
    assert codeblocks.files(answer, "main.py") == {"a.py": "1\n", "b.py": "2\n", "main.py": "4\n"}


@pytest.mark.parametrize(
    "answer", ["", "Yes", "I cannot.", "```python\n" + CODE, fence("json", "{}\n"), f"<think>{fence()}"]
)
def test_an_answer_without_a_whole_file(answer):
    assert codeblocks.files(answer, "sums.py") == {}


def test_code_that_is_wrong_is_taken_so_that_it_is_said():
    assert codeblocks.files(fence(code="def add(a, b)\n    return\n"), "sums.py")


@given(st.text(alphabet="`~ \n\t>#-defpython:()=.*<think>/\r\x00é", max_size=120))
def test_no_answer_is_too_wild(answer):
    for name, text in codeblocks.files(answer, "sums.py").items():
        assert name.endswith(".py") and text.strip()
