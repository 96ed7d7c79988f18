"""Chips: what a card is, whether the wheels have kernels for it, and which variant of them suits a machine."""

import pytest
from samples import a_kind

from harness.catalogue import entries
from harness.doctor import cards as doctor
from harness.machine import chips, devices, pci, probe
from harness.machine.devices import Card

BOOK = entries.load()
CHIPS = [
    {"name": "A1", "model": "A1.*", "pci": ["0001"]},
    {"name": "A0", "model": "A0.*", "pci": ["0002"], "lacks": "no kernels.", "remedy": "Take another."},
]


@pytest.fixture
def bus(tmp_path, monkeypatch):
    """A PCI bus with the devices that a test names, all of vendor 9abc."""

    def has(*devices):
        for number, device in enumerate(devices):
            folder = tmp_path / "bus" / f"0000:{number:02}:00.0"
            folder.mkdir(parents=True)
            for name, value in (("vendor", "0x9abc"), ("device", f"0x{device}"), ("class", "0x120000")):
                (folder / name).write_text(value)
        monkeypatch.setattr(pci.found, "__defaults__", (tmp_path / "bus",))

    return has


@pytest.mark.parametrize(("model", "name"), [("A1X", "A1"), ("A0", "A0"), ("A2", None)])
def test_a_chip_is_known_by_its_model_or_not_at_all(model, name):
    known = chips.chip({"chips": CHIPS}, Card(index="0", model=model))
    assert (known and known["name"]) == name


def test_only_what_data_says_is_lacking():
    lacking = [chips.lacking({"chips": CHIPS}, Card(index="0", model=model)) for model in ("A1", "A0", "A2")]
    assert lacking == ["", "A0: no kernels.", ""]


def test_a_card_without_a_name_is_called_as_the_bus_names_it_where_that_is_one_chip(bus):
    data = {"pci": {"vendors": ["9abc"]}, "chips": CHIPS}
    card = Card(index="0", model="unnamed", named=False)
    bus("0001", "0001")
    assert [each.model for each in chips.named(data, [card])] == ["A1"]
    assert chips.on_bus({"pci": {"vendors": ["1234"]}, "chips": CHIPS}) == {}


def test_of_two_chips_on_the_bus_none_is_guessed(bus):
    bus("0001", "0002")
    card = Card(index="0", model="unnamed", named=False)
    assert chips.named({"pci": {"vendors": ["9abc"]}, "chips": CHIPS}, [card]) == (card,)


# Variants of the wheels: NVIDIA's, as hardware/cuda names them


def chosen(paddle, *cards):
    found = [
        Card(index=str(number), model="GPU", driver=driver, architecture=architecture)
        for number, (driver, architecture) in enumerate(cards)
    ]
    kind, unfit = chips.choose(BOOK.hardware["cuda"], found, paddle)
    return kind.data["wheels"]["variant"], kind, unfit


@pytest.mark.parametrize(
    ("paddle", "driver", "architecture", "variant"),
    [
        ("3.0.0", "550.54.14", "Ampere", "cu126"),
        ("3.0.0", "470.82.01", "Ampere", "cu118"),
        ("3.0.0", "535.129.03", "Volta", "cu118"),
        ("3.3.1", "576.02", "Blackwell", "cu129"),
        ("3.3.1", "576.02", "Hopper", "cu126"),
        ("3.0.0", None, "Turing", "cu126"),
        ("3.0.0", "535.1", None, "cu118"),
        ("3.4.0.dev20261101", "576.02", "Blackwell", "cu129"),
        ("0.0.0", "576.02", "Blackwell", "cu129"),
        ("3.0.0rc1", "470.82.01", "Ampere", "cu118"),
    ],
)
def test_a_variant_is_chosen_by_driver_and_chip(paddle, driver, architecture, variant):
    name, kind, unfit = chosen(paddle, (driver, architecture))
    assert name == variant and unfit == {}
    assert f"/{variant}/" in kind.data["wheels"]["index"]


# Which wheels a card gets under each driver; in brackets those that it waits for, with a newer driver or Paddle.
DRIVERS = ("470.256.02", "525.147.05", "535.183.06", "550.127.08", "570.133.20", "580.95.05")
CHOICES = """
3.0.0 Tesla_V100-SXM2-32GB    7.0  cu118 cu118 cu118 cu126 cu126 cu126
3.0.0 Tesla_T4                7.5  cu118 cu118 cu118 cu126 cu126 cu126
3.0.0 NVIDIA_A100-SXM4-80GB   8.0  cu118 cu118 cu118 cu126 cu126 cu126
3.0.0 NVIDIA_GeForce_RTX_4090 8.9  cu118 cu118 cu118 cu126 cu126 cu126
3.0.0 NVIDIA_H800             9.0  (cu126) (cu126) cu126 cu126 cu126 cu126
3.0.0 NVIDIA_GeForce_RTX_5090 12.0 (cu126) (cu126) (cu126) (cu126) (cu126) (cu126)
3.0.0 NVIDIA_B200             10.0 (cu126) (cu126) (cu126) (cu126) (cu126) (cu126)
3.3.1 Tesla_V100-SXM2-32GB    7.0  cu118 cu118 cu118 cu126 cu126 cu126
3.3.1 Tesla_T4                7.5  cu118 cu118 cu118 cu126 cu126 cu126
3.3.1 NVIDIA_A100-SXM4-80GB   8.0  cu118 cu118 cu118 cu126 cu126 cu126
3.3.1 NVIDIA_GeForce_RTX_4090 8.9  cu118 cu118 cu118 cu126 cu126 cu126
3.3.1 NVIDIA_H800             9.0  (cu126) (cu126) cu126 cu126 cu126 cu126
3.3.1 NVIDIA_GeForce_RTX_5090 12.0 (cu129) (cu129) (cu129) (cu129) cu129 cu129
3.3.1 NVIDIA_B200             10.0 (cu129) (cu129) (cu129) (cu129) cu129 cu129
"""


@pytest.mark.parametrize("line", CHOICES.strip().splitlines())
def test_every_chip_under_every_driver_gets_wheels_that_run_or_is_told_what_they_wait_for(line):
    paddle, model, capability, *variants = line.split()
    model, kind = model.replace("_", " "), BOOK.hardware["cuda"]
    for driver, variant in zip(DRIVERS, variants, strict=True):
        cards = devices.read(kind.data, f"0, {model}, {driver}, {capability}, 81920 MiB, 4 MiB, [N/A]\n")
        finding = probe._sorted_out(kind, cards, (), paddle)
        told = [*doctor.cards(finding), *doctor.driver(finding)]
        refused = [each.found for each in told if each.fits is False]
        assert finding.hardware.data["wheels"]["variant"] == variant.strip("()"), driver
        assert bool(refused) == variant.startswith("("), driver
        wanted = ">=550.54.14 wanted" if capability == "9.0" else ">=570"
        assert not refused or wanted in str(refused), driver


def test_a_chip_without_kernels_is_told_which_wheels_have_them():
    _, _, unfit = chosen("3.0.0", ("576.02", "Blackwell"), ("576.02", "Ada"))
    assert list(unfit) == ["0"]
    assert "Blackwell: the wheels cu126 of Paddle 3.0.0 have no kernels" in unfit["0"]
    assert "cu129 of Paddle >=3.2.0 has, with driver >=570" in unfit["0"]


def test_the_images_and_the_driver_go_with_the_variant():
    _, kind, _ = chosen("3.0.0", ("470.82.01", "Ampere"))
    assert "cuda:11.8.0" in kind.data["image"]["base"] and kind.data["requires"]["driver"] == ">=450.80.02"


def test_a_kind_without_variants_stays_as_it_is():
    kind = a_kind("abacus", "accelerator")
    assert chips.choose(kind, [Card(index="0", model="A")], "3.0.0") == (kind, {})
