"""Every kind on a machine shaped as its vendor's, from the first look at it up to the honest refusal.

What is refused is the CPU's Paddle in the place of the vendor's: it cannot open the device, so no such run passes.
"""

import subprocess

import machines
import pytest
import yaml
from containers import BASE, BUILD_SECONDS, KINDS, ROOT, stand_in_runtimes
from machines import MACHINES

from harness.environments import images, passthrough

pytestmark = pytest.mark.slow


def image(kind):
    """The name of a kind's image, for the version of Paddle that is the kind's own."""
    return images.Image(hardware=KINDS[kind], root=ROOT).name


def alike(kind):
    """What two kinds' images share all layers by; such kinds follow each other, while the engine still has them."""
    return MACHINES[kind]["family"], image(kind).rpartition(":")[2], "imports" in MACHINES[kind], kind


@pytest.mark.parametrize("kind", MACHINES)
def test_the_machine_of_every_kind_is_told_as_it_is(kind, place):
    with machines.host(MACHINES[kind]):
        done = place("doctor", "--hw", kind, env=machines.environment(MACHINES[kind]))
        assert "✓ cards:" in done.stdout, done.stdout
        assert "Traceback" not in done.stderr
        container = KINDS[kind].data["container"]
        assert ("✓ device files:" in done.stdout) == bool(container.get("devices")), done.stdout
        assert ("✓ the engine's device runtime:" in done.stdout) == bool(container.get("runtime")), done.stdout
        shown = place("build", "--hw", kind, "--dry-run", env=machines.environment(MACHINES[kind]))
        assert shown.returncode == 0 and f"Dockerfile.{kind}" in shown.stdout, shown.stderr


@pytest.fixture(scope="module")
def bases(engine, tmp_path_factory):
    """The base image of each family."""
    found = {
        family: machines.base_image(engine, family, tmp_path_factory.mktemp(family)) for family in machines.FAMILIES
    }
    yield found
    for name in found.values():
        engine.read("rmi", "--force", name)


@pytest.fixture(scope="module", params=sorted(MACHINES, key=alike))
def machine(request, bases, place, engine):
    """A kind, with its image built on its machine's base, and this machine as its host."""
    kind = request.param
    described = MACHINES[kind]
    environment = machines.environment(described)
    with machines.host(described):
        words = ("build", "--hw", kind, "--base", bases[described["family"]])
        done = place(*words, timeout=BUILD_SECONDS, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        yield kind, described, environment
    engine.read("rmi", image(kind))


@pytest.fixture(scope="module")
def started(machine, place, engine):
    """The same, with what this engine may not give a container left out of the kind's data: privileges, high limits."""
    kind, described, environment = machine
    data = dict(KINDS[kind].data)
    container = data["container"] = dict(data["container"])
    if "runtime" in container and not all(
        name in (engine.read("info", "--format", "{{json .Runtimes}}") or "") for name in stand_in_runtimes()
    ):
        pytest.skip("this engine, which is not the tests' own, lacks the vendor's runtime")
    if container.get("privileged") and not gives(engine, {"privileged": True}):
        container["privileged"] = False
    limits = container.get("options", {}).get("ulimit")
    if limits and not gives(engine, {"options": {"ulimit": limits}}):
        container["options"] = {name: value for name, value in container["options"].items() if name != "ulimit"}
    (place.folder / "hardware" / kind / "hardware.yaml").write_text(yaml.safe_dump(data, allow_unicode=True))
    return kind, described, environment, data


def gives(engine, container):
    """Whether an engine starts a container with these options."""
    words = passthrough.words({"container": container}, engine, root=True)
    command = [engine.path, "run", "--rm", "--network", "none", *words, BASE, "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def in_container(engine, kind, data, *words, user="4321:4321"):
    """What a container of the kind's image says, with the devices that a run would have, for an ordinary user."""
    passed = list(passthrough.words(data, engine))
    command = [engine.path, "run", "--rm", "--network", "none", "--user", user, *passed, image(kind), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_container_has_what_the_login_shell_has(started, engine):
    kind, described, _, data = started
    done = in_container(engine, kind, data, "env")
    assert done.returncode == 0, done.stderr
    seen = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert described.get("sets", {}).items() <= seen.items()
    assert "command not found" not in done.stderr


def test_a_program_there_can_import_what_the_sdk_does(started, engine):
    kind, described, _, data = started
    done = in_container(
        engine, kind, data, "python", "-c", f"import {', '.join(['sys', *described.get('imports', [])])}"
    )
    assert done.returncode == 0, done.stderr


def test_an_ordinary_user_can_open_each_device_there(started, engine):
    kind, described, _, data = started
    nodes = [node for node, group in described["nodes"].items() if group]
    if not data["container"].get("devices") and not data["container"].get("privileged"):
        pytest.skip("its runtime, or every privilege, hands the cards over")
    for node in nodes:
        done = in_container(engine, kind, data, "sh", "-c", f"exec 3<>{node} && echo opened")
        assert done.stdout == "opened\n", (node, done.stderr)


def test_a_run_comes_as_far_as_the_device_and_passes_for_nothing(started, place):
    kind, _, environment, _ = started
    done = place("run", "--task", "1", "--hw", kind, "--on", "container", env=environment)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    record = next(record for record in place.records() if record["cell"]["hardware"] == kind)
    assert record["engine"]["name"] == "container" and not record["passed"]
    assert record["exit"] == {"reason": "finished", "code": 3, "signal": None}, "the device cannot be opened"
    assert record["paddle"]["package"] == "paddlepaddle" and record["plug_ins"] == []
    chosen = [card["index"] for card in record["hardware"]["cards"]]
    assert len(chosen) == 1 and KINDS[kind].data["visible_devices"] in record["environment"]
