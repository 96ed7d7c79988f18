"""Every kind on a machine shaped as its vendor's, from the first look at it up to the honest refusal.

What is refused is the CPU's Paddle in the place of the vendor's: it cannot open the device, so no such run passes.
"""

import os
import subprocess

import machines
import pytest
from containers import BUILD_SECONDS, KINDS, NAMES
from machines import MACHINES

from harness.environments import passthrough

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bases(engine, tmp_path_factory):
    """The base image of each family."""
    found = {
        family: machines.base_image(engine, family, tmp_path_factory.mktemp(family)) for family in machines.FAMILIES
    }
    yield found
    for name in found.values():
        engine.read("rmi", "--force", name)


@pytest.fixture(scope="module", params=MACHINES)
def machine(request, bases, place, engine):
    """A kind, with its image built on its machine's base, and this machine as its host."""
    kind = request.param
    described = MACHINES[kind]
    path = f"{os.path.dirname(described['lister']['tool'])}:{os.environ['PATH']}"
    environment = {**os.environ, "HOMEWORK_BUILD_ARGUMENTS": machines.STAND_IN, "PATH": path}
    with machines.host(described):
        words = ("build", "--hw", kind, "--base", bases[described["family"]])
        done = place(*words, timeout=BUILD_SECONDS, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        yield kind, described, environment
    engine.read("rmi", f"{NAMES}/{kind}:base")


def in_container(engine, kind, *words, user="4321:4321"):
    """What a container of the kind's image says, with the devices that a run would have, for an ordinary user."""
    passed = list(passthrough.words(KINDS[kind].data, engine))
    command = [engine.path, "run", "--rm", "--network", "none", "--user", user, *passed, f"{NAMES}/{kind}:base", *words]
    return subprocess.run(command, capture_output=True, text=True)


def starts(kind):
    """Whether this engine can start such a container at all: none here has a vendor's runtime, or every privilege."""
    container = KINDS[kind].data["container"]
    return not container.get("privileged") and "runtime" not in container


def test_the_machine_is_told_as_it_is(machine, place):
    kind, _, environment = machine
    done = place("doctor", "--hw", kind, env=environment)
    cards = next(line for line in done.stdout.splitlines() if "✓ cards:" in line)
    assert cards, done.stdout
    if starts(kind):
        assert "✓ device files:" in done.stdout, done.stdout


def test_the_container_has_what_the_login_shell_has(machine, engine):
    kind, described, _ = machine
    if not starts(kind):
        pytest.skip("this engine cannot start it")
    done = in_container(engine, kind, "env")
    assert done.returncode == 0, done.stderr
    seen = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert described.get("sets", {}).items() <= seen.items()
    assert "command not found" not in done.stderr


def test_an_ordinary_user_can_open_each_device_there(machine, engine):
    kind, described, _ = machine
    if not starts(kind):
        pytest.skip("this engine cannot start it")
    nodes = [node for node, group in described["nodes"].items() if group]
    assert nodes
    for node in nodes:
        done = in_container(engine, kind, "sh", "-c", f"exec 3<>{node} && echo opened")
        assert done.stdout == "opened\n", (node, done.stderr)


def test_a_run_comes_as_far_as_the_device_and_passes_for_nothing(machine, place):
    kind, _, environment = machine
    if not starts(kind):
        pytest.skip("this engine cannot start it")
    done = place("run", "--task", "1", "--hw", kind, "--on", "container", env=environment)
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    record = next(record for record in place.records() if record["cell"]["hardware"] == kind)
    assert record["engine"]["name"] == "container" and not record["passed"]
    assert record["exit"] == {"reason": "finished", "code": 3, "signal": None}, "the device cannot be opened"
    assert record["paddle"]["package"] == "paddlepaddle" and record["plug_ins"] == []
    chosen = [card["index"] for card in record["hardware"]["cards"]]
    assert len(chosen) == 1 and KINDS[kind].data["visible_devices"] in record["environment"]
