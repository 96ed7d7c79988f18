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

# Of kinds whose images are alike, these stand for the others: bash-only scripts on Ubuntu, a system with yum, and one
# with neither. HOMEWORK_MACHINES=all builds and starts every kind's.
BUILT = sorted(MACHINES) if os.environ.get("HOMEWORK_MACHINES") == "all" else ["ascend", "hygon", "mthreads"]


@pytest.mark.parametrize("kind", MACHINES)
def test_the_machine_of_every_kind_is_told_as_it_is(kind, place):
    with machines.host(MACHINES[kind]):
        done = place("doctor", "--hw", kind, env=machines.environment(MACHINES[kind]))
        assert "✓ cards:" in done.stdout, done.stdout
        assert "Traceback" not in done.stderr
        if starts(kind):
            assert "✓ device files:" in done.stdout, done.stdout
        shown = place("build", "--hw", kind, "--dry-run", env=machines.environment(MACHINES[kind]))
        assert shown.returncode == 0 and f"Dockerfile.{kind}" in shown.stdout, shown.stderr


@pytest.fixture(scope="module")
def bases(engine, tmp_path_factory):
    """The base image of each family."""
    found = {
        family: machines.base_image(engine, family, tmp_path_factory.mktemp(family))
        for family in sorted({MACHINES[kind]["family"] for kind in BUILT})
    }
    yield found
    for name in found.values():
        engine.read("rmi", "--force", name)


@pytest.fixture(scope="module", params=BUILT)
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
