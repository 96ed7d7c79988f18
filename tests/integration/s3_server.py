"""A real S3 server, SeaweedFS from PyPI, on loopback: every port pinned, its files in a folder of its own."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WEED = Path(sys.executable).with_name("weed")
PORTS = (
    "admin.port",
    "admin.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "filer.port.public",
    "master.port",
    "master.port.grpc",
    "s3.port",
    "s3.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "volume.port.public",
    "webdav.port",
)
OFF = ("s3.port.iceberg=0", "s3.port.lance=0", "s3.autoCreateBucket=false", "s3.allowDeleteBucketNotEmpty=false")
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "a secret of the tests"}


@dataclass(frozen=True)
class Server:
    """Where it answers."""

    port: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start the server with its files in `folder`, wait until it answers, and end it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "s3.json"
    credentials = {"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}
    config.write_text(
        json.dumps({"identities": [{"name": "tester", "credentials": [credentials], "actions": ["Admin"]}]})
    )
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    flags = [f"-{name}={port}" for name, port in ports.items()] + [f"-{flag}" for flag in OFF]
    words = ["mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={config}"]
    (folder / "data").mkdir()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [WEED, *words, "-admin.ui=false", "-webdav=false", *flags],
            stdout=log,
            stderr=log,
            cwd=folder,
            env={"HOME": str(folder), "PATH": os.environ["PATH"]},
            start_new_session=True,
        )
    server = Server(ports["s3.port"])
    try:
        _wait(server, process, folder / "log")
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(server.endpoint, timeout=2)
        except urllib.error.HTTPError:
            return  # it refuses us by name: it is there
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"The S3 server does not answer:\n{log.read_text()[-2000:]}")


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody has at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
