"""YAML files: whatever keeps one from being read is said in three lines, with the line where there is one."""

import pytest

from harness.catalogue import yamltext
from harness.errors import DataFileError


def refusal(path):
    with pytest.raises(DataFileError) as caught:
        yamltext.load(path, "a.yaml")
    assert len(str(caught.value).splitlines()) == 3
    return caught.value.what


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: [1, 2\n", "a.yaml:3: not valid YAML"),
        ("a:\n\tb: 1\n", "a.yaml:2: not valid YAML"),
        ("a: 1\nb: *none\n", "a.yaml:2: not valid YAML"),
        ("a: 1\nb: !!python/object:os.system x\n", "a.yaml:2: not valid YAML"),
        ("a: 1\nb: 2026-99-99\n", "a.yaml:2: a value that is none"),
        ("a: 1\nb:\n  - c: !!int abc\n", "a.yaml:3: a value that is none"),
        ("a: 1\nb: " + "9" * 5000 + "\n", "a.yaml:2: a value that is none"),
        ("a: 1\nb: &b\n  - *b\n", "a.yaml:3: *b stands within itself"),
        ("a: 1\nb: " + "[" * 60 + "]" * 60 + "\n", "a.yaml:2: nested too deeply"),
        ("a: 1\nb: " + "[" * 9000 + "\n", "a.yaml:2: nested too deeply"),
        ("a: 1\n---\nb: 1\n", "not valid YAML"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, says):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert says in refusal(path)


def test_what_is_no_file_or_no_text_is_refused(tmp_path):
    assert "it cannot be read" in refusal(tmp_path), "a folder"
    link = tmp_path / "link.yaml"
    link.symlink_to("link.yaml")
    assert "it cannot be read" in refusal(link), "a link to itself"
    path = tmp_path / "gbk.yaml"
    path.write_bytes("名称: 昇腾".encode("gbk"))
    assert "not UTF-8" in refusal(path)


def test_a_sound_file_is_read_with_its_lines(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("base: &b {c: 1}\na: {<<: *b, c: 2}\n")
    document, tree = yamltext.load(path)
    assert document["a"] == {"c": 2} and tree.value[1][0].start_mark.line == 1
