"""upload, download, sync and `matrix --from`, as a person types them; a folder is the store."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkouts import ROOT, Checkout, copy_of_this_checkout
from s3_server import free_ports


@pytest.fixture
def other(tmp_path: Path) -> Checkout:
    """A second machine's checkout."""
    return copy_of_this_checkout(tmp_path / "other")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """The stores' folders: one that is not there may be a slip, and is not made."""
    for name in ("store", "first", "second", "disk"):
        (tmp_path / name).mkdir()


def test_a_team_shares_its_records_over_a_folder(checkout: Checkout, other: Checkout, tmp_path: Path) -> None:
    store = str(tmp_path / "shared")
    checkout("run", "--task", "1")
    other("run", "--task", "1")
    refused = checkout("upload", "--to", store)
    assert refused.returncode == 2 and "mkdir -p" in refused.stderr and not (tmp_path / "shared").exists()
    (tmp_path / "shared").mkdir()
    done = checkout("upload", "--to", store)
    assert done.returncode == 0 and "Uploaded 1 record" in done.stdout and "\x1b" not in done.stdout + done.stderr
    assert "Uploaded nothing" in checkout("upload", "--to", store).stdout
    done = other("sync", "--with", store)
    assert "Uploaded 1 record" in done.stdout and "Downloaded 1 record" in done.stdout
    assert "Downloaded 1 record" in checkout("download", "--from", store).stdout
    assert checkout("verify").returncode == 0 and other("verify").returncode == 0
    assert len(checkout.records()) == len(other.records()) == 2


def test_a_matrix_of_several_stores_counts_each_record_once(
    checkout: Checkout, other: Checkout, tmp_path: Path
) -> None:
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    other("run", "--task", "1")
    other("upload", "--to", first)
    other("upload", "--to", second)
    document = json.loads(checkout("matrix", "--format", "json", "--from", f"{first},{second}").stdout)
    assert document["points"]["earned"] == 3 and document["damaged"] == []
    assert json.loads(checkout("matrix", "--format", "json").stdout)["points"]["earned"] == 0
    assert not checkout.results.exists()


def test_a_store_stands_in_the_settings(checkout: Checkout, tmp_path: Path) -> None:
    checkout("run", "--task", "1")
    assert "to " + str(checkout.folder / "store") in checkout("upload", "--dry-run").stdout
    (checkout.folder / "store.yaml").write_text(f"default: disk\nstores: {{disk: {tmp_path / 'disk'}}}\n")
    assert f"to {tmp_path / 'disk'}" in checkout("upload").stdout
    assert list((tmp_path / "disk").glob("sealed/1/cpu/*/record.json"))


def test_a_record_that_does_not_hold_stays_here_with_code_6(checkout: Checkout, tmp_path: Path) -> None:
    checkout("run", "--task", "1")
    next(checkout.results.glob("1/cpu/*/metrics.json")).write_text("{}")
    done = checkout("upload", "--to", str(tmp_path / "store"))
    assert done.returncode == 6 and "metrics.json: changed since it was sealed" in done.stderr
    assert not list((tmp_path / "store").rglob("record.json"))


def test_a_store_that_fails_is_code_7_in_three_lines(checkout: Checkout) -> None:
    (port,) = free_ports(1)
    address = f"s3://team?service=minio&endpoint=http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1", "PATH": "/usr/bin:/bin"}
    done = checkout("upload", "--to", address, env=keys)
    assert done.returncode == 7 and "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert lines[0].startswith("s3://team at http://127.0.0.1") and lines[1] == "Nothing answers there."
    assert checkout("download", "--from", "s3://team?service=bso").returncode == 2
    done = checkout("download", "--from", "./nowhere")
    assert done.returncode == 2 and "no such folder" in done.stderr


def test_commands_that_need_no_store_do_not_load_boto3() -> None:
    code = "import tasks, harness.stores, sys; sys.exit('boto3' in sys.modules or 'tqdm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
