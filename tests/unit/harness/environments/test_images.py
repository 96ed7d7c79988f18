"""Images: the build's command, its context and secrets, and what is up to date; no engine is asked."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from samples import a_kind

from harness.catalogue import entries
from harness.cli import building
from harness.environments import client, images, inventory, pins, sources
from harness.environments.client import Client
from harness.errors import BuildError, EngineError, UsageError

ROOT = Path(__file__).resolve().parents[4]
BUILDKIT = Client("/usr/bin/docker", "docker", "20.10.24", "buildkit")
BUILDX = Client("/usr/bin/docker", "docker", "28.2.2", "buildx")
PODMAN = Client("/usr/bin/podman", "podman", "4.3.1", "podman")
KINDS = entries.load(ROOT).hardware


def an_image(kind="cpu", **more):
    return images.Image(hardware=KINDS[kind], root=ROOT, **more)


def build_arguments(words):
    pairs = [words[place + 1] for place, word in enumerate(words) if word == "--build-arg"]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_dockerfile_and_a_command(kind):
    image = an_image(kind)
    words = images.command(image, BUILDKIT, Path("/context"), {})
    assert image.dockerfile.is_file()
    given = build_arguments(words)
    assert given["BASE"] and "{" not in given["BASE"]
    assert given["PACKAGES"].split() == KINDS[kind].data["wheels"]["packages"]
    assert given["INDEX"] == KINDS[kind].data["wheels"].get("index", "")
    assert words[-1] == "/context"


def test_the_dockerfiles_declare_every_argument_that_they_are_given():
    for kind in KINDS:
        text = (ROOT / f"Dockerfile.{kind}").read_text()
        for name in images.arguments(an_image(kind)):
            assert f"ARG {name}" in text, f"Dockerfile.{kind}: {name}"


def test_a_base_is_that_of_the_engines_machine():
    image = an_image("ascend")
    assert "npu-910b-base-aarch64-gcc84" in images.arguments(image, "aarch64")["BASE"]
    far = replace(BUILDKIT, machine="aarch64")
    assert "-aarch64-" in build_arguments(images.command(image, far, Path("/c"), {}))["BASE"]


def test_an_image_is_built_by_a_python_that_the_wheels_and_the_locks_are_for():
    assert images.arguments(an_image("ascend"))["PYTHONS"] == "3.10"
    assert images.arguments(an_image("cpu"))["PYTHONS"] == "3.10 3.11 3.12 3.13"


def test_an_image_has_the_commands_that_its_stacks_programs_call_unless_it_is_built_offline():
    assert "g++" in entries.tools("base") and not entries.tools("science")
    image = an_image(tools=("g++",))
    assert images.arguments(image)["TOOLS"] == "g++" and images.arguments(replace(image, offline=True))["TOOLS"] == ""
    assert image.recipe != an_image().recipe


def test_no_dockerfile_needs_what_an_old_engine_lacks():
    for path in ROOT.glob("Dockerfile.*"):
        text = path.read_text()
        assert "# syntax" not in text and "<<" not in text
        assert "projects" not in text, "projects are mounted, not copied"


def test_each_builder_gets_its_own_words():
    words = {each.builder: images.command(an_image(), each, Path("/c"), {}) for each in (BUILDKIT, BUILDX, PODMAN)}
    assert "--load" in words["buildx"] and "--load" not in words["buildkit"]
    assert "--progress" not in words["podman"]


@pytest.fixture
def checkout(tmp_path):
    """A small checkout: one Dockerfile, one script, two locks."""
    locks = tmp_path / "docker" / "locks"
    locks.mkdir(parents=True)
    (locks / "base.in").write_text("paddlepaddle==3.0.0\n")
    for name in ("base", "science"):
        (locks / f"{name}.txt").write_text(f"# {name}\npaddlepaddle==3.0.0\n")
    (tmp_path / "docker" / "stack.sh").write_text("true\n")
    (tmp_path / "Dockerfile.cpu").write_text("FROM scratch\n")
    return tmp_path


def test_the_recipe_changes_with_what_decides_the_image_and_with_nothing_else(checkout):
    image = replace(an_image(), root=checkout)
    before = image.recipe
    (checkout / "projects").mkdir()
    (checkout / "projects" / "main.py").write_text("print()\n")
    (checkout / "docker" / "locks" / "science.txt").write_text("numpy\n")
    assert image.recipe == before
    (checkout / "docker" / "locks" / "base.txt").write_text("numpy\n")
    assert image.recipe != before


def test_the_context_holds_one_lock_the_scripts_and_the_own_wheels(checkout, tmp_path, monkeypatch):
    monkeypatch.setattr(images.uv, "pip_settings", lambda: {"index-url": "https://user:word@index.example/simple"})
    wheels = tmp_path / "own"
    wheels.mkdir()
    (wheels / "a-1-py3-none-any.whl").write_text("")
    context = images.stage(replace(an_image(), root=checkout, wheels=wheels))
    files = sorted(path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file())
    assert files == ["Dockerfile.cpu", "docker/locks/base.txt", "docker/stack.sh", "wheels/a-1-py3-none-any.whl"]
    secret = images.secrets_folder(context) / "pip"
    assert "user:word" in secret.read_text() and secret.stat().st_mode & 0o077 == 0
    words = images.command(replace(an_image(), root=checkout), BUILDKIT, context, {})
    assert "user:word" not in " ".join(words)


def test_what_the_sdk_imports_goes_with_the_lock_and_decides_the_image(checkout):
    (checkout / "docker" / "locks" / "cann.txt").write_text("sympy==1.14\n")
    plain = replace(an_image(), root=checkout)
    wheels = {**plain.hardware.data["wheels"], "beside": "cann"}
    image = replace(plain, hardware=replace(plain.hardware, data={**plain.hardware.data, "wheels": wheels}))
    context = images.stage(image)
    assert (context / "docker" / "locks" / "beside.txt").read_text() == "sympy==1.14\n"
    assert image.recipe != plain.recipe


def test_logs_and_bills_of_two_versions_lie_beside_each_other():
    contexts = [Path(f"builds/metax-base-3.3.{number}") for number in (0, 1)]
    assert [images.sibling(context, ".log").name for context in contexts] == [f"{each.name}.log" for each in contexts]


def test_a_folder_of_this_machine_is_no_index_for_a_build(tmp_path):
    images._write_secrets(
        tmp_path / "s", {"extra-index-url": "file:///opt/x https://a.example", "find-links": "/opt/w"}
    )
    assert (tmp_path / "s" / "pip").read_text() == "[global]\nextra-index-url = https://a.example\n"


def test_no_network_is_given_where_none_is_wanted():
    words = images.command(an_image(offline=True), BUILDKIT, Path("/c"), {})
    assert words[words.index("--network") + 1] == "none"
    assert "--network" not in images.command(an_image(), BUILDKIT, Path("/c"), {})


def test_the_sources_are_those_of_a_commit_once_it_is_pinned(tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@localhost", "-C", str(repository)]
    subprocess.run(["git", "init", "-q", "-b", "release/3.0.0", str(repository)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    subprocess.run([*git, "tag", "-a", "-m", "a tag", "v3"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert images._commit(str(repository), "release/3.0.0") == images._commit(str(repository), "v3") == commit
    assert images._commit("https://nowhere.invalid", commit) == commit
    with pytest.raises(EngineError, match="cannot be pinned"):
        images._commit(str(repository), "release/9")
    image = an_image("ascend", target="source")
    assert sources.variables(image)["REVISION"] == "release/3.0.0"
    named = "https://github.com/PaddlePaddle/PaddleCustomDevice@release/3.0.0"
    monkeypatch.setattr(pins, "read", lambda root: {named: commit})
    assert sources.variables(image)["REVISION"] == commit


def test_hashes_of_wheels_that_are_kept_go_to_the_build(checkout):
    (checkout / pins.FILE).write_text(json.dumps({"paddle_x-3.0.0-cp310.whl": "ab", "debian:12": "debian@sha256:1"}))
    assert images.arguments(replace(an_image(), root=checkout))["PINS"] == "paddle_x-3.0.0-cp310.whl=ab"


def test_a_pinned_base_is_taken_by_its_digest(checkout):
    named = KINDS["cpu"].data["image"]["base"]
    (checkout / pins.FILE).write_text(json.dumps({named: "python@sha256:12"}))
    assert images.base(replace(an_image(), root=checkout)) == "python@sha256:12"
    assert images.base(replace(an_image(base="debian:12"), root=checkout)) == "debian:12"


def test_a_failed_step_is_shown_and_the_whole_log_kept(tmp_path, capfd):
    log = tmp_path / "log"
    with pytest.raises(BuildError, match="whole log"):
        images.run(["sh", "-c", "seq 100; echo '#7 ERROR: no wheel'; exit 1"], log, "Building it")
    assert "no wheel" in capfd.readouterr().err
    assert log.read_text().startswith("1\n2\n")


def test_a_client_without_buildkit_is_refused():
    with pytest.raises(EngineError, match="cannot build"):
        images.require_builder(replace(BUILDKIT, builder=""))


def test_words_that_mean_nothing_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no wheel there"):
        building.image(KINDS["cpu"], "base", False, "", str(tmp_path))
    with pytest.raises(UsageError, match="no sources there"):
        building.image(KINDS["cpu"], "base", True, "", tree=str(tmp_path))
    with pytest.raises(BuildError, match="no stack"):
        building.image(KINDS["cpu"], "bass", False, "", "")


def test_a_dry_run_prints_the_command_and_builds_nothing(capsys, monkeypatch):
    monkeypatch.setattr(client, "find", lambda to_build=False: None)
    building.build_all([an_image("ascend")], building.Wishes(dry_run=True))
    assert "docker build --file" in capsys.readouterr().out


def test_the_bill_of_materials_is_the_same_for_the_same_packages():
    held = {"pypi": [["numpy", "1.26.4"]], "deb": [["libgomp1", "12.2"]]}
    bill = inventory.bill(held, "image")
    assert bill == inventory.bill(held, "image")
    document = json.loads(bill)
    assert document["bomFormat"] == "CycloneDX"
    assert [part["purl"] for part in document["components"]] == [
        "pkg:pypi/numpy@1.26.4",
        "pkg:deb/debian/libgomp1@12.2",
    ]


# The vendor's SDKs in an image


SDKS = [{"name": "CANN", "version": ">=8.0.0,<8.1", "files": ["/opt/cann"], "read": "(?P<version>.*)"}]


@pytest.mark.parametrize(
    ("held", "unfit"),
    [
        ({"CANN": "8.0.RC3.alpha003"}, "CANN 8.0.RC3.alpha003 in the image, >=8.0.0,<8.1 wanted"),
        ({"CANN": "8.0.0"}, ""),
        ({"CANN": None}, ""),
        ({}, ""),
    ],
)
def test_an_image_whose_sdk_the_wheels_were_not_built_for_is_told(held, unfit):
    kind = a_kind("abacus", "accelerator", requires={"sdks": SDKS})
    found = {"Config": {"Labels": {images.LABEL + "sdks": json.dumps(held)}}}
    assert images.unfit_sdks(kind, found) == unfit
