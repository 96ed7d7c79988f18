"""A real Ceph Object Gateway of Debian's packages on loopback: a monitor, a store in memory and the gateway."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from s3_server import KEYS, Server, free_ports

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
CLUSTER, DISK = "5b2a9d0e-0000-4000-8000-000000000001", "5b2a9d0e-0000-4000-8000-000000000002"
CONFIG = """[global]
fsid = {cluster}
mon host = [v2:127.0.0.1:{first},v1:127.0.0.1:{second}]
public addr = 127.0.0.1
ms bind ipv6 = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
osd objectstore = memstore
memstore device bytes = 1073741824
rgw frontends = beast endpoint=127.0.0.1:{port}
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
"""
SEES_ALL = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")


def missing() -> str:
    """Which program is not installed; empty where none is missing."""
    return next((name for name in PROGRAMS if not shutil.which(name)), "")


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Start the gateway with its files in `folder`, wait until it answers, and end it. The keys are the S3 server's."""
    first, second, port = free_ports(3)
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir(parents=True)
    config, keyring, monmap = folder / "ceph.conf", folder / "keyring", folder / "monmap"
    config.write_text(CONFIG.format(cluster=CLUSTER, first=first, second=second, port=port, folder=folder))
    addresses = f"[v2:127.0.0.1:{first},v1:127.0.0.1:{second}]"
    call("monmaptool", "--create", "--fsid", CLUSTER, "--addv", "a", addresses, monmap)
    call("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
    for name in ("client.admin", "osd.0"):
        call("ceph-authtool", keyring, "--gen-key", "-n", name, *SEES_ALL)
    ours = ("-c", config)
    with contextlib.ExitStack() as started:
        call("ceph-mon", *ours, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        started.enter_context(daemon("ceph-mon", *ours, "-f", "-i", "a"))
        call("ceph", *ours, "osd", "new", DISK)
        call("ceph", *ours, "auth", "import", "-i", keyring)
        call("ceph-osd", *ours, "-i", "0", "--mkfs", "--osd-uuid", DISK)
        started.enter_context(daemon("ceph-osd", *ours, "-f", "-i", "0"))
        started.enter_context(daemon("radosgw", *ours, "-f", "-n", "client.admin", "--no-mon-config"))
        server = Server(port)
        wait(server)
        key = ("--access-key", KEYS["AWS_ACCESS_KEY_ID"], "--secret-key", KEYS["AWS_SECRET_ACCESS_KEY"])
        call("radosgw-admin", *ours, "user", "create", "--uid", "tester", "--display-name", "tester", *key)
        yield server


def call(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")


@contextlib.contextmanager
def daemon(*command: object) -> Iterator[None]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([str(word) for word in command], start_new_session=True, **quiet)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait(server: Server) -> None:
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            return urllib.request.urlopen(server.endpoint, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("The gateway does not answer.")
