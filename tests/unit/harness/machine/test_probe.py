"""The probe: what listers print becomes cards, silence becomes a reason; the doctor compares versions."""

import stat
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import a_kind

from harness.catalogue import entries
from harness.errors import HardwareError
from harness.machine import probe
from harness.machine.devices import Card
from harness.machine.probe import Finding

CUDA = {
    "title": "Cards",
    "lister": {
        "command": ["smi"],
        "card": r"^(?P<index>\d+), (?P<model>.+), (?P<driver>[\d.]+), (?P<architecture>\d\.\d)$",
    },
    "architectures": {"9.0": "Hopper"},
}
SAMPLES = sorted((Path(__file__).resolve().parents[3] / "data" / "listers").glob("*.txt"))
KINDS = entries.load().hardware


@pytest.fixture
def lister(tmp_path, monkeypatch):
    """A tool named `lscpu` that does what a test says, first on PATH."""

    def write(script: str) -> None:
        path = tmp_path / "bin" / "lscpu"
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")

    return write


# Reading what a lister prints


def test_a_match_is_a_card_with_what_its_groups_say():
    cards = probe.read_cards(CUDA, "0, NVIDIA H200, 570.86, 9.0\n1, NVIDIA H200, 570.86, 9.0\nno card\n")
    assert cards[0] == Card(index="0", model="NVIDIA H200", driver="570.86", architecture="Hopper")
    assert [card.index for card in cards] == ["0", "1"]


def test_an_architecture_that_is_not_named_stays_as_it_was_printed():
    (card,) = probe.read_cards(CUDA, "0, New, 1.0, 9.9\n")
    assert card.architecture == "9.9"


def test_cards_without_an_index_are_counted_and_share_the_driver_that_stands_outside():
    lister = {"command": ["x"], "card": r"^Card (?P<model>.+)$", "driver": r"Driver (?P<driver>\S+)"}
    data = {"title": "Cards", "lister": lister}
    cards = probe.read_cards(data, "Driver 5.1\nCard A\nCard B  \n")
    assert [(card.index, card.model, card.driver) for card in cards] == [("0", "A", "5.1"), ("1", "B", "5.1")]


@given(data=st.data())
@settings(max_examples=150)
def test_any_output_gives_cards_with_a_model_or_none(data):
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    text = data.draw(st.sampled_from([path.read_text(encoding="utf-8") for path in SAMPLES]))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    output = text[:start] + data.draw(st.text(max_size=30)) + text[end:]
    for card in probe.read_cards(KINDS[kind].data, output):
        assert card.model.strip() and isinstance(card.index, str)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_long_output_without_cards_is_read_in_a_moment(name):
    start = time.monotonic()
    for line in ("| 0 ", "|" + " " * 200, "0, " * 80, "Model name" + " " * 200):
        assert probe.read_cards(KINDS[name].data, (line + "\n") * 2000) == ()
    assert time.monotonic() - start < 5


# Asking a lister


def test_a_lister_that_answers_gives_a_finding(lister):
    lister("#!/bin/sh\necho 'Model name:   Processor A'\n")
    finding = probe.probe(a_kind())
    assert finding and finding.model == "Processor A"
    assert finding.looked == ("lscpu: 1 found",)
    assert probe.require(finding) is finding


def test_a_lister_that_is_not_there_is_a_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = probe.probe(a_kind(category="accelerator", device_files=["/dev/no-such-card[0-9]*"]))
    assert not finding
    assert finding.looked == ("/dev/no-such-card[0-9]*: none", "lscpu: not on PATH")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo driver not loaded >&2; exit 9", "exit code 9, no card in its output; it said: driver not loaded"),
        ("echo No devices were found", "it said: No devices were found"),
        ("exit 0", "it said: nothing"),
        ("kill -9 $$", "exit code -9"),
        ("printf '\\377\\376'; exit 1", "exit code 1"),
        ("head -c 1000 /dev/zero | tr '\\0' x", "it said: " + "x" * 200),
    ],
)
def test_a_lister_without_a_card_says_why(lister, script, says):
    lister(f"#!/bin/sh\n{script}\n")
    finding = probe.probe(a_kind(category="accelerator"))
    assert not finding and says in finding.looked[-1]
    assert len(finding.looked[-1]) < 400


def test_a_lister_that_cannot_be_executed_is_a_reason(lister):
    lister("#!/no/such/interpreter\n")
    assert probe.probe(a_kind()).looked == ("lscpu: No such file or directory",)


def test_a_lister_that_hangs_is_left_after_its_time(lister, monkeypatch):
    monkeypatch.setattr(probe, "LISTER_SECONDS", 0.3)
    lister("#!/bin/sh\necho 'Model name: A'; exec sleep 30\n")
    start = time.monotonic()
    finding = probe.probe(a_kind(category="accelerator"))
    assert time.monotonic() - start < 5
    assert not finding and "no answer in 0.3 s" in finding.looked[-1]


def test_a_lister_speaks_english_and_reads_no_input(lister, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    lister('#!/bin/sh\necho "Model name: $LC_ALL$(cat)"\n')
    assert probe.probe(a_kind()).model == "C"


def test_hardware_that_is_not_here_is_refused_with_where_it_was_looked_for():
    with pytest.raises(HardwareError) as caught:
        probe.require(Finding(a_kind("ascend"), (), ("/dev/davinci*: none", "npu-smi: not on PATH")))
    assert caught.value.what == "No ASCEND on this machine."
    assert caught.value.why == "Looked for: /dev/davinci*: none; npu-smi: not on PATH."
    assert caught.value.remedy.endswith("Then: ./inv doctor --hw ascend")


# What cannot be used, and what has no name


def replaying(tmp_path, monkeypatch, name, output, place="bin"):
    """A tool of that name that prints `output`; nothing but a shell and cat beside it."""
    tool = tmp_path / place / name
    tool.parent.mkdir(parents=True, exist_ok=True)
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin")


def sample(name):
    return (Path(__file__).resolve().parents[3] / "data" / "listers" / f"{name}.txt").read_text(encoding="utf-8")


def test_sick_cards_are_left_out_and_said(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "npu-smi", sample("ascend-910B3-faults"))
    finding = probe.probe(KINDS["ascend"])
    assert [card.index for card in finding.cards] == ["2"]
    assert finding.faults == "0 (910B3): health Alarm; 1 (910B3): health Critical"


def test_a_sick_card_is_taken_where_the_shell_names_it_and_a_refusal_says_so(tmp_path, monkeypatch):
    output = sample("ascend-910B3-faults").replace("OK   ", "Alarm")
    replaying(tmp_path, monkeypatch, "npu-smi", output)
    variable = KINDS["ascend"].data["visible_devices"]
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(HardwareError, match="no card here can be used") as caught:
        probe.require(probe.probe(KINDS["ascend"]))
    assert f"{variable}=0 takes one all the same" in caught.value.remedy
    monkeypatch.setenv(variable, "1")
    assert [card.index for card in probe.visible_cards(probe.probe(KINDS["ascend"]))] == ["1"]


def test_a_machine_with_another_chip_of_the_vendor_is_told_its_name_and_what_to_do(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "npu-smi", sample("ascend-910A-910ProB"))
    finding = probe.probe(KINDS["ascend"])
    with pytest.raises(HardwareError) as caught:
        probe.require(finding)
    assert "910A: Paddle 3 has no kernels" in caught.value.why and "910B" not in str(caught.value)
    assert "--hw cpu" in caught.value.remedy and "Install the Ascend driver" not in caught.value.remedy


def test_a_sick_chip_without_kernels_is_not_said_to_be_taken_all_the_same(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "npu-smi", sample("ascend-910A-910ProB").replace("| OK   ", "| Alarm"))
    with pytest.raises(HardwareError) as caught:
        probe.require(probe.probe(KINDS["ascend"]))
    assert "910A: Paddle 3 has no kernels" in caught.value.why and "all the same" not in caught.value.remedy


def test_a_chip_without_kernels_is_named_before_its_driver_is_there(tmp_path, monkeypatch):
    folder = tmp_path / "bus" / "0000:01:00.0"
    folder.mkdir(parents=True)
    for name, value in (("vendor", "0x19e5"), ("device", "0xd801"), ("class", "0x120000")):
        (folder / name).write_text(value)
    monkeypatch.setattr(probe.pci.found, "__defaults__", (tmp_path / "bus",))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe, "FOLDERS", ())
    with pytest.raises(HardwareError, match="Huawei 910A: Paddle 3 has no kernels") as caught:
        probe.require(probe.probe(KINDS["ascend"]))
    assert "--hw cpu" in caught.value.remedy and "PCI bus: 0000:01:00.0 (910A)" in caught.value.why


def test_a_card_that_the_wheels_of_this_version_lack_is_told_those_that_have_it(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "nvidia-smi", sample("cuda-5090-laptop"))
    with pytest.raises(HardwareError) as caught:
        probe.require(probe.probe(KINDS["cuda"]))
    assert "cu129 of Paddle >=3.2.0 has" in caught.value.why and "--paddle" in caught.value.remedy


def test_a_tool_in_sbin_is_found(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "npu-smi", sample("ascend"), place="sbin")
    monkeypatch.setattr(probe, "FOLDERS", (str(tmp_path / "sbin"),))
    assert len(probe.probe(KINDS["ascend"]).cards) == 8


def test_other_calls_are_asked_where_the_first_shows_no_card(tmp_path, monkeypatch):
    script = (
        'case "$*" in *compute_cap*) echo "Field compute_cap is not a valid field to query.";;'
        ' *) echo "0, T4, 418.87, 15079 MiB";; esac'
    )
    replaying(tmp_path, monkeypatch, "nvidia-smi", "")
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    finding = probe.probe(KINDS["cuda"])
    assert [(card.model, card.driver) for card in finding.cards] == [("T4", "418.87")]
    assert "not a valid field" in finding.looked[-2]


def test_a_tool_that_is_missing_is_named_once_and_one_that_hangs_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe, "FOLDERS", ())
    assert probe.probe(KINDS["cuda"]).looked.count("nvidia-smi: not on PATH") == 1
    replaying(tmp_path, monkeypatch, "nvidia-smi", "")
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\necho x >> {tmp_path}/asked\nexec sleep 9\n")
    monkeypatch.setattr(probe, "LISTER_SECONDS", 0.3)
    assert not probe.probe(KINDS["cuda"]) and (tmp_path / "asked").read_text() == "x\n"


def test_there_is_always_a_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe, "FOLDERS", ())
    monkeypatch.setattr(probe.platform, "machine", lambda: "riscv64")
    finding = probe.probe(KINDS["cpu"])
    assert finding and finding.model.startswith("unnamed riscv64 of machine ")


def test_two_machines_without_a_name_are_not_of_one_model(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "lscpu", sample("cpu-arm-dash"))
    monkeypatch.setattr(probe.devices, "tables", lambda lister: [lister])
    models = []
    for text in ("one", "other"):
        monkeypatch.setattr(probe, "MACHINE_ID", tmp_path / text)
        (tmp_path / text).write_text(text)
        models.append(probe.probe(KINDS["cpu"]).model)
    assert models[0] != models[1] and all(model.startswith("unnamed aarch64 ARM of machine ") for model in models)


def test_busy_cards_are_not_taken_unless_they_are_named(tmp_path, monkeypatch):
    replaying(tmp_path, monkeypatch, "xpu-smi", sample("kunlun-p800-5.19"))
    finding = probe.probe(KINDS["kunlun"])
    monkeypatch.delenv("XPU_VISIBLE_DEVICES", raising=False)
    assert [card.index for card in probe.visible_cards(finding)] == ["1"]
    monkeypatch.setenv("XPU_VISIBLE_DEVICES", "0")
    assert [card.index for card in probe.visible_cards(finding)] == ["0"]


def numbered(*numbers):
    """What npu-smi lists on a machine with an empty slot, or in a container that has some of the cards."""
    head = sample("ascend").partition("| 0     910B3")[0]
    rows = "| {:<5} 910B3               | OK            | 93.6        40                0    / 0             |\n"
    rows += "| 0                         | 0000:C1:00.0  | 0           0    / 0          3314 / 65536         |\n"
    return head + "".join(rows.format(number) for number in numbers)


@pytest.mark.parametrize(("numbers", "places"), [((4, 5), "01"), ((0, 1, 3, 4), "0123"), ((0, 1, 2, 3), "0123")])
def test_where_a_runtime_counts_by_places_a_card_is_called_by_its_own(tmp_path, monkeypatch, numbers, places):
    """gpustack 3352, vllm-ascend 10227: CANN refuses, or drops, the numbers of npu-smi beyond the count of cards."""
    for name in ("ASCEND_RT_VISIBLE_DEVICES", "NPU_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    replaying(tmp_path, monkeypatch, "npu-smi", numbered(*numbers))
    cards = probe.probe(KINDS["ascend"]).cards
    assert [(card.index, card.called) for card in cards] == list(zip(map(str, numbers), places, strict=True))


def test_the_runtimes_variable_chooses_by_place_and_the_launchers_by_number(tmp_path, monkeypatch):
    for name in ("ASCEND_RT_VISIBLE_DEVICES", "NPU_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    replaying(
        tmp_path,
        monkeypatch,
        "npu-smi",
        numbered(0, 1, 3, 4).replace("| 1     910B3               | OK   ", "| 1     910B3               | Alarm"),
    )
    finding = probe.probe(KINDS["ascend"])
    assert [(card.index, card.called) for card in finding.cards] == [("0", "0"), ("3", "2"), ("4", "3")], (
        "a sick one has its place"
    )
    monkeypatch.setenv("ASCEND_RT_VISIBLE_DEVICES", "3")
    assert [card.index for card in probe.visible_cards(finding)] == ["4"]
    monkeypatch.delenv("ASCEND_RT_VISIBLE_DEVICES")
    monkeypatch.setenv("NPU_VISIBLE_DEVICES", "3")
    assert [card.index for card in probe.visible_cards(finding)] == ["3"]
