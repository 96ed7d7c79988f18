"""Every kind on a machine shaped as its vendor's, from the first look at it up to the honest refusal.

What is refused is the CPU's Paddle in the place of the vendor's: it cannot open the device, so no such run passes.
"""

import subprocess

import machines
import pytest
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
def started(machine, engine):
    """The same, where this engine can start such a container: with every privilege, with the vendor's runtime."""
    kind, *_ = machine
    container = KINDS[kind].data["container"]
    privileged = [engine.path, "run", "--rm", "--network", "none", "--privileged", BASE, "true"]
    if container.get("privileged") and subprocess.run(privileged, capture_output=True).returncode:
        pytest.skip("this engine may not give a container every privilege")
    if "runtime" in container and not all(
        name in (engine.read("info", "--format", "{{json .Runtimes}}") or "") for name in stand_in_runtimes()
    ):
        pytest.skip("this engine, which is not the tests' own, lacks the vendor's runtime")
    return machine


def in_container(engine, kind, *words, user="4321:4321"):
    """What a container of the kind's image says, with the devices that a run would have, for an ordinary user."""
    passed = list(passthrough.words(KINDS[kind].data, engine))
    command = [engine.path, "run", "--rm", "--network", "none", "--user", user, *passed, image(kind), *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_container_has_what_the_login_shell_has(started, engine):
    kind, described, _ = started
    done = in_container(engine, kind, "env")
    assert done.returncode == 0, done.stderr
    seen = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert described.get("sets", {}).items() <= seen.items()
    assert "command not found" not in done.stderr


def test_a_program_there_can_import_what_the_sdk_does(started, engine):
    kind, described, _ = started
    done = in_container(engine, kind, "python", "-c", f"import {', '.join(['sys', *described.get('imports', [])])}")
    assert done.returncode == 0, done.stderr


def test_an_ordinary_user_can_open_each_device_there(started, engine):
    kind, described, _ = started
    nodes = [node for node, group in described["nodes"].items() if group]
    if not nodes:
        pytest.skip("its runtime hands the cards over")
    for node in nodes:
        done = in_container(engine, kind, "sh", "-c", f"exec 3<>{node} && echo opened")
        assert done.stdout == "opened\n", (node, done.stderr)


def test_a_run_comes_as_far_as_the_device_and_passes_for_nothing(started, place):
    kind, _, environment = started
    done = place("run", "--task", "1", "--hw", kind, "--on", "container", env=environment)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    record = next(record for record in place.records() if record["cell"]["hardware"] == kind)
    assert record["engine"]["name"] == "container" and not record["passed"]
    assert record["exit"] == {"reason": "finished", "code": 3, "signal": None}, "the device cannot be opened"
    assert record["paddle"]["package"] == "paddlepaddle" and record["plug_ins"] == []
    chosen = [card["index"] for card in record["hardware"]["cards"]]
    assert len(chosen) == 1 and KINDS[kind].data["visible_devices"] in record["environment"]
