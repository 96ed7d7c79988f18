"""docker/pins.json: read, added to, and refused by its name where it is broken."""

import pytest

from harness.environments import pins
from harness.errors import DataFileError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docker").mkdir()
    return tmp_path


def test_nothing_is_kept_at_first_and_what_is_resolved_is_added(root):
    assert pins.read(root) == {}
    pins.keep(root, {"debian:12": "debian@sha256:1"})
    pins.keep(root, {"a.whl": "ab"})
    assert pins.read(root) == {"debian:12": "debian@sha256:1", "a.whl": "ab"}


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b'{"a": 1}', b"\xff", b'{"a": "b"', b"[" * 3000],
    ids=["empty", "null", "list", "number", "bytes", "cut", "deep"],
)
def test_what_is_broken_is_refused_by_its_name(root, content):
    (root / pins.FILE).write_bytes(content)
    with pytest.raises(DataFileError, match=r"docker/pins\.json") as caught:
        pins.keep(root, {"a": "b"})
    assert len(str(caught.value).splitlines()) == 3
    assert (root / pins.FILE).read_bytes() == content, "nothing is lost"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")])
def test_a_folder_or_a_link_to_nowhere_is_refused_too(root, make):
    make(root / pins.FILE)
    with pytest.raises(DataFileError, match="not readable"):
        pins.read(root)
