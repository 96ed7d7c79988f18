"""Task 1: what is installed is known by proof, and what is not known is said to be unknown."""

import base64
import hashlib
import json
import re
import time
from importlib.metadata import PathDistribution
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from folders import PROJECTS
from hypothesis import given
from hypothesis import strategies as st

PART = yaml.safe_load((PROJECTS / "01-install/project.yaml").read_text())["parts"]["1"]


@pytest.fixture(scope="module")
def installation(load):
    return load("01-install/installation.py")


def row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with a small installed paddle, as pip leaves it."""
    info = "paddlepaddle-3.0.0.dist-info"
    root = tmp_path / "site"
    files = {
        "paddle/__init__.py": b"",
        "paddle/base/libpaddle.so": b"\x7fELF",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: paddlepaddle\nVersion: 3.0.0\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    record = [row(name, content) for name, content in files.items()]
    record += [
        f"{info}/RECORD,,",
        row(f"{info}/INSTALLER", b"pip\n"),
    ]
    (root / f"{info}/INSTALLER").write_text("pip\n")
    (root / f"{info}/RECORD").write_text("\n".join(record) + "\n")
    return root


def record_of(root: Path) -> str:
    return (root / "paddlepaddle-3.0.0.dist-info/RECORD").read_text()


class TestRecord:
    WHEEL = (
        row("paddle/__init__.py", b"a"),
        row("paddle/x,y.py", b"b").replace("paddle/x,y.py", '"paddle/x,y.py"'),
        row("paddle-3.0.0.data/scripts/paddle", b"#!python"),
        "paddlepaddle-3.0.0.dist-info/RECORD,,",
    )

    def test_it_is_the_same_in_the_wheel_and_installed(self, installation):
        kept = self.WHEEL[:2]
        by_pip = [
            row("../../../bin/paddle", b"#!/usr/bin/python"),
            *reversed(kept),
            "paddle/__pycache__/__init__.cpython-311.pyc,,",
            "paddlepaddle-3.0.0.dist-info/RECORD,,",
            row("paddlepaddle-3.0.0.dist-info/INSTALLER", b"pip"),
            row("paddlepaddle-3.0.0.dist-info/direct_url.json", b"{}"),
            row("paddlepaddle-3.0.0.dist-info/uv_cache.json", b"{}"),
        ]
        assert installation.record_sha256(by_pip) == installation.record_sha256(self.WHEEL)

    @given(content=st.binary())
    def test_another_file_makes_another_hash(self, installation, content):
        changed = [row("paddle/__init__.py", content), *self.WHEEL[1:]]
        assert (installation.record_sha256(changed) == installation.record_sha256(self.WHEEL)) == (content == b"a")

    @given(text=st.text())
    def test_whatever_the_list_holds_its_hash_is_sixty_four_digits(self, installation, text):
        assert re.fullmatch("[0-9a-f]{64}", installation.record_sha256(text.splitlines()))


class TestVerify:
    def test_an_untouched_installation_has_no_wrong_file(self, installation, installed):
        assert installation.verify(installed, record_of(installed)) == (4, [])

    def test_a_changed_and_a_missing_file_are_named(self, installation, installed):
        (installed / "paddle/base/libpaddle.so").write_bytes(b"\x7fELG")
        (installed / "paddle/__init__.py").unlink()
        assert installation.verify(installed, record_of(installed)) == (
            4,
            ["paddle/__init__.py", "paddle/base/libpaddle.so"],
        )

    def test_an_unknown_hash_counts_as_wrong(self, installation, installed):
        assert installation.verify(installed, "paddle/__init__.py,crc7=xx,0") == (1, ["paddle/__init__.py"])


class TestIdentify:
    @pytest.fixture
    def published(self, installation, installed, tmp_path) -> Path:
        hashes = {
            "sha256": "ab" * 32,
            "record_sha256": installation.record_sha256(record_of(installed).splitlines()),
        }
        path = tmp_path / "paddle-wheels.json"
        path.write_text(json.dumps({"other.whl": {"sha256": "cd" * 32, "record_sha256": "0"}, "right.whl": hashes}))
        return path

    def test_the_wheel_is_the_one_with_the_same_list(self, installation, installed, published):
        wheel = installation.identify(record_of(installed), {}, [], published)
        assert (wheel.file, wheel.sha256) == ("right.whl", "ab" * 32)

    def test_a_wheel_built_here_gets_no_published_hash_although_it_bears_the_same_name(
        self, installation, installed, published
    ):
        record = record_of(installed).replace("sha256=", "sha256=x", 1)
        wheel = installation.identify(record, {}, [], published)
        assert wheel.sha256 is None and "none of those" in wheel.reason

    def test_with_changed_files_no_hash_is_claimed(self, installation, installed, published):
        wheel = installation.identify(record_of(installed), {}, ["paddle/__init__.py"], published)
        assert wheel.sha256 is None and wheel.reason == "1 installed files are not the wheel's"

    def test_without_the_list_of_wheels_it_is_unknown(self, installation, installed, tmp_path):
        wheel = installation.identify(record_of(installed), {}, [], tmp_path / "paddle-wheels.json")
        assert wheel.sha256 is None and "there is no paddle-wheels.json" in wheel.reason

    @pytest.mark.parametrize("archive", [{"hashes": {"sha256": "ef" * 32}}, {"hash": "sha256=" + "ef" * 32}])
    def test_a_hash_that_the_installer_noted_is_taken(self, installation, installed, tmp_path, archive):
        url = {"url": "file:///wheels/vendor.whl", "archive_info": archive}
        wheel = installation.identify(record_of(installed), url, [], tmp_path / "none.json")
        assert (wheel.file, wheel.sha256) == ("vendor.whl", "ef" * 32)


class TestMethod:
    @pytest.mark.parametrize(
        ("method", "evidence", "says"),
        [
            ("pip", {"installer": "pip"}, "INSTALLER says pip"),
            ("pip", {"installer": "uv", "container": "/.dockerenv"}, "INSTALLER says uv"),
            ("pip", {}, "nothing says more"),
            (
                "docker",
                {"installer": "pip", "container": "/.dockerenv", "in_image": True},
                "came with the image",
            ),
            ("conda", {"installer": "conda"}, "conda"),
            ("conda", {"installer": "pip", "conda": True}, "conda"),
            ("source", {"has_metadata": False}, "build tree"),
            (
                "source",
                {"installer": "pip", "direct_url": {"url": "file:///Paddle", "dir_info": {}}},
                "names sources",
            ),
            (
                "source",
                {
                    "installer": "pip",
                    "container": "/.dockerenv",
                    "in_image": True,
                    "direct_url": {"url": "file:///paddle/build/python/dist/p.whl", "archive_info": {}},
                },
                "build leaves it",
            ),
            ("source", {"installer": "pip", "version": "0.0.0"}, "untagged"),
        ],
    )
    def test_it_is_decided_by_evidence_the_reason_first(self, installation, method, evidence, says):
        found, reasons = installation.decide(installation.Evidence(**evidence))
        assert found == method and says in reasons[0]

    def test_a_container_around_a_later_installation_is_mentioned_and_not_taken_for_the_method(self, installation):
        _, reasons = installation.decide(installation.Evidence(installer="pip", container="/.dockerenv"))
        assert "not known to come with the image" in reasons[-1]

    @pytest.mark.parametrize("installer", ["pip", "conda"])
    def test_an_environment_of_condas_is_named_and_is_no_installation_by_conda(self, installation, installer):
        evidence = installation.Evidence(installer=installer, conda_environment="of the environment paddle")
        method, reasons = installation.decide(evidence)
        assert method == installer and reasons[-1] == "of the environment paddle"

    def test_only_the_distribution_beside_the_imported_paddle_counts(self, installation, installed, tmp_path):
        assert installation.find(installed / "paddle").version == "3.0.0"
        (tmp_path / "build/paddle").mkdir(parents=True)
        assert installation.find(tmp_path / "build/paddle") is None

    def test_it_is_read_from_the_files(self, installation, installed):
        info = installed / "paddlepaddle-3.0.0.dist-info"
        (info / "direct_url.json").write_text('{"url": "file:///p.whl", "archive_info": {}}')
        evidence = installation.gather(PathDistribution(info), installed / "paddle", "3.0.0")
        assert evidence.installer == "pip" and evidence.direct_url["url"] == "file:///p.whl"
        assert not evidence.in_image  # it was written a moment ago, and any container is older


class TestMachine:
    @pytest.mark.parametrize(
        ("text", "model"),
        [
            (
                "processor\t: 0\nmodel\t\t: 85\nmodel name\t: A CPU @ 2.50GHz\nmodel name\t: B\n",
                "A CPU @ 2.50GHz",
            ),
            ("Architecture: aarch64\nModel name:          Kunpeng-920\n", "Kunpeng-920"),
            ("processor\t: 0\nCPU implementer\t: 0x48\n", None),
            ("model name\t:\nflags\t: fpu\n", None),
            ("", None),
        ],
    )
    def test_the_processor_is_named_as_the_machine_names_it(self, load, text, model):
        assert load("01-install/machine.py").model_in_cpuinfo(text) == model

    def test_where_paddle_has_no_name_none_is_invented(self, load):
        assert load("01-install/machine.py").hardware_model("npu:0")[0] == "npu, model unknown"


class TestRunCheck:
    WELL = "PaddlePaddle works well on 1 {}.\nPaddlePaddle is installed successfully! Let's start"

    @pytest.mark.parametrize(
        ("word", "device", "is_well"),
        [
            ("CPU", "cpu", True),
            ("GPU", "gpu:0", True),
            ("npu", "npu:3", True),
            ("GPU", "cpu", True),
            ("CPU", "gpu", False),
            ("CPU", "xpu:0", False),
        ],  # the check itself fell back to the CPU
    )
    def test_it_has_to_end_well_on_the_device_asked_for(self, load, word, device, is_well):
        assert load("01-install/main.py").worked(self.WELL.format(word), device) is is_well

    def test_success_on_one_card_only_is_enough_for_one_card(self, load):
        words = "works well on 1 GPU.\nPaddlePaddle is installed successfully ONLY for single GPU!"
        worked = load("01-install/main.py").worked
        assert worked(words, "gpu", cards=1)
        assert not worked(words, "gpu", cards=8)
        assert not worked("works well on 1 GPU.\nRuntimeError: no kernel", "gpu")


@pytest.fixture
def computation(load):
    return load("01-install/computation.py")


def measured(computation, size=64, seed=3):
    """The metrics of the three computations, as the program notes them."""
    numbers = np.random.default_rng(seed)
    product, images, solution = (
        computation.matmul(numbers, size),
        computation.convolution(numbers),
        computation.solve(numbers, size),
    )
    return {
        "matmul_roundoff": product.roundoff,
        "matmul_error": product.error,
        "convolution_roundoff": images.roundoff,
        "convolution_error": images.error,
        "solve_error": solution.error,
    }


ERRORS = ("matmul_error", "convolution_error", "solve_error")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [8, 9, 64, 256])
def test_computations_are_right_to_float32_at_every_size(computation, verdict, size, seed):
    metrics = measured(computation, size, seed)
    assert all(isinstance(value, float) and value > 0 for value in metrics.values())
    assert {verdict("1", name, metrics, size=size) for name in ERRORS} == {"passed"}


def cut(tensor, bits):
    """The tensor with so many bits of its significand, as units of lower precision round factors."""
    number, exponent = np.frexp(tensor.numpy())
    return paddle.to_tensor(np.ldexp(np.round(number * 2.0**bits) / 2.0**bits, exponent).astype("float32"))


def rounded(true, bits):
    return lambda x, y, **more: true(cut(x, bits), cut(y, bits), **more)


@pytest.mark.parametrize(("bits", "judged"), [(11, "passed"), (8, "failed")])
@pytest.mark.plants("1", "matmul_error", "convolution_error", "solve_error")
def test_units_that_round_factors_to_tf32_are_borne_and_to_bfloat16_are_not(
    computation, verdict, monkeypatch, bits, judged
):
    monkeypatch.setattr(computation.paddle, "matmul", rounded(paddle.matmul, bits))
    monkeypatch.setattr(computation.F, "conv2d", rounded(computation.F.conv2d, bits))
    metrics = measured(computation)
    assert {verdict("1", name, metrics, size=64) for name in ERRORS} == {judged}


FAULTS = {
    "matmul_error": lambda true: lambda x, y: true(x, y.T if y.ndim == 2 else y),
    "convolution_error": lambda true: lambda x, y, **more: true(x, y.flip([2, 3]), **more),
}


@pytest.mark.parametrize("size", [8, 4096])
@pytest.mark.plants("1", "matmul_error", "convolution_error")
def test_a_wrong_layout_fails(computation, verdict, monkeypatch, size):
    monkeypatch.setattr(computation.paddle, "matmul", FAULTS["matmul_error"](paddle.matmul))
    monkeypatch.setattr(computation.F, "conv2d", FAULTS["convolution_error"](computation.F.conv2d))
    metrics = measured(computation, 32)
    for name in FAULTS:
        assert verdict("1", name, metrics, size=size) == "failed", name


@pytest.mark.plants("1", "solve_error")
def test_a_solver_that_stops_too_early_fails_at_every_size(computation, verdict, monkeypatch):
    monkeypatch.setattr(computation, "STEPS", 8)
    metrics = measured(computation, 256)
    assert all(verdict("1", "solve_error", metrics, size=size) == "failed" for size in (8, 256, 4096))


@pytest.mark.plants("1", "run_check")
def test_a_check_that_fell_back_to_the_cpu_fails(load, verdict, monkeypatch):
    main = load("01-install/main.py")
    monkeypatch.setattr(main.paddle.utils, "run_check", lambda: print(TestRunCheck.WELL.format("CPU")))
    monkeypatch.setattr(main.paddle, "set_device", lambda name: None)
    assert verdict("1", "run_check", {"run_check": main.run_check("gpu:0", 1)[0]}) == "failed"
    assert verdict("1", "run_check", {"run_check": main.run_check("cpu", 1)[0]}) == "passed"


@pytest.mark.plants("1", "files_wrong")
def test_a_file_that_somebody_changed_fails(installation, installed, verdict):
    (installed / "paddle/base/libpaddle.so").write_bytes(b"\x7fELG")
    _, wrong = installation.verify(installed, record_of(installed))
    assert verdict("1", "files_wrong", {"files_wrong": len(wrong)}) == "failed"


@pytest.mark.slow
def test_the_program_proves_this_installation(run_program, verdict):
    started = time.monotonic()
    out = run_program("01-install", "--part", "1", "--set", "size=64")
    assert time.monotonic() - started < 60
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics.keys() == PART["metrics"].keys()
    assert metrics["run_check"] is True and metrics["files_wrong"] == 0
    assert metrics["paddle_version"] == paddle.version.full_version
    assert re.fullmatch("[0-9a-f]{64}|unknown: .+", metrics["wheel_sha256"])
    assert {verdict("1", name, metrics, size=64) for name in ERRORS} == {"passed"}
    report = json.loads((out / "install.json").read_text())
    assert report["hardware"].startswith(metrics["hardware_model"])


CONDA = "==> 2026-11-30 10:00:00 <==\n# cmd: {} create -n paddle python=3.12\n# conda version: 26.1.0\n+python-3.12\n"


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({"history": CONDA.format("/opt/conda/bin/conda")}, "environment paddle that conda made"),
        ({"history": CONDA.format("C:\\miniforge3\\Scripts\\conda-script.py")}, "that conda made"),
        ({"history": CONDA.format("/opt/conda/lib/python3.12/site-packages/conda/__main__.py")}, "that conda made"),
        ({"history": CONDA.format("/opt/conda/bin/mamba")}, "that mamba made"),
        ({"history": CONDA.format("micromamba")}, "that micromamba made"),
        ({"history": CONDA.format("/root/.local/bin/micromamba")}, "that micromamba made"),
        ({"history": "", "pixi": "{}"}, "that pixi made"),
        ({"history": ""}, "that conda, or a tool like it, made"),
        ({"python-3.12.7-h1.json": "{}"}, "that conda, or a tool like it, made"),
        ({"state": "{}"}, ""),
        ({}, ""),
    ],
)
def test_an_environment_of_condas_is_known_by_what_its_maker_keeps(installation, tmp_path, kept, says):
    prefix = tmp_path / "envs" / "paddle"
    (prefix / "conda-meta").mkdir(parents=True)
    for name, text in kept.items():
        (prefix / "conda-meta" / name).write_text(text)
    found = installation.conda_environment(prefix)
    assert says in found and bool(says) is bool(found)


def test_the_first_environment_of_conda_is_called_base(installation, tmp_path):
    (tmp_path / "condabin").mkdir()
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "history").touch()
    assert "the environment base" in installation.conda_environment(tmp_path)


def test_a_virtual_environment_upon_condas_python_names_it(installation, installed, tmp_path, monkeypatch):
    (tmp_path / "miniforge" / "conda-meta").mkdir(parents=True)
    (tmp_path / "miniforge" / "conda-meta" / "history").write_text(CONDA.format("/miniforge/bin/mamba"))
    monkeypatch.setattr(installation.sys, "base_prefix", str(tmp_path / "miniforge"))
    evidence = installation.gather(installation.find(installed / "paddle"), installed / "paddle", "3.0.0")
    assert "environment miniforge that mamba made" in evidence.conda_environment
