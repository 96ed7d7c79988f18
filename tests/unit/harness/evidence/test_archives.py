"""Archives: secrets go out of the texts and names in them; one without secrets keeps every byte."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest
from secretsamples import Draw

from harness.evidence.redacted_files import cleaned
from harness.evidence.redaction import Redactor

SECRET = Draw(7)("abcdef0123456789", 40)
TEXT = f"password={SECRET}\n".encode()
BYTES = bytes(range(256)) * 4


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


def files_of(content: bytes) -> dict[str, bytes]:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry))}


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
@pytest.mark.parametrize("archived", [None, tarred, zipped])
def test_what_is_packed_loses_its_secrets(module, archived):
    content = archived({"x": TEXT}) if archived else TEXT
    content = module.decompress(cleaned(module.compress(content), Redactor()))
    content = files_of(content)["x"] if archived else content
    assert content == b"password=[redacted]\n"


@pytest.mark.parametrize("archived", [zipped, tarred])
def test_an_archive_loses_its_secrets_and_nothing_else(archived):
    before = archived({"a/x.env": TEXT, "b.bin": BYTES, f"hf_{SECRET}": b"fine", "in.zip": zipped({"x": TEXT})})
    after = files_of(cleaned(before, Redactor()))
    assert files_of(after.pop("in.zip")) == {"x": b"password=[redacted]\n"}
    assert after == {"a/x.env": b"password=[redacted]\n", "b.bin": BYTES, "[redacted]": b"fine"}


@pytest.mark.parametrize("pack", [zipped, tarred, lambda files: gzip.compress(files["x"])])
def test_one_without_secrets_or_cut_off_keeps_every_byte(pack):
    whole = pack({"x": b"fine\n"})
    assert cleaned(whole, Redactor()) == whole
    cut = pack({"x": TEXT})[:-600]
    assert cleaned(cut, Redactor()) == cut or SECRET.encode() not in cleaned(cut, Redactor())
