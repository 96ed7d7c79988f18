"""A file, folder, run or store that is named and is not there: exit code 2, three lines, nothing written."""

from pathlib import Path

import invoke
import pytest
from checkouts import Checkout, copy_of_this_checkout

import harness.cli.program  # noqa: F401 before invoke's tasks, as the entry does
import tasks
from harness.cli import commands

PAIR = "pair --task 1 --endpoint http://127.0.0.1:9/v1 --model m question"
NAMED = [  # what is called, and how its message begins
    ("run --sign nowhere", "--sign nowhere: no such file."),
    ("run --task 1 --wheels nowhere", "--wheels nowhere: no single wheel of Paddle there."),
    ("doctor --log nowhere", "--log nowhere: No such file or directory."),
    ("pack --task 1 --sign nowhere", "--sign nowhere: no such file."),
    ("pack --task 1 --to nowhere/pack.zip", "--to nowhere/pack.zip: no such folder."),
    ("pack --task 1 --to results", "--to results: it is a folder."),
    ("report --out nowhere/report.html", "--out nowhere/report.html: no such folder."),
    ("report --out inv/report.html", "--out inv/report.html: no such folder."),
    ("report --board --signers nowhere", "--signers nowhere: no such file."),
    ("verify nowhere.zip", "RUN nowhere.zip: no such file."),
    ("verify nowhere", "'nowhere': no such run."),
    ("verify --signers nowhere", "--signers nowhere: no such file."),
    ("verify --signers nowhere latest", "--signers nowhere: no such file."),
    ("show nowhere", "'nowhere': no such run."),
    ("reproduce nowhere", "'nowhere': no such run."),
    ("reproduce reference/1", "Part 1 has no reference."),
    ("compare --run nowhere,latest", "'nowhere': no such run."),
    ("attach --task 1 nowhere.jpg", "nowhere.jpg: no such file."),
    ("detach nowhere", "'nowhere': no such attachment."),
    (f"{PAIR} --tests nowhere.py", "--tests nowhere.py: no such file."),
    ("pair --task 1 --continue nowhere", "--continue nowhere: no such session."),
    ("build --hw cpu --dry-run --wheels nowhere", "--wheels nowhere: no wheel there."),
    ("build --hw cpu --dry-run --source --tree nowhere", "--tree nowhere: no sources there"),
    ("build --hw cpu --dry-run --stack nowhere", "--stack nowhere: no such stack."),
    ("matrix --from ./nowhere", "nowhere: no such folder."),
    ("matrix --from nowhere", "nowhere: no such store."),
    ("download --from ./nowhere", "nowhere: no such folder."),
    ("upload --to nowhere", "nowhere: no such store."),
    ("python nowhere.py", "nowhere.py: no program of projects/."),
    ("bench --only nowhere", "--only nowhere: not known."),
]
TASKS = invoke.Collection.from_module(tasks).tasks.values()
OPERAND = {(task.name, name): option.operand for task in TASKS for name, option in commands.options(task).items()}
OTHERS = {  # that are called a file or a folder, and need not be there
    ("pair", "file"): "what the answer is called",
    ("upload", "to"): "a folder is made",
    ("sync", "with"): "a folder is made",
    ("serve", "arguments"): "the server checks its own",
    ("test", "only"): "pytest says it, with a code of its own",
    ("run", "host"): "a folder on another machine",
    ("attach", "zone"): "a time zone",
}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which one run passed."""
    made = copy_of_this_checkout(tmp_path_factory.mktemp("named") / "checkout")
    assert made("run").returncode == 0
    return made


@pytest.mark.parametrize(("line", "says"), NAMED, ids=[line for line, _ in NAMED])
def test_what_is_named_and_not_there_is_a_usage_error(checkout: Checkout, line: str, says: str) -> None:
    before = files(checkout)
    done = checkout(*line.split())
    assert done.returncode == 2, done.stderr
    assert says in done.stderr.splitlines()[0] and len(done.stderr.splitlines()) == 3
    assert files(checkout) == before


def files(checkout: Checkout) -> list[Path]:
    return sorted(path for path in checkout.folder.rglob("*") if "__pycache__" not in path.parts)


def test_every_option_that_names_one_is_in_the_table() -> None:
    words = ("file", "folder", "key that", "run id", "runs instead", "session", "its id")
    naming = {
        (task.name, name)
        for task in TASKS
        for name, option in commands.options(task).items()
        if any(word in option.help for word in words)
    }
    lines = [line.split() for line, _ in NAMED]
    missing = [
        (task, name)
        for task, name in naming - set(OTHERS)
        if not any(line[0] == task and (OPERAND[task, name] or f"--{name}" in line) for line in lines)
    ]
    assert naming and not missing
