"""The pages that commands write."""

import os

import pytest

from harness.cli import evidence


def test_a_page_that_cannot_be_written_is_named_and_the_one_before_stays(tmp_path):
    page = tmp_path / "report.html"
    evidence._write_page(page, "before \ud800")
    (tmp_path / f".report.html.{os.getpid()}").mkdir()  # so that nothing can be written there, as on a full disk
    with pytest.raises(OSError) as caught:
        evidence._write_page(page, "after")
    assert caught.value.filename == str(page) and page.read_text() == "before \\ud800"
