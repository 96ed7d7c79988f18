"""The hardware files: each fits the schema, and its patterns read what the vendor's tool really prints."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests/data/listers"
SCHEMA = json.loads((ROOT / "harness/catalogue/schemas/hardware.schema.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
KINDS = {
    path.parent.name: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "hardware").glob("*/hardware.yaml"))
}

# The sample's file (its kind is the part before the first dash), the cards, the driver.
EXPECTED = {
    "cpu": ([(None, "AMD EPYC 8434P 48-Core Processor")], None),
    "cpu-arm": ([(None, "Kunpeng-920")], None),
    "cpu-indented": ([(None, "Loongson-3A5000-HV")], None),
    "cuda": ([("0", "NVIDIA TITAN V"), ("1", "NVIDIA RTX 5880 Ada Generation")], "570.86.15"),
    "ascend": ([(str(number), "910B3") for number in range(8)], "24.1.0"),
    "ascend-25.2": ([("0", "910B4-1"), ("1", "910B4-1")], "25.2.0"),
    "kunlun": ([(str(number), "P800 OAM") for number in range(8)], "5.0.21.21"),
    "cambricon": ([("0", "MLU370-X8"), ("1", "MLU370-X8")], "5.10.13"),
    "hygon": ([("0", "K100_AI"), ("1", "K100_AI")], "6.3.28"),
    "hygon-z100l": ([("0", "Z100L")], None),
    "enflame": ([("0", "S60"), ("1", "S60")], "1.2.0.301"),
    "enflame-1.6": ([("0", "S60G"), ("1", "S60G")], "1.6.3.12"),
}
MEMORY = {
    "cuda": ["12288 MiB", "49140 MiB"],
    "ascend": ["65536"] * 8,
    "ascend-25.2": ["65536"] * 2,
    "kunlun": ["98304MiB"] * 8,
    "cambricon": ["23374 MiB"] * 2,
    "hygon": ["65520"] * 2,
    "hygon-z100l": ["32752"],
    "enflame": ["49120MiB", "42976MiB"],
    "enflame-1.6": ["23552MiB"] * 2,
}


def read(sample, output=None):
    """The cards, as the groups of each match, and the driver's version."""
    lister = KINDS[sample.partition("-")[0]]["lister"]
    text = (SAMPLES / f"{sample}.txt").read_text(encoding="utf-8") if output is None else output
    cards = [match.groupdict() for match in re.finditer(lister["card"], text, re.MULTILINE)]
    outside = re.search(lister["driver"], text, re.MULTILINE) if "driver" in lister else None
    drivers = {outside["driver"]} if outside else {card.get("driver") for card in cards}
    return cards, drivers


@pytest.mark.parametrize("sample", EXPECTED)
def test_the_sample_reads(sample):
    cards, drivers = read(sample)
    models, driver = EXPECTED[sample]
    assert [(card.get("index"), card["model"]) for card in cards] == models
    assert drivers == {driver}
    assert [card.get("memory") for card in cards] == MEMORY.get(sample, [None] * len(models))


def test_every_sample_is_expected_and_every_real_kind_has_one():
    assert {path.stem for path in SAMPLES.glob("*.txt")} == set(EXPECTED)
    assert {name for name, kind in KINDS.items() if kind["class"] != "simulated"} <= set(EXPECTED)


def test_cuda_cards_have_their_architecture():
    names = KINDS["cuda"]["architectures"]
    assert [names[card["architecture"]] for card in read("cuda")[0]] == ["Volta", "Ada"]


def test_an_indented_model_name_counts_and_each_kind_of_core():
    output = "CPU(s):        8\n  Model name:  Cortex-A55\n    Model:     0\n  Model name:  Cortex-A76\n"
    assert [card["model"] for card in read("cpu", output)[0]] == ["Cortex-A55", "Cortex-A76"]


def test_the_hygon_driver_reads_as_text_too():
    assert read("hygon", "====\nDriver Version: 6.3.31-V1.5.0a\n====\n")[1] == {"6.3.31"}


def test_processes_on_an_ascend_card_are_not_cards():
    busy = "| 0       0                 | 692318        | python3            | 12417                | NA          |\n"
    assert read("ascend", busy)[0] == []


@pytest.mark.parametrize("sample", [sample for sample in EXPECTED if not sample.startswith("cpu")])
def test_no_cards_in_what_another_tool_prints(sample):
    kind = sample.partition("-")[0]
    strangers = [name for name in EXPECTED if name.partition("-")[0] != kind]
    for name in strangers:
        assert read(sample, (SAMPLES / f"{name}.txt").read_text(encoding="utf-8"))[0] == [], name


@pytest.mark.parametrize("name", KINDS)
def test_the_file_fits_the_schema(name):
    assert [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(KINDS[name])] == []
    assert KINDS[name]["name"] == name


@pytest.mark.parametrize("name", KINDS)
def test_the_patterns_compile_and_have_only_known_groups(name):
    lister = KINDS[name]["lister"]
    groups = set(re.compile(lister["card"]).groupindex)
    assert {"model"} <= groups <= {"index", "model", "driver", "architecture", "memory"}
    if "driver" in lister:
        assert set(re.compile(lister["driver"]).groupindex) == {"driver"}
        assert "driver" not in groups
    sdk = KINDS[name].get("requires", {}).get("sdk")
    if sdk:
        assert set(re.compile(sdk["read"]).groupindex) == {"version"}


@pytest.mark.parametrize("name", KINDS)
def test_the_specifiers_read_and_the_sdk_has_its_parts(name):
    requires = KINDS[name].get("requires", {})
    for specifier in [requires.get("driver"), requires.get("sdk", {}).get("version")]:
        SpecifierSet(specifier or "")
    if "driver" in requires and name in EXPECTED:
        driver = EXPECTED[name][1]
        assert SpecifierSet(requires["driver"]).contains(driver) == (name != "kunlun")  # the sample's P800 is too old


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
    match = re.search(KINDS[name]["requires"]["sdk"]["read"], text, re.MULTILINE)
    assert match and match["version"] == version


def test_no_two_kinds_share_a_name():
    names = [name for kind in KINDS.values() for name in (kind["name"], *kind["aliases"])]
    assert sorted(names) == sorted(set(names))


def test_the_paddle_version_stands_elsewhere():
    for name, kind in KINDS.items():
        assert not any(re.search(r"[=<>]", package) for package in kind["wheels"]["packages"]), name


def test_every_real_kind_has_its_readme_with_a_chinese_section():
    for name in {sample.partition("-")[0] for sample in EXPECTED}:
        readme = (ROOT / "hardware" / name / "README.md").read_text(encoding="utf-8")
        assert readme.startswith("# ") and "\n## 中文\n" in readme, name


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
        lambda kind: kind["source"].update(options=["-DWITH_ARM=ON"]),
        lambda kind: kind.update(install="Install the driver"),
    ],
)
def test_the_schema_refuses(change):
    assert VALIDATOR.is_valid(KINDS["ascend"])
    assert not VALIDATOR.is_valid(broken(change))
