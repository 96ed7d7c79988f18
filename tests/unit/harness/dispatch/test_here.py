"""Here: what this machine has, each version of Paddle on wheels of it that suit the cards."""

import pytest

from harness.catalogue import entries
from harness.dispatch.dispatcher import RunRequest
from harness.dispatch.here import Here
from harness.errors import HardwareError

BOOK = entries.load()


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """An nvidia-smi that shows one card."""

    def shows(card: str) -> None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\necho '{card}'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return shows


def variants(paddle):
    request = RunRequest(catalogue=BOOK, parts=[BOOK.parts["1"]], hw="cuda", on="local", paddle=paddle)
    return [
        (entry.finding.paddle, entry.cell.hardware.data["wheels"]["variant"]) for entry in Here().plan(request).entries
    ]


def test_the_version_that_was_asked_for_chooses_the_wheels(smi):
    smi("0, NVIDIA GeForce RTX 5090, 575.57.08, 12.0, 32607 MiB, 0 MiB")
    assert variants("3.3.1") == [("3.3.1", "cu129")]
    with pytest.raises(HardwareError, match=r"cu129 of Paddle >=3\.2\.0 has"):
        variants("3.0.0")


def test_of_several_versions_each_has_its_own(smi):
    smi("0, NVIDIA A100-SXM4-80GB, 535.129.03, 8.0, 81920 MiB, 0 MiB")
    assert variants("3.0.0,3.3.1") == [("3.0.0", "cu118"), ("3.3.1", "cu118")]
    smi("0, NVIDIA A100-SXM4-80GB, 570.86.10, 8.0, 81920 MiB, 0 MiB")
    assert variants("3.3.1,3.0.0") == [("3.3.1", "cu126"), ("3.0.0", "cu126")]
