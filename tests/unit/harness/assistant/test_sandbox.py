"""The sandbox holds code that really runs, and says which call it refused; nothing leaves it."""

import os
import sys

import pytest

from harness.assistant import memory, sandbox
from harness.errors import EngineError

pytestmark = pytest.mark.usefixtures("namespaces")
QUICK = sandbox.Limits(seconds=3, memory=512 * 2**20, disk=2**20, processes=32)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os\nwhile True: os.fork()", "temporarily unavailable"),
        ("x = bytearray(10**10)", "MemoryError"),
        ("while True: pass", "longer than"),
        ("while True: print('x' * 9999)", "KiB of output"),
        ("open('big', 'wb').write(b'x' * 10**8)", "No space left"),
        ("for n in range(9):\n  open(f'part{n}', 'wb').write(b'x' * 500_000)", "No space left"),
        ("open('/usr/mine', 'w')", "Read-only"),
        ("import os; os.listdir('/home'), os.listdir('/var')", "No such file"),
    ],
)  # fmt: skip
def test_hostile_code_is_held(code, said):
    outcome = sandbox.run({"a.py": code}, ["a.py"], QUICK)
    assert not outcome.passed
    assert said in outcome.output + outcome.stopped


def test_a_kill_by_the_kernel_is_told_from_a_sandbox_that_cannot_be_made():
    code = "import resource\nprint('here', flush=True)\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: 1"
    outcome = sandbox.run({"a.py": code}, ["a.py"], QUICK)
    assert outcome.output == "here\n" and "longer than" in outcome.stopped


def test_children_that_left_the_session_end_too():
    child = "    os.setsid()\n    print('child', flush=True)\n    time.sleep(60)\n"
    code = f"import os, time\nif os.fork() == 0:\n{child}else: time.sleep(0.3)\n"
    outcome = sandbox.run({"a.py": code}, ["a.py"], QUICK)
    assert outcome.passed and outcome.output == "child\n"


def test_processes_that_are_small_each_are_held_together():
    code = "import os, time\nfor _ in range(3): os.fork()\nx = b'x' * (60 * 2**20)\ntime.sleep(60)\n"
    limits = sandbox.Limits(seconds=20, memory=200 * 2**20)
    assert sandbox.run({"a.py": code}, ["a.py"], limits).stopped == "more than 200 MiB of memory in all processes"


FAMILIES = {"AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17, "AF_ALG": 38, "AF_VSOCK": 40, "AF_XDP": 44}
ASK = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for number, *words in CALLS:
    result = libc.syscall(number, *words)
    print(result, errno.errorcode.get(ctypes.get_errno()) if result < 0 else "")
"""


def refusals(calls: list[tuple[int, ...]]) -> list[str]:
    outcome = sandbox.run({"a.py": ASK.replace("CALLS", repr(calls))}, ["a.py"], QUICK)
    assert outcome.passed, outcome
    return outcome.output.split("\n")[:-1]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are its numbers")
def test_every_family_of_sockets_but_one_is_refused():
    calls = [(41, family, 1, 0) for family in [*FAMILIES.values(), *range(2, 46)]]
    assert set(refusals(calls)) == {"-1 EPERM"}
    assert refusals([(41, 1, 1, 0)]) == ["3 "]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are its numbers")
def test_calls_that_lead_out_of_a_sandbox_are_refused():
    named = {
        "io_uring_setup": (425, 1, 0), "keyctl": (250, 0, 0, 0), "add_key": (248, 0, 0, 0, 0, 0),
        "ptrace": (101, 0, 0, 0, 0),
        "memfd_create": (319, 0, 0), "shmget": (29, 0, 4096, 0o1777), "msgget": (68, 0, 0o1777),
        "semget": (64, 0, 1, 0o1777),
        "unshare": (272, 0x10000000), "clone of a user namespace": (56, 0x10000011, 0, 0, 0, 0), "bpf": (321, 0, 0, 0),
        "mount": (165, 0, 0, 0, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0), "pidfd_getfd": (438, 0, 0, 0),
        "userfaultfd": (323, 0), "perf_event_open": (298, 0, 0, 0, 0, 0), "TIOCSTI": (16, 0, 0x5412, 0),
    }  # fmt: skip
    assert dict(zip(named, refusals([*named.values()]), strict=True)) == dict.fromkeys(named, "-1 EPERM")
    assert refusals([(435, 0, 0)]) == ["-1 ENOSYS"]  # clone3


def test_a_machine_without_bubblewrap_or_libseccomp_runs_nothing_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    with pytest.raises(EngineError) as caught:
        sandbox.run({}, ["-c", ""])
    assert "apt-get install bubblewrap" in caught.value.remedy
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(EngineError, match="no libseccomp") as caught:
        sandbox.run({}, ["-c", ""])
    assert "libseccomp2" in caught.value.remedy


def test_without_a_cgroup_the_memory_of_all_processes_is_looked_at(monkeypatch):
    monkeypatch.setattr(memory, "_places", lambda: [])
    code = "import os, time\nfor _ in range(3): os.fork()\nx = b'x' * (60 * 2**20)\ntime.sleep(60)\n"
    limits = sandbox.Limits(seconds=20, memory=200 * 2**20)
    assert sandbox.run({"a.py": code}, ["a.py"], limits).stopped == "more than 200 MiB of memory in all processes"


def test_a_program_has_no_privilege_and_sees_nothing_of_the_machine():
    code = "import os; print(os.getuid(), sorted(os.environ), os.listdir('/proc'), os.path.exists('/root/.bashrc'))"
    seen = "65534 ['HOME', 'LANG', 'PATH', 'PWD', 'SAID', 'TMPDIR'] [] False\n"
    assert sandbox.run({"a.py": code}, ["a.py"], QUICK).output == seen
