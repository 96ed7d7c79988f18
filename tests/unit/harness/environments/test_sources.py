"""From source: what the container that compiles is told and given; no engine is asked."""

from pathlib import Path

import pytest

from harness.catalogue import entries
from harness.checkout import ROOT
from harness.environments import sources
from harness.environments.client import Client
from harness.environments.images import Image
from harness.errors import BuildError

KINDS = entries.load(ROOT).hardware
DOCKER = Client("docker", "docker", "20.10", "buildkit")
COMPILED = [name for name, kind in KINDS.items() if "source" in kind.data]


def an_image(kind, **changes):
    return Image(hardware=KINDS[kind], target="source", root=ROOT, **changes)


def commands(image, client=DOCKER):
    return list(sources.commands(image, client, Path("/context"), "c", Path("/built")))


@pytest.mark.parametrize("kind", COMPILED)
def test_it_is_told_what_the_data_names(kind):
    told, source = sources.variables(an_image(kind)), KINDS[kind].data["source"]
    assert told["REPOSITORY"] == source["repository"] and told["DIRECTORY"] == source["directory"]
    assert "{options}" not in told["COMMAND"]
    assert all(option in told["COMMAND"] for option in source.get("options", ()))
    assert all(f"export {name}=" in told["COMMAND"] for name in source.get("environment", {}))
    assert all(told["PADDLE_VERSION"].split(".")), "never 0.0.0"


def test_the_version_is_the_tags_and_else_the_locks():
    assert sources.variables(an_image("ascend"))["PADDLE_VERSION"] == "3.0.0", "of release/3.0.0"
    assert sources.variables(an_image("cpu"))["PADDLE_VERSION"] == "3.0.0", "a commit names none"


def test_a_plug_in_asks_for_its_few_submodules_and_paddle_beside_it():
    ascend, cpu = sources.variables(an_image("ascend")), sources.variables(an_image("cpu"))
    assert ascend["SUBMODULES"].split()[:2] == ["Paddle", "Paddle/third_party/gflags"]
    assert ascend["BESIDE"] == "paddlepaddle" and "paddle_submodule" in ascend["COMMAND"]
    assert cpu["SUBMODULES"] == "all" and cpu["BESIDE"] == ""


def test_a_module_of_a_module_stands_behind_it():
    for kind in COMPILED:
        modules = KINDS[kind].data["source"].get("submodules", [])
        for place, module in enumerate(modules):
            owners = [other for other in modules if module.startswith(f"{other}/")]
            assert all(modules.index(owner) < place for owner in owners), (kind, module)


def test_the_container_is_made_filled_run_and_emptied_in_that_order():
    words = commands(an_image("cpu", tree=Path("/own")))
    assert [word[1] for word in words] == ["create", "cp", "cp", "cp", "cp", "start", "cp"]
    assert ["docker", "cp", "/own/.", "c:/tree"] in words and words[-1][-2:] == ["c:/built/.", "/built"]
    assert "homework-source-cpu:/source" in words[0], "a build that broke off goes on"


def test_nothing_secret_stands_in_its_variables():
    assert not any("secret" in word for word in commands(an_image("cpu"))[0])


def test_the_driver_goes_in_where_the_engine_is_here(monkeypatch):
    monkeypatch.setattr(sources.passthrough, "words", lambda *args, **options: iter(("--device", "/dev/davinci0")))
    assert "/dev/davinci0" in commands(an_image("ascend"))[0]
    far = Client("docker", "docker", "20.10", "buildkit", address="ssh://far")
    assert "/dev/davinci0" not in commands(an_image("ascend"), far)[0]


def test_a_kind_without_sources_is_refused():
    with pytest.raises(BuildError, match="not built from source"):
        sources.variables(an_image("sim"))
