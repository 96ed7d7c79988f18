"""The locks on platforms that are not at hand: uv finds a wheel for every package, without installing any."""

import itertools
import subprocess
import sys

import pytest

from harness.catalogue import releases
from harness.checkout import ROOT
from harness.environments import uv

BOOK = releases.load()
TARGETS = {
    "linux-x86_64": "x86_64-manylinux_2_28",
    "linux-aarch64": "aarch64-manylinux_2_28",
    "macos-x86_64": "x86_64-apple-darwin",
    "macos-arm64": "aarch64-apple-darwin",
    "windows-amd64": "x86_64-pc-windows-msvc",
}
SOURCES = ("antlr4-python3-runtime", "wget")  # pure Python, which have no wheel


def resolved(lock: str, target: str, python: str, folder, sources=()) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--no-deps", "--require-hashes"]
    words += ["--only-binary", ":all:", *(word for name in (*SOURCES, *sources) for word in ("--no-binary", name))]
    words += ["--python-version", python, "--python-platform", target, "--target", str(folder), "-r", str(ROOT / lock)]
    return subprocess.run(words, capture_output=True, text=True, env=uv.environment(), timeout=300)


def sampled(combinations, sample):
    """The combinations, those outside the sample under the mark `thorough`."""
    return [each if sample(*each) else pytest.param(*each, marks=pytest.mark.thorough) for each in combinations]


VERSIONS = list(itertools.product(BOOK.listed, TARGETS))
OTHERS = itertools.product(("science", "inference", "convert", "training"), ("macos-arm64", "windows-amd64"))
STACKS = [*itertools.product(("harness",), TARGETS), *OTHERS]
PYTHONS = list(itertools.product(("harness", "base", "science"), ("3.10", "3.13")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "platform"),
    sampled(
        VERSIONS, lambda version, platform: version == "3.0.0" or (version, platform) == ("3.3.1", "linux-aarch64")
    ),
)
def test_a_version_has_wheels_for_the_platforms_that_its_data_name_and_for_no_others(version, platform, tmp_path):
    release = BOOK.listed[version]
    done = resolved(release.lock("base"), TARGETS[platform], "3.12", tmp_path)
    assert (done.returncode == 0) is (platform in release.platforms), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "platform"), sampled(STACKS, lambda stack, platform: stack == "harness"))
def test_the_stacks_have_wheels_for_their_platforms(stack, platform, tmp_path):
    done = resolved(f"docker/locks/{stack}.txt", TARGETS[platform], "3.12", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("stack", "python"), sampled(PYTHONS, lambda stack, python: stack == "base"))
def test_the_stacks_have_wheels_for_the_first_and_the_last_python(stack, python, tmp_path):
    done = resolved(f"docker/locks/{stack}.txt", "x86_64-manylinux_2_36", python, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["base", "cann", "convert", "inference", "nlp", "science", "training"])
def test_every_stack_installs_on_arm_without_a_compiler(stack, tmp_path):
    """On a system with the C library of Debian 12; Paddle 3.0.0 has wheels there, and two packages are pure Python."""
    done = resolved(f"docker/locks/{stack}.txt", "aarch64-manylinux_2_36", "3.10", tmp_path, ("jieba", "seqeval"))
    assert done.returncode == 0, done.stderr
