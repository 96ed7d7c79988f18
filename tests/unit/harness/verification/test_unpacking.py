"""Unpacking: whatever a zip from a stranger is made of, nothing leaves its folder, fills the disk, or is run."""

import io
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import a_catalogue

from harness.errors import VerificationError
from harness.publish.packs.archive import MANIFEST
from harness.verification import unpacking

BOOK = a_catalogue()


def a_zip(*entries, method=zipfile.ZIP_STORED):
    """A zip of (name or ZipInfo, content) pairs and a manifest."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for entry, content in [(MANIFEST, b"{}"), *entries]:
            archive.writestr(entry, content)
    return target.getvalue()


def info(name, mode=0, method=zipfile.ZIP_STORED):
    entry = zipfile.ZipInfo("x")
    entry.filename, entry.external_attr, entry.compress_type, entry.create_system = name, mode << 16, method, 3
    return entry


@pytest.fixture
def unpack(tmp_path):
    """Unpack bytes below a folder of its own; what it refuses is returned, and that nothing lies outside is checked."""

    def attempt(content):
        outside = tmp_path / "outside"
        (outside / "root").mkdir(parents=True, exist_ok=True)
        file = tmp_path / "pack.zip"
        file.write_bytes(content)
        with pytest.raises(VerificationError) as caught:
            unpacking.unpack(file, outside / "root")
        assert [path.name for path in outside.iterdir()] == ["root"]
        return str(caught.value)

    return attempt


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "a/../../evil", "/etc/evil", "//server/evil", "C:/evil", "C:evil", "a\\..\\evil", "..\\evil", ".",
        "..", "a//b", "a/", "", "a/./b", "evil\n", "ev\x1bil", "a\x00b", "evil.", "evil ", "a?b",
        "x" * 300, "é" * 150,
    ],
)  # fmt: skip
def test_names_that_could_leave_the_folder_are_refused(unpack, name):
    assert "not a name that a pack has" in unpack(a_zip((info(name), b"x")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_pipes_and_devices_are_refused(unpack, kind):
    assert "not a plain file" in unpack(a_zip((info("evil", kind | 0o777), b"/etc/passwd")))


@pytest.mark.parametrize("names", [("a", "a"), ("a", "A"), ("é", "e\u0301"), ("a/b", "A/b")])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice_are_refused_also_where_only_some_systems_see_it(unpack, names):
    assert "it is there twice" in unpack(a_zip(*((info(name), b"x") for name in names)))


def test_a_file_where_a_folder_must_be_is_refused(unpack):
    assert "refused" in unpack(a_zip((info("a"), b"x"), (info("a/b"), b"x")))


def test_a_bomb_by_its_ratio_is_refused_at_once(unpack):
    start = time.monotonic()
    assert "times its size" in unpack(a_zip((info("zeros", method=zipfile.ZIP_DEFLATED), bytes(20 * 2**20))))
    assert time.monotonic() - start < 10


def test_too_much_in_all_and_too_many_files_are_refused(unpack, monkeypatch):
    monkeypatch.setattr(unpacking, "BYTES", 1000)
    assert "unpacks to more than" in unpack(a_zip((info("a"), bytes(600)), (info("b"), bytes(600))))
    monkeypatch.setattr(unpacking, "FILES", 3)
    assert "at most 3 are taken" in unpack(a_zip(*((info(f"{number}"), b"") for number in range(3))))


def directory_entries(content):
    """Where each entry of the table of contents begins."""
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        yield place
        place = content.find(b"PK\x01\x02", place + 4)


def test_files_that_share_their_bytes_are_refused(unpack):
    content = bytearray(a_zip((info("a"), b"x" * 5000), (info("b"), b"x" * 5000)))
    _, first, second = directory_entries(bytes(content))
    content[second + 42 : second + 46] = content[first + 42 : first + 46]
    assert "shares its bytes" in unpack(bytes(content))


@pytest.mark.parametrize("size", [1, 10**6])
def test_a_file_that_is_longer_or_shorter_than_it_says_is_refused(unpack, size):
    content = bytearray(a_zip((info("a", method=zipfile.ZIP_DEFLATED), b"abc" * 100)))
    *_, last = directory_entries(bytes(content))
    content[last + 24 : last + 28] = struct.pack("<I", size)
    assert "refused" in unpack(bytes(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(unpack, method):
    assert "neither stored nor deflated" in unpack(a_zip((info("a", method=method), b"x" * 99)))


def test_an_encrypted_file_is_refused(unpack):
    content = bytearray(a_zip((info("a"), b"x")))
    *_, last = directory_entries(bytes(content))
    content[last + 8] |= 1
    assert "encrypted" in unpack(bytes(content))


def test_a_zip_that_is_no_pack_is_refused(unpack):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("a", b"x")
    assert "there is no manifest.json" in unpack(target.getvalue())
    for content in (b"", b"PK", b"no zip", target.getvalue()[:-8], bytes(10**5)):
        assert "refused" in unpack(content)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(VerificationError, match="refused"):
        unpacking.verify(tmp_path / "none.zip", BOOK)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_zip_is_refused_or_unpacks_within_the_folder(tmp_path_factory, data):
    folder = Path(tmp_path_factory.mktemp("damage"))
    content = bytearray(a_zip((info("a/b", method=zipfile.ZIP_DEFLATED), b"text " * 50), (info("c"), b"x")))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "pack.zip").write_bytes(content)
    (folder / "root").mkdir()
    try:
        unpacking.unpack(folder / "pack.zip", folder / "root")
    except VerificationError as error:
        assert "refused" in str(error)
    assert sorted(path.name for path in folder.iterdir()) == ["pack.zip", "root"]


def test_a_file_larger_than_it_says_stops_at_what_it_says():
    entry = info("a")
    entry.file_size = 10
    target = io.BytesIO()
    with pytest.raises(zipfile.BadZipFile, match="longer"):
        unpacking._copy(io.BytesIO(b"x" * 2**21), target, entry)
    assert target.getvalue() == b""
