"""The hardware files: each fits the schema, and its patterns read what the vendor's tool really prints."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from harness.catalogue import versions
from harness.machine import chips, devices

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests/data/listers"
SCHEMA = json.loads((ROOT / "harness/catalogue/schemas/hardware.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
KINDS = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "hardware").glob("*/hardware.yaml"))
}

# What a person reads in each sample: its kind is the part of the name before the first dash.
EXPECTED = yaml.safe_load((SAMPLES / "expected.yaml").read_text(encoding="utf-8"))


def read(sample, output=None):
    """The devices in a sample, or in another output by the patterns of its kind."""
    if output is None:
        output = (SAMPLES / f"{sample}.txt").read_bytes().decode("utf-8")
    return devices.read(KINDS[sample.partition("-")[0]], output)


def described(sample):
    """What is read in a sample, as expected.yaml has it."""
    data, found = KINDS[sample.partition("-")[0]], []
    for card in read(sample):
        known = chips.chip(data, card)
        fields = {"memory": card.memory, "driver": card.driver, "architecture": card.architecture}
        fields |= {"fault": card.fault, "busy": card.busy, "chip": known["name"] if known else None}
        fields |= {"kernels": False if known and "lacks" in known else None}
        told = {name: value for name, value in fields.items() if value not in ("", None)}
        found.append({"index": card.index, "model": card.model, **told})
    return found


@pytest.mark.parametrize("sample", EXPECTED)
def test_the_sample_reads_as_a_person_reads_it(sample):
    assert described(sample) == EXPECTED[sample]


def test_every_sample_is_expected_and_every_real_kind_has_one():
    assert {path.stem for path in SAMPLES.glob("*.txt")} == set(EXPECTED)
    real = {name for name, kind in KINDS.items() if kind["class"] != "simulated"}
    assert real == {sample.partition("-")[0] for sample in EXPECTED}


def test_an_indented_model_name_counts_and_each_kind_of_core():
    output = "CPU(s):        8\n  Model name:  Cortex-A55\n    Model:     0\n  Model name:  Cortex-A76\n"
    assert [card.model for card in read("cpu", output)] == ["Cortex-A55", "Cortex-A76"]


def test_the_hygon_driver_reads_as_text_too():
    found = re.search(KINDS["hygon"]["lister"]["driver"], "====\nDriver Version: 6.3.31-V1.5.0a\n====\n")
    assert found["driver"] == "6.3.31"


def test_another_vendors_card_in_the_same_form_is_none_of_this_kind():
    amd = '{"card0": {"Card Series": "AMD Instinct MI300X", "vram Total Memory (MiB)": "65520"}}'
    assert read("hygon", amd) == ()


def test_processes_on_an_ascend_card_are_not_cards():
    busy = "| 0       0                 | 692318        | python3            | 12417                | NA          |\n"
    assert read("ascend", busy) == ()


@pytest.mark.parametrize("kind", [name for name, kind in KINDS.items() if kind["class"] not in ("cpu", "simulated")])
def test_no_cards_in_what_another_tool_prints(kind):
    for sample in EXPECTED:
        if sample.partition("-")[0] != kind:
            assert read(kind, (SAMPLES / f"{sample}.txt").read_text(encoding="utf-8")) == (), sample


@pytest.mark.parametrize("name", KINDS)
def test_the_file_fits_the_schema(name):
    assert [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(KINDS[name])] == []
    assert KINDS[name]["name"] == name


GROUPS = {"index", "model", "driver", "architecture", "memory", "used", "share", "health", "said"}
GROUPS |= {"board", "chip", "bus", "part1", "part2"}


@pytest.mark.parametrize("name", KINDS)
def test_the_patterns_have_only_known_groups(name):
    for table in devices.tables(KINDS[name]["lister"]):
        for pattern in devices.patterns(table):
            assert set(re.compile(pattern).groupindex) <= GROUPS, pattern
        if "driver" in table:
            assert set(re.compile(table["driver"]).groupindex) == {"driver"}
    for sdk in KINDS[name].get("requires", {}).get("sdks", ()):
        assert set(re.compile(sdk.get("read", "(?P<version>)")).groupindex) == {"version"}


@pytest.mark.parametrize("name", [name for name in KINDS if "driver" in KINDS[name].get("requires", {})])
def test_the_drivers_of_the_samples_are_judged(name):
    """Each sample's driver is in the range or out of it; that a range fits none of them would be a slip."""
    wanted = KINDS[name]["requires"]["driver"]
    samples = [cards for sample, cards in EXPECTED.items() if sample.partition("-")[0] == name]
    drivers = {card["driver"] for cards in samples for card in cards if "driver" in card}
    assert any(versions.fits(driver, wanted) for driver in drivers), drivers


@pytest.mark.parametrize(
    "name, text, version",
    [
        ("ascend", "package_name=Ascend-cann-toolkit\nversion=8.0.0\ninnerversion=V100R001C20SPC001B251\n", "8.0.0"),
        ("ascend", "opp_running_version=[7.3:8.1]\ntoolkit_running_version=[7.3.0.1.231:8.0.RC2]\n", "8.0.RC2"),
        ("cambricon", "Neuware Version 3.9.0\n", "3.9.0"),
        ("hygon", "25.04.4\n", "25.04.4"),
        ("hygon", "DTK-26.04-rc4\n", "26.04"),
    ],
)
def test_the_sdk_version_reads(name, text, version):
    match = re.search(KINDS[name]["requires"]["sdks"][0]["read"], text, re.MULTILINE)
    assert match and match["version"] == version


def test_no_two_kinds_share_a_name():
    names = [name for kind in KINDS.values() for name in (kind["name"], *kind["aliases"])]
    assert sorted(names) == sorted(set(names))


def test_the_paddle_version_stands_elsewhere():
    for name, kind in KINDS.items():
        assert not any(re.search(r"[=<>]", package) for package in kind["wheels"]["packages"]), name


HEADINGS = {
    "README.md": ["Driver", "Environment or image", "Run", "Hand in", "Known traps", "Verified where"],
    "README.zh-CN.md": ["驱动", "软件环境或镜像", "运行", "提交", "已知陷阱", "验证情况"],
}


@pytest.mark.parametrize("page", HEADINGS)
@pytest.mark.parametrize("name", KINDS)
def test_every_guide_leads_from_the_bare_machine_to_the_first_points(name, page):
    text = (ROOT / "hardware" / name / page).read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:6] == HEADINGS[page]
    if name != "sim":
        for command in ("doctor", "build", "run", "attach", "pack", "verify"):
            assert f"./inv {command} " in text, command


@pytest.mark.parametrize("name", KINDS)
def test_a_guide_says_the_same_in_both_languages(name):
    """What is code, an address or a version stands in both."""
    texts = ((ROOT / "hardware" / name / page).read_text(encoding="utf-8") for page in HEADINGS)
    english, chinese = (re.sub(r"(?<!\n)\n(?!\n)", " ", text) for text in texts)
    missing = {each for each in re.findall(r"`[^`\n]+`", english) if each not in chinese}
    missing |= {each for each in re.findall(r"https?://[^\s)`;,]+", english) if each.rstrip(".:") not in chinese}
    assert missing <= {"`./inv doctor --log FILE`"}


# The schema teaches and refuses


def test_the_schema_is_a_schema_and_describes_every_property():
    Draft202012Validator.check_schema(SCHEMA)

    def undescribed(node, path=""):
        for name, child in node.get("properties", {}).items():
            if isinstance(child, dict):
                if "description" not in child:
                    yield f"{path}.{name}"
                yield from undescribed(child, f"{path}.{name}")

    described = {key: value for key, value in SCHEMA.items() if key not in ("if", "else")}
    assert list(undescribed(described)) == []


def broken(change):
    kind = copy.deepcopy(KINDS["ascend"])
    change(kind)
    return kind


@pytest.mark.parametrize(
    "change",
    [
        lambda kind: kind.update(visible_device="NPU_VISIBLE_DEVICES"),
        lambda kind: kind.pop("lister"),
        lambda kind: kind.update({"class": "npu"}),
        lambda kind: kind.update(architectures={"9.0": "Hopper"}),
        lambda kind: kind["wheels"].update(python=[3.10]),
        lambda kind: kind["wheels"].update(packages=["paddlepaddle==3.0.0"]),
        lambda kind: kind["environment"].update(FLAGS_use_stride_kernel=0),
        lambda kind: kind["container"]["options"].update(shm="128g"),
        lambda kind: kind["container"].update(mounts=["usr/local/dcmi"]),
        lambda kind: kind["image"].update(base="paddle-npu:{version}"),
        lambda kind: kind["lister"].update(card=r"(?P<name>\w+)"),
        lambda kind: kind["requires"].update(driver="23.0.3"),
        lambda kind: kind["pci"].update(vendors="19e5"),
        lambda kind: kind["chips"].append({"name": "910D"}),
        lambda kind: kind["chips"].append({"name": "910D", "model": "910D", "lacks": "kernels"}),
        lambda kind: kind["requires"]["sdks"].append({"name": "SDK", "files": ["/opt/sdk"], "version": ">=1"}),
        lambda kind: kind["wheels"].update(source_only=False),
        lambda kind: kind["source"].update(options=["-DWITH_ARM=ON"]),
        lambda kind: kind.update(install="Install the driver"),
    ],
)
def test_the_schema_refuses(change):
    assert VALIDATOR.is_valid(KINDS["ascend"])
    assert not VALIDATOR.is_valid(broken(change))
