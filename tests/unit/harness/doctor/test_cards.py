"""The doctor's lines of a kind: what cannot be read is not judged, what does not fit is named with its remedy."""

import grp
from pathlib import Path
from types import SimpleNamespace

import pytest
from samples import a_kind

from harness.catalogue import entries
from harness.doctor import cards
from harness.machine.devices import Card
from harness.machine.probe import Finding


def a_finding(driver="23.0.3", left_out=(), busy="", model="Abacus 1", **data):
    card = Card(index="0", model=model, driver=driver, busy=busy)
    return Finding(a_kind("abacus", "accelerator", vendor="Abacus", **data), (card,), (), tuple(left_out))


def line(lines, subject):
    (found,) = [each for each in lines if each.subject == subject]
    return found


@pytest.mark.parametrize(
    ("driver", "fits"),
    [("24.1.rc2.1", True), ("25.0.rc1.1", False), ("22.9", False), (None, None), ("V100R001", None)],
)
def test_a_driver_is_judged_by_its_numbers_within_both_ends_or_not_at_all(driver, fits):
    (found,) = cards.driver(a_finding(driver, requires={"driver": ">=23.0.3,<25"}))
    assert found.fits is fits and ("not judged" in found.found) is (fits is None)


@pytest.mark.parametrize(
    ("driver", "fits"), [("5.0.21.26", True), ("5.0.10", False), ("515.58", None), ("5.19.0.0", None)]
)
def test_a_driver_that_is_numbered_otherwise_than_the_range_is_not_judged(driver, fits):
    requires = {"driver": ">=5.0.21.26", "driver_scheme": r"5\.0(\.\d+)+"}
    (found,) = cards.driver(a_finding(driver, requires=requires))
    assert found.fits is fits and ("numbered otherwise, not judged" in found.found) is (fits is None)


def test_a_pair_takes_no_driver_that_is_numbered_otherwise():
    requires = {"driver_scheme": r"5\.0(\.\d+)+", "pairs": [PAIR | {"then": {"driver": "<6"}}]}
    fits = [
        cards.pairs_in_image(a_finding(driver, requires=requires), {"SDK": "8.0"})[0].fits
        for driver in ("5.0.1", "5.19")
    ]
    assert fits == [True, None]


def test_every_sdk_is_looked_for_and_one_that_cannot_be_read_is_not_judged(tmp_path):
    (tmp_path / "one").write_text("version=8.0.0")
    (tmp_path / "other").write_text("nothing of the kind")
    wanted = {"version": ">=8,<8.1", "read": r"version=(?P<version>\S+)"}
    sdks = [
        {"name": "One", "files": [f"{tmp_path}/one"], **wanted},
        {"name": "Other", "files": [f"{tmp_path}/other"], **wanted},
        {"name": "Library", "files": [f"{tmp_path}/lib*.so"]},
    ]
    found = cards.sdks({"requires": {"sdks": sdks}})
    assert [each.fits for each in found] == [True, None, False]
    assert found[2].found == f"not found: {tmp_path}/lib*.so"


PAIR = {"where": {"SDK": ">=8,<9"}, "then": {"driver": "<24"}, "otherwise": "It hangs; install driver 23."}


@pytest.mark.parametrize(
    ("sdk", "driver", "fits"),
    [
        ("8.0", "23.0.3", [True]),
        ("8.0", "24.1", [False]),
        ("9.1", "24.1", []),
        ("?", "24.1", []),
        ("8.0", None, [None]),
    ],
)
def test_what_has_to_fit_together_is_judged_where_both_are_known(tmp_path, sdk, driver, fits):
    (tmp_path / "sdk").write_text(sdk)
    known = {"name": "SDK", "files": [f"{tmp_path}/sdk"], "read": r"(?P<version>[\d.]+)"}
    found = cards.pairs(a_finding(driver, requires={"sdks": [known], "pairs": [PAIR]}))
    assert [each.fits for each in found] == fits
    assert all(each.remedy == "It hangs; install driver 23." for each in found)


@pytest.mark.parametrize(("held", "fits"), [({"SDK": "8.0"}, [False]), ({}, []), ({"SDK": "7.0"}, [])])
def test_the_sdk_of_an_image_is_held_against_this_machines_driver(held, fits):
    found = cards.pairs_in_image(a_finding("24.1", requires={"pairs": [PAIR]}), held)
    assert [each.fits for each in found] == fits
    assert all(each.needed_for == ("container",) for each in found)


def test_cards_left_out_and_busy_ones_are_said_and_are_no_fault():
    sick = Card(index="1", model="Abacus 1", fault="health Alarm")
    lines = cards.lines(a_finding(left_out=[sick], busy="process 7"))
    assert line(lines, "cards").fits is True
    assert line(lines, "cards left out").found == "1 (Abacus 1): health Alarm"
    assert line(lines, "cards that are busy").found == "0: process 7"
    assert not [each for each in lines if each.fits is False and each.subject.startswith("cards")]


def test_a_chip_that_nobody_knows_is_named_and_not_judged():
    finding = a_finding(model="Abacus 2", chips=[{"name": "Abacus 1", "model": "Abacus 1"}])
    found = line(cards.lines(finding), "chip")
    assert found.fits is None and found.found.startswith("Abacus 2: not in hardware/abacus")
    assert cards.heading(finding) == "Abacus (abacus)"
    assert cards.heading(a_finding(chips=[{"name": "Abacus 1", "model": "Abacus 1"}])) == "ABACUS"


def test_where_no_card_can_be_used_the_chips_remedy_is_told_and_not_the_drivers():
    chips = [{"name": "Abacus 0", "model": "Abacus 0", "lacks": "no kernels.", "remedy": "Take another."}]
    old = Card(index="0", model="Abacus 0", fault="Abacus 0: no kernels.")
    finding = Finding(a_kind("abacus", "accelerator", chips=chips), (), (), (old,))
    found = line(cards.lines(finding), "cards")
    assert (found.fits, found.remedy) == (False, "Take another.") and "Abacus 0: no kernels" in found.found


# Who may open the device files


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two device files, of which this user may open none."""
    for number in range(2):
        (tmp_path / f"card{number}").touch()
    monkeypatch.setattr(cards.os, "access", lambda path, mode: False)
    return f"{tmp_path}/card*"


@pytest.mark.parametrize(
    ("mode", "group", "uses", "says"),
    [
        (0o660, grp.getgrnam("video").gr_gid, ("local",), "sudo usermod -aG video "),
        (0o660, 61999, ("local",), "sudo groupadd --gid 61999 cards61999; sudo usermod -aG cards61999 "),
        (0o600, 61999, ("local", "container"), "sudo chgrp video "),
        (0o660, 0, ("local", "container"), "sudo chgrp video "),
    ],
)
def test_device_files_that_cannot_be_opened_are_named_with_the_group_to_join(
    files, monkeypatch, mode, group, uses, says
):
    about = SimpleNamespace(st_mode=0o020000 | mode, st_gid=group)
    monkeypatch.setattr(cards.os, "stat", lambda path: about)
    (found,) = cards.access({"device_files": [files], "container": {"devices": [files]}})
    assert found.fits is False and found.needed_for == uses
    assert found.remedy.startswith(says) and found.found.count("card0") == 1


def test_files_of_several_groups_are_each_named_with_theirs(files, monkeypatch):
    numbers = {"card0": grp.getgrnam("video").gr_gid, "card1": 61999}
    monkeypatch.setattr(
        cards.os, "stat", lambda path: SimpleNamespace(st_mode=0o020660, st_gid=numbers[Path(path).name])
    )
    (found,) = cards.access({"device_files": [files]})
    assert "card0 (crw-rw----, group video)" in found.found and "card1 (crw-rw----, group 61999)" in found.found
    assert "usermod -aG cards61999,video " in found.remedy


@pytest.mark.parametrize("kind", ["hygon", "metax", "mthreads"])
def test_a_node_of_the_folder_that_goes_into_a_container_is_looked_at_as_well(kind):
    """Who may open /dev/kfd and not /dev/dri/renderD128 has no card."""
    data = entries.load().hardware[kind].data
    assert "/dev/dri" in data["container"]["devices"] and "/dev/dri/renderD[0-9]*" in data["device_files"]


def test_a_user_without_a_name_goes_by_the_number(monkeypatch):
    monkeypatch.setattr(cards.os, "getuid", lambda: 61998)
    assert cards._join(["video"]) == "sudo usermod -aG video 61998, then log in anew."


def test_device_files_that_can_be_opened_are_counted_and_none_is_no_line(tmp_path):
    (tmp_path / "card0").touch()
    (found,) = cards.access({"container": {"devices": [f"{tmp_path}/card*"]}})
    assert found.fits is True and cards.access({"device_files": [f"{tmp_path}/none*"]}) == []


def test_wheels_that_only_a_build_makes_are_no_reason_to_look_at_an_index():
    finding = a_finding(wheels={"packages": ["paddle-abacus"], "source_only": True, "python": ["3.10"], "machines": []})
    found = line(cards.lines(finding), "wheels")
    assert found.fits is False and found.remedy == "Build the image from source, with --source."
