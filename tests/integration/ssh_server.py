"""A real ssh server on loopback, which lets this user in, and an ssh that has the key."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from containers import free_port, wait_for_port

SSH = shutil.which("ssh")  # before a test puts its own first


@dataclass
class Server:
    """`path` is the folder whose `ssh` has the key and knows the server; `kill` and `start` are of the daemon."""

    port: int
    words: Sequence[str]
    path: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start the daemon, where it does not run."""
        if self.process is None or self.process.poll() is not None:
            log = self.path.parent / "log"
            with log.open("a") as file:
                self.process = subprocess.Popen(self.words, stdout=file, stderr=file)
            assert wait_for_port(self.port, self.process), log.read_text()

    def kill(self) -> None:
        """Kill the daemon and every session; what was begun in one goes on."""
        assert self.process
        self.break_connections()
        self.process.kill()
        self.process.wait()

    def address(self, folder: str = "") -> str:
        return f"ssh://root@127.0.0.1:{self.port}{folder}"

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{self.path}:{os.environ['PATH']}"}

    def give_ssh(self, *options: str) -> None:
        """Write the ssh that comes first on PATH, with these options."""
        self.path.mkdir(exist_ok=True)
        script = self.path / "ssh"
        script.write_text(f'#!/bin/sh\nexec {SSH} -F none {" ".join(options)} "$@"\n')
        script.chmod(0o755)

    def break_connections(self) -> None:
        """End every session as a power cut of the network would: without a word to either side."""
        assert self.process
        number = self.process.pid
        for child in Path(f"/proc/{number}/task/{number}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)


@contextlib.contextmanager
def running(folder: Path, **variables: str) -> Iterator[Server]:
    """Start the server, whose sessions have these variables, and end it; skips where it cannot be."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if not program or os.getuid() != 0:
        pytest.skip("sshd is not here, or this is not root: apt-get install openssh-server")
    folder.mkdir()
    for name in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    Path("/run/sshd").mkdir(exist_ok=True)
    settings = [f"-oHostKey={folder}/host", f"-oAuthorizedKeysFile={folder}/user.pub", "-oStrictModes=no"]
    if variables:
        settings += ["-oSetEnv=" + " ".join(f"{name}={value}" for name, value in variables.items())]
    words = [program, "-D", "-e", "-f", "/dev/null", "-p", str(port), "-oListenAddress=127.0.0.1", *settings]
    (folder / "known").write_text(f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text()}")
    server = Server(port, words, folder / "bin")
    try:
        server.start()
        server.give_ssh(f"-i {folder}/user -oIdentitiesOnly=yes -oUserKnownHostsFile={folder}/known")
        yield server
    finally:
        if server.process:
            server.process.terminate()
            server.process.wait(timeout=30)
