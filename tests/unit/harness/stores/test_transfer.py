"""Transfers: what is told of one, and that no two downloads meet. What they carry: integration/test_stores.py."""

import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import a_record

from harness.errors import StoreError, VerificationError
from harness.evidence.sealed import ATTACHMENT, RECORD, Sealed, here
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.stores.store import PARALLEL
from harness.stores.transfer import Outcome, each, require_all, summary

RUN, PHOTO = Sealed(RECORD, "4/cpu/x"), Sealed(ATTACHMENT, "attached/4/x")


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(), "Sent nothing to s3://team; 0 were there."),
        (Outcome(there=1), "Sent nothing to s3://team; 1 was there."),
        (Outcome([RUN], 0, 2**20 * 3 // 2), "Sent 1 record (1.5 MiB) to s3://team; 0 were there."),
        (Outcome([RUN, PHOTO, RUN], 30), "Sent 2 records and 1 attachment to s3://team; 30 were there."),
    ],
)
def test_a_transfer_is_told_in_a_line(outcome: Outcome, said: str) -> None:
    assert summary(outcome, "Sent", "to s3://team") == said


def test_of_many_that_were_refused_ten_are_named() -> None:
    require_all(Outcome(), "sent")
    refused = {str(number): f"record {number}:\nit does not hold" for number in range(10)}
    with pytest.raises(VerificationError) as ten:
        require_all(Outcome(refused=refused), "sent")
    assert str(ten.value).startswith("10 not sent; the others were.\nrecord 0: it does not hold\n")
    assert "record 9: it does not hold\n" in str(ten.value) and "more" not in str(ten.value)
    with pytest.raises(VerificationError) as eleven:
        require_all(Outcome(refused={**refused, "10": "record 10"}), "sent")
    assert "record 10" not in str(eleven.value) and "\n… and 1 more\n" in str(eleven.value)


def test_the_bytes_that_moved_are_counted(results: Path, tmp_path: Path) -> None:
    folder = a_record(results)
    size = sum(path.stat().st_size for path in folder.iterdir())
    store = open_store(str(tmp_path / "store"))
    assert transfer.upload(results, store, dry_run=True).bytes == size
    assert transfer.upload(results, store).bytes == size
    assert transfer.upload(results, store).bytes == 0
    assert transfer.download(tmp_path / "elsewhere", store).bytes == size


def test_two_downloads_into_one_folder_do_not_meet(results: Path, tmp_path: Path) -> None:
    a_record(results)
    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    incoming = tmp_path / "elsewhere" / ".incoming"
    incoming.mkdir(parents=True)
    with (incoming / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="Another download is going on here"):
            transfer.download(tmp_path / "elsewhere", store)
    assert len(transfer.download(tmp_path / "elsewhere", store).moved) == 1


def test_a_folder_that_is_no_record_is_not_written_over_and_the_others_come(results: Path, tmp_path: Path) -> None:
    names = [a_record(results).name for _ in range(2)]
    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    mine = tmp_path / "elsewhere" / "4" / "cpu" / names[0] / "mine"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    outcome = transfer.download(tmp_path / "elsewhere", store)
    assert [sealed.place for sealed in outcome.moved] == [f"4/cpu/{names[1]}"]
    (why,) = outcome.refused.values()
    assert "its files have no place" in why and f"{mine.parent}: a folder without a manifest" in why
    assert os.listdir(mine.parent) == ["mine"]


def test_those_that_are_wanted_come_and_what_the_store_lacks_is_passed_over(results: Path, tmp_path: Path) -> None:
    for _ in range(3):
        a_record(results)
    first, second, third = here(results)
    store = open_store(str(tmp_path / "store"))
    transfer.upload(results, store)
    absent = Sealed(RECORD, "4/cpu/20200101T000000.000Z-000000")
    there = tmp_path / "elsewhere"
    assert transfer.download_those(there, store, [absent]).moved == []
    assert transfer.download_those(there, store, [third, absent, first]).moved == [third, first]
    again = transfer.download_those(there, store, [first, second])
    assert (again.moved, again.there) == ([second], 1)


def test_items_move_at_once_and_come_back_in_order() -> None:
    together = threading.Barrier(PARALLEL)

    def move(number: int) -> int:
        together.wait(timeout=20)
        return number * number

    assert [(item, future.result()) for item, future in each(range(PARALLEL), move)] == [
        (number, number * number) for number in range(PARALLEL)
    ]


def test_no_more_items_are_asked_for_than_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a million keys are listed, and kept, before the first one has moved."""
    monkeypatch.setattr(transfer, "AHEAD", 4)
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    moving = each(items(), lambda number: number)
    assert next(moving)[0] == 0 and asked == [0, 1, 2, 3]
    assert [item for item, _ in moving] == list(range(1, 100))
