"""Arguments: what a person types becomes the values that a command is called with."""

import re
import shlex

import invoke
import pytest

import harness.cli.program  # noqa: F401 before invoke, as the entry does
import tasks
from harness.checkout import ROOT
from harness.cli import arguments, commands, pages
from harness.errors import UsageError

COMMANDS = invoke.Collection.from_module(tasks)
LINES = [line for text in pages.examples().values() for line in text.splitlines()]
PAGES = [
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "docker/*.md", "hardware/*/*.md", "projects/*/*.md", ".github/workflows/*.yml")
    for path in sorted(ROOT.glob(pattern))
]


def read(line: str) -> dict:
    name, *words = shlex.split(line)
    given = arguments.read(COMMANDS[name], words, COMMANDS.task_names)
    defaults = {each.parameter: each.default for each in commands.arguments(COMMANDS[name])}
    return {name: value for name, value in given.items() if value != defaults[name]}


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("run", {}),
        ("run 4", {"task": "4"}),
        ("run 4 8-1,plate", {"task": "4,8-1,plate"}),
        ("run --task 4", {"task": "4"}),
        ("run -v --dry-run", {"verbose": True, "dry_run": True}),
        ("run --seed 7 --cards=4", {"seed": 7, "cards": 4}),
        ("run --set pp=1 dp=2 --set mp=2 8-2", {"set_": ["pp=1", "dp=2", "mp=2"], "task": "8-2"}),
        ("run --set prompt='a b=c' 9", {"set_": ["prompt=a b=c"], "task": "9"}),
        ("run --set=grid=51", {"set_": ["grid=51"]}),
        ("run --set offset=-1", {"set_": ["offset=-1"]}),
        ("build npu,gpu --source", {"hw": "npu,gpu", "source": True}),
        ("show", {}),
        ("verify all", {}),
        ("attach --task 15 a.jpg --note 'a hill' b.jpg", {"task": "15", "what": ["a.jpg", "b.jpg"], "note": "a hill"}),
        ("attach --note=--strange-- a.jpg", {"note": "--strange--", "what": ["a.jpg"]}),
        ("upload s3://team", {"to": "s3://team"}),
        ("python main.py --set grid=51 --seed x", {"program": ["main.py", "--set", "grid=51", "--seed", "x"]}),
        ("jobs --once", {"once": True}),
    ],
)
def test_a_call_is_read_as_it_is_meant(line, values):
    assert read(line) == values


def calls(text: str) -> list[str]:
    """The calls of ./inv in a text, without what explains them."""
    found = re.findall(r"(?:^|\s|`)\./inv ([a-z][^`\n]*)", text)
    return [re.split(r"  +|\s[#&|>;]|[\"']?\s*\\$|…|\)", each)[0].strip() for each in found]


@pytest.mark.parametrize("line", [call for line in LINES for call in calls(line)])
def test_every_example_of_the_help_is_read(line):
    try:
        read(line)
    except (UsageError, ValueError) as error:
        assert "no such file" in str(error) or "No closing quotation" in str(error), error


@pytest.mark.parametrize("page", PAGES)
def test_every_call_on_a_page_is_read(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for line in calls(text):
        name = line.split(" ")[0]
        if name not in COMMANDS.task_names or re.search(r"[A-Z]{2,}|[…,]$|[\[<]", line):
            continue
        try:
            read(line)
        except (UsageError, ValueError) as error:
            said = str(error)
            assert any(each in said for each in ("no such file", "no such folder", "No closing", "lacks its")), (
                f"{page}: {line}\n{said}"
            )
