"""Slurm's accounting for a cluster of the tests: slurmdbd over a MariaDB of its own, in the cluster's folder."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from s3_server import free_ports

if TYPE_CHECKING:
    from slurm_cluster import Cluster

PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb-install-db", "mariadb")
DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=homework
StorageLoc=slurm
"""


class Accounting:
    def __init__(self, folder: Path) -> None:
        absent = [name for name in PROGRAMS if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]
        if absent:
            pytest.skip(f"{absent[0]} is not here: apt-get install slurmdbd mariadb-server")
        self.port, self.database = free_ports(2)
        file = folder / "slurmdbd.conf"
        file.write_text(DAEMON.format(folder=folder, port=self.port, database=self.database))
        file.chmod(0o600)
        self.lines = (
            f"AccountingStorageType=accounting_storage/slurmdbd\nAccountingStorageHost=127.0.0.1\n"
            f"AccountingStoragePort={self.port}\nAccountingStoragePass={folder}/munge/socket\n"
        )

    def start(self, cluster: "Cluster") -> None:
        """Start the database and slurmdbd, and make the cluster known; munged runs already."""
        data, socket = cluster.folder / "database", cluster.folder / "database.socket"
        if not data.exists():
            words = ["mariadb-install-db", f"--datadir={data}", "--user=root"]
            words += ["--auth-root-authentication-method=normal"]
            subprocess.run(words, check=True, capture_output=True, timeout=120)
        options = [f"--datadir={data}", f"--socket={socket}", f"--port={self.database}", "--bind-address=127.0.0.1"]
        options += ["--user=root", f"--pid-file={cluster.folder}/database.pid"]
        cluster.spawn("mariadbd", ["--no-defaults", *options])
        admin = ["mariadb", "--no-defaults", f"--socket={socket}", "--user=root", "--execute"]
        grant = "CREATE USER IF NOT EXISTS slurm@'127.0.0.1' IDENTIFIED BY 'homework'; "
        grant += "GRANT ALL ON slurm.* TO slurm@'127.0.0.1'"
        cluster.wait(lambda: not subprocess.run([*admin, grant], capture_output=True).returncode, "the database")
        cluster.spawn("slurmdbd", ["-D"])
        add = ("sacctmgr", "--immediate", "add", "cluster", "homework")
        cluster.wait(lambda: "homework" in cluster(*add), "slurmdbd")
