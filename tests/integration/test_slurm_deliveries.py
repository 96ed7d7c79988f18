"""Jobs on nodes that see nothing of the folder one calls from: their records come over a real S3 server.

The nodes' checkout is a folder of its own, and where this machine lets one hide a folder from a process, the calls do
not see it.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import clusters
import pytest
import s3_server
from checkouts import Checkout
from slurm_cluster import Cluster, running

pytestmark = pytest.mark.slow
HIDE = "mount -t tmpfs none {0} && exec {1}/inv {2}"


class Site:
    """Where one calls, the checkout on the nodes, and the store between them."""

    def __init__(self, cluster: Cluster, folder: Path, store: str) -> None:
        self.cluster, self.store = cluster, store
        (folder / "nodes").mkdir()
        self.there = Checkout(folder / "nodes" / "homework")
        self.settings = f"store: {store}\ncheckout: {self.there.folder}\noptions: {{mem: 100M, cpus-per-task: 1%s}}\n"
        self.here = clusters.checkout_for_a_cluster(folder / "caller", self.settings % "")
        shutil.copytree(self.here.folder, self.there.folder, symlinks=True)  # at the same commit
        (self.there.folder / "slurm.yaml").unlink()
        self.environment: Mapping[str, str] = {**cluster.environment, **s3_server.KEYS}
        self.hidden = subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0

    def inv(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A call that does not see the nodes' folders."""
        line = HIDE.format(self.there.folder.parent, self.here.folder, " ".join(words))
        command = ["unshare", "-m", "sh", "-c", line] if self.hidden else [str(self.here.folder / "inv"), *words]
        return subprocess.run(
            command, cwd=self.here.folder, env=self.environment, text=True, capture_output=True, timeout=90
        )

    def run(self, seed: int, hw: str = "npu,cpu") -> "subprocess.CompletedProcess[str]":
        words = ("run", "--task", "1", "--hw", hw, "--on", "slurm:local", "--seed", str(seed))
        return self.inv(*words)

    def change(self, options: str) -> None:
        (self.here.folder / "slurm.yaml").write_text(self.settings % f", {options}" if options else self.settings % "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("deliveries")
    with running(folder / "slurm", {"n1": "npu:910b:2"}) as cluster, s3_server.running(folder / "s3") as server:
        own = {
            "aws_access_key_id": s3_server.KEYS["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": s3_server.KEYS["AWS_SECRET_ACCESS_KEY"],
        }
        client = boto3.client("s3", endpoint_url=server.endpoint, region_name="us-east-1", **own)
        client.create_bucket(Bucket="team")
        yield Site(cluster, folder, f"s3://team/homework?service=seaweedfs&endpoint={server.endpoint}")


def test_records_come_over_the_store_and_are_as_over_a_shared_folder(site: Site) -> None:
    done = site.run(seed=1)
    assert done.returncode == 0, done.stdout + done.stderr
    here = {record["id"]: record for record in site.here.records()}
    assert len(here) == 2 and here == {record["id"]: record for record in site.there.records()}
    assert all(record["passed"] and record["job"]["node"] == "n1" for record in here.values())
    assert site.inv("verify").returncode == 0
    assert not [path for path in (site.here.results / ".jobs").iterdir() if path.name != ".lock"]
    again = site.run(seed=1)
    assert again.returncode == 0 and again.stdout.count("has run already") == 2 and "Job " not in again.stdout


def test_no_key_of_the_store_is_written_down(site: Site) -> None:
    dry = site.inv("run", "--task", "1", "--hw", "npu", "--on", "slurm:local", "--dry-run")
    assert site.store in dry.stdout and s3_server.KEYS["AWS_SECRET_ACCESS_KEY"] not in dry.stdout
    site.change("hold: true")
    held = _held(site)
    site.change("")
    assert "./inv upload --to" in held and not any(secret in held for secret in s3_server.KEYS.values())


def _held(site: Site) -> str:
    """The script of a job that waits, as it lies here."""
    words = ["run", "--task", "1", "--hw", "npu", "--on", "slurm:local", "--seed", "9"]
    with subprocess.Popen(
        [str(site.here.folder / "inv"), *words], cwd=site.here.folder, env=site.environment, stdout=subprocess.PIPE
    ) as call:
        assert call.stdout
        while b"waiting" not in call.stdout.readline():
            pass
        call.kill()
    (script,) = (site.here.results / ".jobs").glob("*.sh")
    text = script.read_text()
    assert site.inv("jobs", "--cancel").returncode == 1
    return text


def _words_on_the_node(line: str) -> str:
    """What a job printed there; it is taken away."""
    (path,) = map(Path, set(re.findall(r"/tmp/homework-\S+\.log", line)))
    text = path.read_text()
    path.unlink()
    return text


def test_what_could_not_be_sent_stays_on_its_node_and_comes_later(site: Site) -> None:
    site.change("export: 'ALL,AWS_SECRET_ACCESS_KEY=a-wrong-one'")
    done = site.run(seed=2, hw="npu")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "its job could not send it; why is on n1 in /tmp/homework-" in done.stdout
    assert "AWS_SECRET_ACCESS_KEY" in _words_on_the_node(done.stdout)
    assert f"On its node: ./inv upload --to '{site.store}'; then ./inv jobs" in done.stderr
    assert not [record for record in site.here.records() if record["seed"] == 2]
    (kept,) = [record for record in site.there.records() if record["seed"] == 2]
    again = site.run(seed=2, hw="npu")
    assert again.returncode == 7 and "is under way already" in again.stdout, "it is not run once more"
    assert site.there("upload", "--to", site.store, env=site.environment).returncode == 0
    fetched = site.inv("jobs")
    assert fetched.returncode == 0 and "✓" in fetched.stdout, fetched.stdout + fetched.stderr
    assert [record for record in site.here.records() if record["seed"] == 2] == [kept]


def test_a_node_at_another_commit_runs_nothing_and_says_so(site: Site) -> None:
    site.change("")
    (site.here.folder / "projects" / "01-toy" / "notes.md").write_text("a change")
    clusters.commit(site.here.folder)
    done = site.run(seed=3, hw="npu")
    assert done.returncode == 1 and "not started: the checkout on its node is not at the commit" in done.stdout
    assert "git checkout" in _words_on_the_node(done.stdout)
    assert not [record for record in site.there.records() if record["seed"] == 3]
