"""Public reports by people who put Paddle on such a machine: each is prevented here, or explained.

The machines are those of the reports, as far as they are told: what a lister prints, what files an SDK brings, what
stands in a log.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from harness.catalogue import entries, symptoms
from harness.doctor import cards
from harness.errors import HardwareError
from harness.machine import devices, probe
from harness.machine.probe import Finding

ROOT = Path(__file__).resolve().parents[2]
BOOK = entries.load()
FAIL = "Fail to open library: /usr/lib/python3/dist-packages/paddle_custom_device/libpaddle-custom-{}.so with error: {}"
NO_FILE = "{}: cannot open shared object file: No such file or directory"


def a_machine(kind, sample, driver=None, sdks=()):
    """A finding on a machine whose lister prints a sample, whose SDKs lie in the files that are named."""
    hardware = BOOK.hardware[kind]
    files = dict(sdks)
    requires = dict(hardware.data.get("requires", {}))
    requires["sdks"] = [{**sdk, "files": [files.get(sdk["name"], "/no")]} for sdk in requires.get("sdks", ())]
    hardware = replace(hardware, data={**hardware.data, "requires": requires})
    output = (ROOT / "tests/data/listers" / f"{sample}.txt").read_text(encoding="utf-8")
    found = [replace(card, driver=driver or card.driver) for card in devices.read(hardware.data, output)]
    return probe._sorted_out(hardware, found, ())


def wrong(finding: Finding, use="local"):
    """The lines that refuse a run, by their subjects."""
    return {line.subject: line for line in cards.lines(finding) if line.fits is False and use in line.needed_for}


@pytest.mark.parametrize(
    ("kind", "log", "cause"),
    [
        pytest.param(
            "ascend",
            "ImportError: libruntime.so: undefined symbol: _ZN12ErrorManager11GetInstanceEv",
            "CANN that is loaded is another",
            id="PaddleX 4749",
        ),
        pytest.param(
            "ascend", FAIL.format("npu", NO_FILE.format("libatb.so")), "NNAL", id="Paddle 68398, 65797, 69146"
        ),
        pytest.param(
            "cambricon",
            FAIL.format("mlu", NO_FILE.format("libmluops.so.1")),
            "MLUOps",
            id="Paddle 67084, PaddleCustomDevice 1601",
        ),
        pytest.param(
            "ascend", "ACL error, the error code is : 507033", "driver and CANN do not fit", id="Paddle 68865"
        ),
        pytest.param(
            "ascend",
            "Call aclInit(nullptr) failed : 507008 at file runtime.cc line 403",
            "another container or process holds it",
            id="Paddle 72458, PaddleOCR 16162",
        ),
        pytest.param(
            "ascend",
            "OSError: (External) ACL error, the error code is : 500001. (at npu_op_runner.cc:484)",
            "operator package",
            id="Paddle 76112",
        ),
        pytest.param(
            "ascend",
            "ImportError: " + NO_FILE.format("libascendcl.so"),
            "set_env.sh was not sourced",
            id="PaddleOCR 17069",
        ),
        pytest.param(
            "cpu",
            "libgomp.so.1: cannot allocate memory in static TLS block",
            "On ARM a library",
            id="PaddleX 2193, PaddleOCR 17007",
        ),
        pytest.param(
            "cuda",
            "The GPU compute capability in your current machine is 120, which is not supported by Paddle",
            "no kernels for this chip",
            id="Paddle 76037",
        ),
        pytest.param(
            "kunlun",
            "You are using XPU version Paddle, but your XPU device is not set properly. CPU device will be",
            "the wheels for the P800 on an R200",
            id="Paddle 73315, 77491, 74469",
        ),
        pytest.param(
            "hygon",
            "You are using GPU version Paddle, but your CUDA device is not set properly. "
            "CPU device will be used by default.",
            "no card that it could open",
            id="PaddleX 3415",
        ),
        pytest.param(
            "ascend", "dcmi module initialize failed. ret is -8005", "held by another container", id="vllm-ascend 2698"
        ),
        pytest.param(
            "ascend",
            "fatal error: acl/acl.h: No such file or directory",
            "compiled where CANN's set_env.sh",
            id="Paddle 71360",
        ),
        pytest.param(
            "ascend",
            "fatal: clone of 'https://github.com/x/glog.git' into submodule path 'third_party/glog' failed",
            "submodules could not be fetched",
            id="PaddleCustomDevice 1321, 1258, 1331",
        ),
        pytest.param(
            "hygon", "ImportError: " + NO_FILE.format("libgalaxyhip.so.5"), "DTK is not installed", id="Paddle 65227"
        ),
        pytest.param(
            "ascend",
            "ERROR: No matching distribution found for paddle-custom-npu==3.0.0",
            "no such wheel",
            id="PaddleX 4611, Paddle 65679, 77538",
        ),
    ],
)
def test_the_log_of_the_report_is_explained(kind, log, cause):
    found = symptoms.explain(f"before\n{log}\nafter\n", [kind])
    assert cause in found[0].cause, found


@pytest.mark.parametrize("version", ["8.0.RC3.alpha003", "8.1.RC1", "8.5.1", "7.0.0"])
def test_a_cann_that_the_plug_in_was_not_built_for_is_refused(tmp_path, version):
    """PaddleX 4749, Paddle 73990, PaddleCustomDevice 2452."""
    (tmp_path / "cann").write_text(f"package_name=Ascend-cann-toolkit\nversion={version}\n")
    finding = a_machine("ascend", "ascend", sdks={"CANN": str(tmp_path / "cann")})
    assert version in wrong(finding)["CANN"].found


@pytest.mark.parametrize(("kind", "sdk"), [("ascend", "NNAL (ATB)"), ("cambricon", "MLUOps")])
def test_a_second_sdk_that_is_missing_is_named_before_the_run(kind, sdk):
    """Paddle 68398, 65797, 69146, 67084, PaddleCustomDevice 1601."""
    assert sdk in wrong(a_machine(kind, kind))


def test_a_driver_newer_than_its_cann_allows_is_refused_by_the_pair(tmp_path):
    """Paddle 68865."""
    (tmp_path / "cann").write_text("version=8.0.RC1\n")
    finding = a_machine("ascend", "ascend-910B2-24.1.rc2.1", sdks={"CANN": str(tmp_path / "cann")})
    assert "507033" in wrong(finding)["pair"].remedy


def test_cards_that_others_hold_are_seen(monkeypatch):
    """Paddle 72458, PaddleOCR 16162, vllm-ascend 2698."""
    monkeypatch.delenv("NPU_VISIBLE_DEVICES", raising=False)
    finding = a_machine("ascend", "ascend-910B2-24.1.rc2.1")
    assert probe.visible_cards(finding) == ()
    (busy,) = [line for line in cards.lines(finding) if line.subject == "cards that are busy"]
    assert "3: 93 % of its memory is in use" in busy.found


def test_a_driver_of_another_topsrider_than_the_plug_ins_is_refused_by_the_pair():
    """Paddle 75190."""
    finding = a_machine("enflame", "enflame", driver="1.3.3.4")
    assert "TopsRider 3.2.109" in wrong(finding)["pair"].remedy
    assert "pair" not in wrong(a_machine("enflame", "enflame"))


def test_an_rtx_50_is_told_that_this_wheel_has_no_kernels_and_which_has():
    """Paddle 76037."""
    finding = a_machine("cuda", "cuda-5090-laptop")
    assert not finding and "cu129 of Paddle >=3.2.0 has" in wrong(finding)["cards"].found


def test_an_r200_is_named_and_no_driver_is_offered_as_its_remedy():
    """Paddle 73315, 77491."""
    line = wrong(a_machine("kunlun", "kunlun-r300"))["cards"]
    assert "R200, R300" in line.found and "driver" not in line.remedy and "--hw cpu" in line.remedy


def test_a_kunlun_on_arm_is_not_told_to_build_what_cannot_be_built(monkeypatch):
    """Paddle 74469."""
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    line = wrong(a_machine("kunlun", "kunlun"))["wheels' machines"]
    assert "take a machine with x86_64, or --hw cpu here" in line.remedy


def test_a_user_who_may_not_open_the_dcus_files_is_told_the_group(tmp_path, monkeypatch):
    """PaddleX 3415."""
    (tmp_path / "kfd").touch()
    monkeypatch.setattr(cards.os, "access", lambda path, mode: False)
    (line,) = cards.access({"device_files": [str(tmp_path / "kfd")]})
    assert line.fits is False and "local" in line.needed_for


def test_a_dcus_container_has_the_limits_and_the_memory_that_paddles_page_gives_it():
    """PaddleX 3415."""
    options = BOOK.hardware["hygon"].data["container"]["options"]
    assert options["ulimit"] == ["stack=-1:-1", "memlock=-1:-1"] and options["ipc_mode"] == "host"


def test_a_tool_in_sbin_is_looked_for_there():
    """PaddleX 4542."""
    assert "/usr/local/sbin" in probe.FOLDERS
    assert not any("npu-smi" in place for place in BOOK.hardware["ascend"].data["container"]["mounts"])


@pytest.mark.parametrize(
    ("sample", "judged"), [("kunlun", False), ("kunlun-p800-515", None), ("kunlun-p800-5.19", None)]
)
def test_the_numbers_of_another_scheme_are_not_held_against_kunluns_driver(sample, judged):
    """5.0.21.21 is older than 5.0.21.26; whether 515.58 or 5.19 is, nobody says."""
    (line,) = cards.driver(a_machine("kunlun", sample))
    assert line.fits is judged, line


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        ("cambricon", "CNCL_MEM_POOL_MULTI_CLIQUE_ENABLE", "1"),
        ("cambricon", "FLAGS_use_stride_kernel", "0"),
        ("ascend", "HCCL_WHITELIST_DISABLE", "1"),
        ("ascend", "HCCL_CONNECT_TIMEOUT", "1800"),
    ],
)
def test_what_only_upstreams_image_sets_a_run_sets_everywhere(kind, variable, value):
    """PaddleCustomDevice, backends/{mlu,npu}/tools/dockerfile: its images hang, or give up, without them."""
    assert BOOK.hardware[kind].environment[variable] == value


def test_a_jetson_is_told_what_it_needs_and_no_driver():
    finding = a_machine("cuda", "cuda-orin-table")
    assert list(wrong(finding)) == ["cards"] and "JetPack" in wrong(finding)["cards"].remedy


def test_sixteen_devices_without_kernels_are_told_of_once():
    told = wrong(a_machine("ascend", "ascend-A3-superpod"))["cards"].found
    assert told.count("910C: ") == 1 and "0, 1, 2, …, 15 (16 of them) (Ascend910)" in told


@pytest.mark.parametrize(
    ("sample", "told"),
    [
        ("cuda-mismatch", "Start the machine anew."),
        ("cuda-nodriver", "sudo modprobe nvidia"),
        ("cuda-no-devices", "lspci -d 10de"),
        ("ascend-dcmi-init", "docker ps"),
        ("ascend-lib", "Mount /usr/local/Ascend/driver"),
    ],
)
def test_what_a_lister_says_in_place_of_cards_gives_the_remedy(sample, told):
    kind = BOOK.hardware[sample.partition("-")[0]]
    said = (ROOT / "tests/data/listers" / f"{sample}.txt").read_text(encoding="utf-8").strip()
    finding = Finding(kind, (), (f"{kind.data['lister']['command'][0]}: it said: {said}",))
    assert told in wrong(finding)["cards"].remedy
    with pytest.raises(HardwareError, match=told):
        probe.require(finding)
