"""Redaction of files: every text by its content, whatever its name, packing or width; names too; other files stay."""

import gzip
import json

import pytest
from secretsamples import SAMPLES, Draw

from harness.evidence import redacted_files
from harness.evidence.finishing import redact_files
from harness.evidence.redaction import Redactor

SECRET = Draw(5)("abcdef0123456789", 40)
TEXT = f"# 设置\npassword={SECRET}\nend\n"
CLEAN = "# 设置\npassword=[redacted]\nend\n"
NAMES = (
    "settings",
    ".env",
    ".netrc",
    "run.py",
    "x.ini",
    "x.toml",
    "x.cfg",
    "x.sh",
    "x.ps1",
    "x.conf",
    "x.properties",
    "x.xml",
    "x.jsonl",
    "x.ipynb",
    "x.out",
    "x.err",
    "x.tsv",
    "x.svg",
    "x.pem",
    "x.tex",
    "Dockerfile",
    "x.log.1",
    "x.bak",
    "x.bin",
)
ENCODINGS = ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


def redacted(path):
    redacted_files.redact(path, Redactor())
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_text_is_told_by_its_content(tmp_path, name):
    (tmp_path / name).write_text(TEXT)
    assert redacted(tmp_path / name).read_text() == CLEAN


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_text_keeps_its_encoding(tmp_path, encoding):
    text = TEXT if encoding not in ("utf-16-le", "utf-16-be") else TEXT.replace("设置", "set up what is needed")
    (tmp_path / "x").write_bytes(text.encode(encoding))
    assert redacted(tmp_path / "x").read_bytes().decode(encoding) == text.replace(SECRET, "[redacted]")


@pytest.mark.parametrize(("packed", "wide"), [(False, False), (True, False), (False, True)])
def test_every_usual_form_is_caught_in_files(tmp_path, packed, wide):
    for number, (name, draw) in enumerate(SAMPLES.items()):
        text, secrets = draw(Draw(number))
        content = f"start\n{text}\nend of it\n".encode("utf-16" if wide else "utf-8")
        (tmp_path / "file").write_bytes(gzip.compress(content) if packed else content)
        after = redacted(tmp_path / "file").read_bytes()
        after = gzip.decompress(after) if packed else after
        clean = after.decode("utf-16" if wide else "utf-8")
        assert not [secret for secret in secrets if secret in clean], name


def test_json_stays_json_and_a_command_loses_its_password(tmp_path):
    document = {
        "command": ["login", "--password", SECRET],
        "n": 1e5,
        f"hf_{SECRET}": 1,
        "env": [{"name": "DB_PASSWORD", "value": SECRET}],
    }
    (tmp_path / "x").write_text(json.dumps(document))
    clean = json.loads(redacted(tmp_path / "x").read_text())
    assert clean["command"] == ["login", "--password", "[redacted]"] and clean["n"] == 1e5
    assert clean["env"] == [{"name": "DB_PASSWORD", "value": "[redacted]"}] and SECRET not in str(clean)


def test_a_key_that_a_notebook_has_line_by_line_goes(tmp_path):
    text, _ = Draw(3).pem()
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": [{"source": f"key = {text}\nx = 1\n".splitlines(True)}]}))
    cells = json.loads(redacted(tmp_path / "x.ipynb").read_text())["cells"]
    assert cells == [{"source": ["key = [redacted]\n", "\n", "x = 1\n"]}]


def test_a_secret_of_kubernetes_keeps_its_names_alone(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps({"kind": "Secret", "data": {"dsn": SECRET}, "stringData": {"a": "b"}}))
    clean = json.loads(redacted(tmp_path / "x.json").read_text())
    assert clean == {"kind": "Secret", "data": {"dsn": "[redacted]"}, "stringData": {"a": "[redacted]"}}
    for text in ("kind: Secret\nmetadata:\n  name: x\ndata:\n  dsn: @\n", "data:\n  dsn: @\nkind: Secret\n"):
        (tmp_path / "x.yaml").write_text(text.replace("@", SECRET))
        assert SECRET not in redacted(tmp_path / "x.yaml").read_text()


def test_a_table_of_passwords_loses_its_rows(tmp_path):
    (tmp_path / "x.csv").write_text(f"user,password\nanna,{SECRET}\nbert,{SECRET[::-1]}\n\nstep,loss\n1,2\n")
    assert redacted(tmp_path / "x.csv").read_text() == "user,password\n[redacted]\nstep,loss\n1,2\n"


def test_a_text_too_large_for_the_memory_goes_through_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(redacted_files, "AT_ONCE", 1000)
    monkeypatch.setattr(redacted_files, "PIECE", 100)
    (tmp_path / "x").write_text(TEXT * 100)
    (tmp_path / "x").chmod(0o640)
    assert redacted(tmp_path / "x").read_text() == CLEAN * 100
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640 and len(list(tmp_path.iterdir())) == 1


def test_what_is_no_text_is_left_as_it_is(tmp_path):
    contents = {
        "x.npz": b"PK\x03\x04" + bytes(20) + TEXT.encode(), "x.png": b"\x89PNG\r\n\x1a\n\0\0\0" + TEXT.encode(),
        "x.pdparams": bytes(range(256)) * 9 + TEXT.encode(), "x.gz": b"\x1f\x8b" + TEXT.encode(), "empty": b"",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert redacted(tmp_path / name).read_bytes() == content


def test_a_link_leads_nowhere(tmp_path):
    (tmp_path / "outside").write_text(TEXT)
    (tmp_path / "link").symlink_to(tmp_path / "outside")
    redacted(tmp_path / "link")
    assert (tmp_path / "outside").read_text() == TEXT


def test_names_lose_their_secrets_and_no_file_is_lost(tmp_path):
    folder = tmp_path / "run" / f"hf_{SECRET}"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}-hf_{SECRET[::-1]}.txt").write_text("fine")
    (folder / f"hf_{SECRET}").write_text("one")
    (folder / f"hf_{SECRET[1:]}").write_text("two")
    redact_files(tmp_path / "run", Redactor())
    names = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert names == [
        f"run/[redacted]/{name}" for name in ("0-[redacted].txt", "1-[redacted].txt", "[redacted]", "[redacted]-2")
    ]
