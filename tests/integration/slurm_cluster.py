"""A real Slurm of several nodes on one machine: own ports, own folder, files in the place of cards' device files."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from s3_server import free_ports
from slurm_accounting import Accounting

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CONFIGURATION = """\
ClusterName=homework
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
{types}
SlurmdTimeout=5
SlurmctldTimeout=5
KillWait=5
MinJobAge={remembered}
ReturnToService=2
MailProg=/bin/true
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=120 State=UP OverSubscribe=NO
"""


class Cluster:
    """Nodes by name with their GRES ("npu:910b:2", "gpu:a:2,gpu:b:1" or ""), started and killed one by one."""

    def __init__(self, folder: Path, nodes: Mapping[str, str], cpus: int = 2, accounting: bool = False) -> None:
        self.folder = folder
        self.nodes = dict(nodes)
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool", "munge", "devices"):
            (folder / name).mkdir(parents=True)
        (folder / "munge").chmod(0o755)
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        self.accounting = Accounting(folder) if accounting else None
        self._configure(cpus)
        self.environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}

    def _configure(self, cpus: int) -> None:
        host = socket.gethostname().partition(".")[0]
        ports = free_ports(len(self.nodes) + 1)
        lines, devices = [], []
        for (name, gres), port in zip(self.nodes.items(), ports[1:], strict=True):
            line = f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=4000"
            lines.append(f"{line} Gres={gres}" if gres else line)
            first = 0
            for each in gres.split(",") if gres else ():
                kind, model, number = each.split(":")
                last = first + int(number) - 1
                for card in range(first, last + 1):
                    (self.folder / "devices" / f"{name}-{card}").touch()
                files = f"{self.folder}/devices/{name}-[{first}-{last}]"
                devices.append(f"NodeName={name} Name={kind} Type={model} File={files}")
                first = last + 1
        types = ",".join(sorted({gres.partition(":")[0] for gres in self.nodes.values() if gres}))
        types = types and f"GresTypes={types}"
        (self.folder / "gres.conf").write_text("\n".join([*devices, ""]))
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=host,
                port=ports[0],
                folder=self.folder,
                types=types,
                nodes="\n".join(lines),
                remembered=2 if self.accounting else 300,
            )
            + (self.accounting.lines if self.accounting else "")
        )

    def start(self) -> None:
        """Start what is not running, and wait until every node is idle or at work."""
        if not self._alive("munged"):
            files = {"key-file": "munge.key", "socket": "munge/socket", "pid-file": "munged.pid"}
            files |= {"log-file": "munged.log", "seed-file": "seed"}
            words = [f"--{name}={self.folder / file}" for name, file in files.items()]
            self.spawn("munged", ["--force", "-F", *words])
            self.wait(lambda: (self.folder / "munge" / "socket").exists(), "munged")
        if self.accounting and not self._alive("slurmdbd"):
            self.accounting.start(self)
        if not self._alive("slurmctld"):
            self.spawn("slurmctld", ["-D"])
        for name in self.nodes:
            if not self._alive(name):
                self.spawn(name, ["-D", "-N", name], program="slurmd")
        self.wait(self._ready, "the nodes")

    def _ready(self) -> bool:
        states = self("sinfo", "-h", "-N", "-o", "%T").split()
        if {"down", "drained", "draining"} & set(states):
            self("scontrol", "update", f"nodename={','.join(self.nodes)}", "state=resume")
        return len(states) == len(self.nodes) and set(states) <= {"idle", "allocated", "mixed", "completing"}

    def spawn(self, name: str, words: list[str], program: str = "") -> None:
        path = shutil.which(program or name, path=PATH)
        assert path
        environment = {**self.environment, "SLURMD_NODENAME": name}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._daemons[name] = subprocess.Popen(
                [path, *words], stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )

    def _alive(self, name: str) -> bool:
        return name in self._daemons and self._daemons[name].poll() is None

    def wait(self, condition, what: str) -> None:
        until = time.monotonic() + 60
        while not condition():
            if time.monotonic() > until:
                logs = "\n".join(path.read_text(errors="replace")[-800:] for path in self.folder.glob("*.log"))
                raise RuntimeError(f"Slurm does not come up, {what}:\n{logs}")
            time.sleep(0.1)

    def __call__(self, *words: str) -> str:
        """What a command of Slurm's prints."""
        done = subprocess.run(words, env=self.environment, text=True, capture_output=True, timeout=60)
        return done.stdout.strip()

    def kill_daemon(self, name: str) -> None:
        """Kill slurmctld, or the slurmd of a node, and leave its jobs."""
        self._daemons[name].kill()
        self._daemons[name].wait()

    def kill_node(self, name: str) -> None:
        """A node loses its power: its daemon and all its jobs are gone, and Slurm finds out."""
        self.kill_daemon(name)
        for process in self._processes(f"SLURMD_NODENAME={name}"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self("scontrol", "update", f"nodename={name}", "state=down", "reason=killed")

    def _processes(self, mark: str) -> Iterator[int]:
        wanted = {f"SLURM_CONF={self.folder}/slurm.conf".encode(), *([mark.encode()] if mark else [])}
        for environ in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if wanted <= set(environ.read_bytes().split(b"\0")) and int(environ.parent.name) != os.getpid():
                    yield int(environ.parent.name)

    def stop(self) -> None:
        """Kill everything that belongs to it."""
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        for process in self._processes(""):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


@contextlib.contextmanager
def running(folder: Path, nodes: Mapping[str, str], cpus: int = 2, accounting: bool = False) -> Iterator[Cluster]:
    """A cluster in `folder`; skips the test where Slurm is not installed.

    With `accounting` its controller forgets a job after two seconds, and sacct knows it.
    """
    absent = [name for name in PROGRAMS if not shutil.which(name, path=PATH)]
    if absent:
        pytest.skip(f"{absent[0]} is not here: apt-get install slurmctld slurmd slurm-client munge")
    if os.getuid() != 0:
        pytest.skip("slurmd starts jobs as root, and this is not root")
    cluster = Cluster(folder, nodes, cpus, accounting)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
