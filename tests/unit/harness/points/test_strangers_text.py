"""A stranger's text in what is printed: it moves no cursor, and no line of it can look like one of ours."""

import json

import pytest
from samples import a_catalogue, a_part, a_record

from harness.comparison import comparing
from harness.evidence import attachments, records
from harness.evidence.hashing import seal_of
from harness.points import byhand, matrix

FORGED = "x\n✓ 99 records verified\x1b[2J\u202egnp\x1b]0;t\x07\x9b31m"
PART = a_part("8-1", submission=("log", "link"))
BOOK = a_catalogue(PART)


@pytest.fixture
def folder(results):
    """A record whose seal fits, with forged lines in its texts."""
    folder = a_record(results, part="8-1")
    record = json.loads((folder / records.FILE).read_bytes())
    record["hardware"]["model"] = FORGED
    record["metrics"] = {f"{name}{FORGED}": value for name, value in {**record["metrics"], "loss": 0.1}.items()}
    record["seal"] = seal_of(record)
    (folder / records.FILE).write_text(json.dumps(record))
    return folder


def is_harmless(text):
    return not any(line.strip().startswith("✓ 99") for line in text.split("\n")) and not set(text) & set(
        "\x1b\u202e\x07\x9b"
    )


@pytest.mark.parametrize("form", ["table", "markdown", "json", "html"])
@pytest.mark.parametrize("explain", [False, True])
def test_in_the_matrix(folder, results, form, explain):
    assert is_harmless(matrix.show(matrix.build(BOOK, results), form, explain))


def test_in_a_comparison(folder):
    one = comparing.outcome(folder)
    assert is_harmless(comparing.show(comparing.compare(PART, one, one)))


def test_in_the_list_of_what_is_attached(results):
    attachments.write(results, "8-1", {"kind": "photo", "name": FORGED, "checked": FORGED, "note": FORGED}, {})
    assert is_harmless(byhand.show(results, BOOK.parts, []))
