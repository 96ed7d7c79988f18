"""Stacks: made once from their lock, finished when they were broken off, made anew when the lock changed."""

import hashlib
import json
import multiprocessing
import platform
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from samples import a_kind

from harness.catalogue import releases
from harness.environments import stacks, uv
from harness.environments.stacks import Stack
from harness.errors import BuildError

INDEX = "https://example.org/simple/"
SHA = "a" * 64


@pytest.fixture
def root(tmp_path):
    """A checkout that has nothing but two locks."""
    locks = tmp_path / "docker" / "locks"
    locks.mkdir(parents=True)
    (locks / "base.in").write_text("# the homework's version\npaddlepaddle==3.0.0\n")
    (locks / "base.txt").write_text("numpy==1.26.4\n")
    (locks / "science.txt").write_text("scipy==1.11\n")
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """Stand-ins for the commands that install: the test says what they do, as Python."""

    def use(*programs: str) -> None:
        lists = [[sys.executable, "-c", program] for program in programs]
        monkeypatch.setattr(stacks, "install_commands", lambda stack: lists)
        monkeypatch.setattr(stacks, "vendor_commands", lambda stack: [])
        monkeypatch.setattr(uv, "pip_settings", dict)

    return use


def make_folder(stack: Stack) -> str:
    return f"import pathlib; pathlib.Path({str(stack.folder)!r}).mkdir(exist_ok=True)"


# Which stack a kind has


def test_a_kind_whose_paddle_is_in_the_lock_shares_the_stack(root):
    shared = stacks.stack("base", a_kind(), root)
    assert shared == stacks.stack("base", None, root)
    assert shared.folder == root / ".stacks" / "base" and shared.vendor_wheels == ()
    assert shared.python == root / ".stacks" / "base" / "bin" / "python"


def test_a_kind_with_wheels_of_its_own_has_a_stack_of_its_own(root):
    kind = a_kind(
        "npu",
        wheels={"packages": ["paddlepaddle", "paddle-custom-npu"], "index": INDEX, "python": ["3.10", "3.11", "3.12"]},
    )
    own = stacks.stack("science", kind, root)
    assert own.folder == root / ".stacks" / "science-npu" and own.index == INDEX
    assert own.vendor_wheels == ("paddlepaddle==3.0.0", "paddle-custom-npu==3.0.0")


def test_versions_lie_beside_each_other_each_with_its_lock(root):
    (root / "docker" / "locks" / "3.3.1").mkdir()
    (root / "docker" / "locks" / "3.3.1" / "base.txt").write_text("paddlepaddle==3.3.1\n")
    new = stacks.stack("base", a_kind(), root, releases.load().of("3.3.1"))
    assert new.folder == root / ".stacks" / "base-3.3.1" and new.lock_text == "paddlepaddle==3.3.1\n"
    wheels = {"packages": ["paddlepaddle", "paddle-custom-npu"], "index": INDEX, "python": ["3.10"]}
    own = stacks.stack("base", a_kind("npu", wheels=wheels), root, releases.load().of("3.3.1"))
    assert own.folder == root / ".stacks" / "base-3.3.1-npu" and own.vendor_wheels[1] == "paddle-custom-npu==3.3.1"


def test_an_unlisted_version_takes_the_place_of_paddle_in_the_nearest_lock(root):
    paddle = "paddlepaddle==3.0.0 \\\n    --hash=b \\\n    --hash=c\n"
    lock = f"numpy==1.26.4 \\\n    --hash=a\n{paddle}pyyaml==6 \\\n    --hash=d\n"
    (root / "docker" / "locks" / "base.txt").write_text(lock)
    stack = stacks.stack("base", a_kind(), root, releases.load().of("3.0.1"))
    assert stack.lock_text == "numpy==1.26.4 \\\n    --hash=a\npyyaml==6 \\\n    --hash=d\n"
    _, sync, install = stacks.install_commands(stack)
    assert sync[-1] == str(stack.others) and "--require-hashes" in sync and install[-1] == "paddlepaddle==3.0.1"
    assert stack.recipe != stacks.stack("base", a_kind(), root).recipe
    assert sync in stacks.missing_commands(stack) and stack.others.read_text() == stack.lock_text, "it can be typed"


def test_an_own_wheel_is_installed_alone_whatever_the_index_has_of_its_name(root):
    (root / "docker" / "locks" / "base.txt").write_text("paddlepaddle==3.0.0 \\\n    --hash=b\n")
    stack = stacks.stack("base", a_kind(), root, releases.load().of("3.0.0", str(root)))
    _, _, alone, more = stacks.install_commands(stack)
    assert {"--no-index", "--no-deps"} <= set(alone)
    assert alone[-3:] == ["--find-links", str(root), "paddlepaddle==3.0.0"]
    assert "--no-index" not in more and stack.folder.name == "base-3.0.0-own" and stack.lock_text == ""


def test_the_hash_of_an_own_wheel_is_kept(root, commands):
    for name in ("3.0.1-cp311-cp311-any", "3.0.1-cp310-cp310-any", "3.0.2-cp311-cp311-any"):
        (root / f"paddlepaddle-{name}.whl").write_text(name)
    stack = stacks.stack("base", a_kind(), root, releases.load().of("3.0.1", str(root)))
    settings = f"pathlib.Path({str(stack.folder)!r}, 'pyvenv.cfg').write_text('version = 3.11.7')"
    commands(make_folder(stack), f"import pathlib; {settings}")
    stacks.prepare(replace(stack, base=str(root)))
    sha256 = hashlib.sha256(b"3.0.1-cp311-cp311-any").hexdigest()
    assert (stack.folder / stacks.HASHES).read_text() == f"{sha256}  paddlepaddle-3.0.1-cp311-cp311-any.whl\n"


def test_an_unknown_stack_is_refused_with_the_known_ones(root):
    with pytest.raises(BuildError) as caught:
        stacks.stack("bass", None, root)
    assert "'bass'" in caught.value.what and "base, science" in caught.value.why


# The commands


def test_the_lock_is_synced_with_its_hashes(root):
    venv, sync = stacks.install_commands(stacks.stack("base", None, root))
    assert venv[:4] == [sys.executable, "-m", "uv", "venv"] and "--allow-existing" in venv
    assert sync[3:5] == ["pip", "sync"] and "--require-hashes" in sync
    assert sync[-1] == str(root / "docker" / "locks" / "base.txt")


def test_a_plug_in_is_installed_beside_the_lock_s_paddle(root):
    kind = a_kind(
        "npu",
        wheels={"packages": ["paddlepaddle", "paddle-custom-npu"], "index": INDEX, "python": ["3.10", "3.11", "3.12"]},
    )
    commands = stacks.vendor_commands(stacks.stack("base", kind, root))
    assert not any("uninstall" in command for command in commands)
    assert {command[-1] for command in commands} == {"paddle-custom-npu==3.0.0"}


def test_what_the_sdk_imports_is_installed_beneath_the_lock_and_by_hash(root):
    wheels = {"packages": ["paddlepaddle", "paddle-custom-npu"], "index": INDEX, "python": ["3.10", "3.11", "3.12"]}
    plain = stacks.stack("science", a_kind("npu", wheels=wheels), root)
    stack = stacks.stack("science", a_kind("npu", wheels={**wheels, "beside": "cann"}), root)
    (root / "docker" / "locks" / "cann.txt").write_text("scipy==1.15\nsympy==1.14\n")
    _, sync, beside, again, _ = stacks.install_commands(stack)
    assert [command[-1] for command in (sync, beside, again)] == [str(stack.lock), str(stack.beside), str(stack.lock)]
    assert {"--require-hashes", "--no-deps"} <= set(beside) & set(again), "the versions of the stack's lock stay"
    assert stack.recipe != plain.recipe, "another list makes it anew"


def test_another_paddle_takes_the_place_of_the_lock_s(root):
    kind = a_kind("cuda", wheels={"packages": ["paddlepaddle-gpu"], "index": INDEX, "python": ["3.10", "3.11", "3.12"]})
    uninstall, *install = stacks.vendor_commands(stacks.stack("base", kind, root))
    assert "uninstall" in uninstall and uninstall[-1] == "paddlepaddle"
    assert all(command[-1] == "paddlepaddle-gpu==3.0.0" for command in install)


# Making an environment


def test_it_is_made_once_and_again_when_the_lock_changed(root, commands):
    stack = stacks.stack("base", None, root)
    count = root / "count"
    commands(make_folder(stack), f"open({str(count)!r}, 'a').write('x')")
    assert not stack.ready
    assert stacks.prepare(stack) == stack and stack.ready
    stacks.prepare(stack)
    assert count.read_text() == "x"
    stack.lock.write_text("numpy==2.0\n")
    assert not stack.ready
    stacks.prepare(stack)
    assert count.read_text() == "xx"


def test_other_wheels_or_another_index_make_it_anew(root, commands):
    wheels = {"packages": ["paddle-custom-npu"], "index": INDEX, "python": ["3.10", "3.11", "3.12"]}
    stack = stacks.stack("base", a_kind("npu", wheels=wheels), root)
    commands(make_folder(stack))
    stacks.prepare(stack)
    assert stacks.stack("base", a_kind("npu", wheels=wheels), root).ready
    assert not stacks.stack("base", a_kind("npu", wheels={**wheels, "index": INDEX + "other"}), root).ready
    assert not stacks.stack("base", a_kind("npu", wheels={**wheels, "packages": ["other"]}), root).ready


def test_an_install_that_fails_is_refused_and_finished_by_the_next_call(root, commands, capfd):
    stack = stacks.stack("base", None, root)
    commands(make_folder(stack), "import sys; sys.exit('no route to the index')")
    with pytest.raises(BuildError) as caught:
        stacks.prepare(stack)
    assert not stack.ready and "could not be installed" in caught.value.what
    assert "Call again" in caught.value.remedy and "no route to the index" in capfd.readouterr().err
    commands(make_folder(stack))
    assert stacks.prepare(stack).ready


def test_the_commands_after_a_failed_one_are_not_run(root, commands):
    stack = stacks.stack("base", None, root)
    commands(make_folder(stack), "raise SystemExit(1)", f"open({str(root / 'later')!r}, 'w')")
    with pytest.raises(BuildError):
        stacks.prepare(stack)
    assert not (root / "later").exists()


def test_two_calls_at_once_install_once(root, commands, capfd):
    stack = stacks.stack("base", None, root)
    count = root / "count"
    commands(make_folder(stack), f"import time; open({str(count)!r}, 'a').write('x'); time.sleep(0.5)")
    fork = multiprocessing.get_context("fork")
    other = fork.Process(target=stacks.prepare, args=(stack,))
    other.start()
    while not count.exists():
        time.sleep(0.01)
    stacks.prepare(stack)
    other.join()
    assert count.read_text() == "x" and stack.ready and other.exitcode == 0
    assert "Another call is installing base; waiting for it." in capfd.readouterr().err


# Which Paddle is there


def installed(root: Path, name: str, tags: str) -> Path:
    """An environment that holds a Paddle, as far as its metadata goes; its Python."""
    info = root / "venv" / "lib" / "python3.11" / "site-packages" / f"{name}.dist-info"
    info.mkdir(parents=True)
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\n{tags}\n")
    return root / "venv" / "bin" / "python"


def test_the_wheel_is_recognised_by_its_version_python_and_machine(root, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    start = "paddlepaddle-3.0.0"
    wheels = {
        f"{start}-cp310-cp310-manylinux1_x86_64.whl": {"sha256": "0" * 64},
        f"{start}-cp311-cp311-manylinux1_aarch64.whl": {"sha256": "1" * 64},
        f"{start}-cp311-cp311-manylinux1_x86_64.whl": {"sha256": SHA},
    }
    (root / "docker" / "locks" / "paddle-wheels.json").write_text(json.dumps(wheels))
    paddle = stacks.installed_paddle(installed(root, start, "Tag: cp311-cp311-linux_x86_64"), root)
    assert paddle == stacks.Paddle("paddlepaddle", "3.0.0", f"{start}-cp311-cp311-manylinux1_x86_64.whl", SHA)


@pytest.mark.parametrize("tags", ["Tag: cp39-cp39-linux_x86_64", "no tag"])
def test_a_paddle_whose_wheel_is_not_known_is_named_without_one(root, tags):
    (root / "docker" / "locks" / "paddle-wheels.json").write_text("{}")
    paddle = stacks.installed_paddle(installed(root, "paddlepaddle_gpu-3.0.0", tags), root)
    assert paddle == stacks.Paddle("paddlepaddle-gpu", "3.0.0", None, None)


def test_an_environment_without_paddle_has_none(root):
    assert stacks.installed_paddle(root / "venv" / "bin" / "python", root) is None
