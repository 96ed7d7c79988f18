"""Kubernetes: `./inv run --on kubernetes` submits a job for each cell, follows them, and fetches their records.

The project goes to the store as one archive, under the hash of its content, and the pods fetch it from there; they
leave their records in the same store, from which they come here. The jobs need no right in the cluster at all.
"""

import gzip
import hashlib
import io
import json
import secrets
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import checkout
from harness.catalogue.cells import CellRequest
from harness.checkout import ROOT, SENT
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.kubernetes import manifests
from harness.dispatch.kubernetes.manifests import Settings, Source
from harness.environments import stacks
from harness.errors import EngineError, HomeworkError, Interrupted, UsageError
from harness.evidence.record import Record
from harness.evidence.sealed import RECORD
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key
from harness.terminal import bold, dim, green, red

NAME = "kubernetes"
CLIENT = Path(__file__).with_name("client.py")
WEEK = 7 * 86400  # the longest that services let an address be signed for; a job has to start within it
MARKS = {"queued": dim("·"), "running": "▶", "passed": green("✓"), "failed": red("✗")}


@dataclass(frozen=True)
class Plan:
    cells: Sequence[CellRequest]
    site: Settings


class Kubernetes:
    def plan(self, request: RunRequest) -> Plan:
        """The cells that were asked for. Nothing is asked of this machine: the cards are in the cluster.

        Raises:
            UsageError: kinds are not named, or a setting or number of cards that a part does not take.
            DataFileError: kubernetes.yaml has a mistake.
        """
        request.without_key("--on kubernetes")
        request.without_wheels("--on kubernetes")
        site, planned = manifests.settings(), request.cells_elsewhere("the cluster")
        if not planned:
            raise UsageError(
                "Nothing to run.", "No program is written for these parts.", "./inv tasks shows which are."
            )
        return Plan(planned, site)

    def show(self, plan: Plan) -> None:
        """Print the manifests as YAML: kubectl would take them, were the address and hash real."""
        import yaml

        source = Source("https://an-address-that-is-signed-when-it-is-submitted", "0" * 64)
        print(yaml.safe_dump_all(manifests.job(cell, plan.site, source, "dry-run") for cell in plan.cells), end="")

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Submit the jobs, follow them to their end, and fetch the records.

        Raises:
            EngineError: the cluster does not answer or refuses.
            StoreError: the store fails.
            Interrupted: after Ctrl-C; the jobs go on.
        """
        site, store, name = plan.site, open_store(plan.site.store), secrets.token_hex(4)
        source = _send(store)
        jobs = {
            manifest["metadata"]["name"]: (cell, manifest)
            for cell in plan.cells
            for manifest in [manifests.job(cell, site, source, name)]
        }
        label = f"{manifests.RUN_LABEL}={name}"
        print(bold(f"{len(jobs)} jobs in namespace {site.namespace}, labelled {label}"), flush=True)
        try:
            failed = _follow(jobs, site, label)
        except KeyboardInterrupt:
            print(f"\nThe jobs go on: kubectl -n {site.namespace} get jobs -l {label}; kubectl delete ends them.")
            print(f"Their records: ./inv download --from '{site.store}'")
            raise Interrupted(2) from None
        fetched = transfer.download(results, store, list(dict.fromkeys(cell.part.name for cell in plan.cells)))
        print(transfer.summary(fetched, "Fetched", f"from {store.address}"))
        transfer.require_all(fetched, "fetched")
        here = [Record.read(results / sealed.place) for sealed in fetched.moved if sealed.kind is RECORD]
        return Outcome(here, _failure(failed, len(jobs), site) if failed else None)


def _failure(failed: Sequence[str], jobs: int, site: Settings) -> HomeworkError:
    return HomeworkError(
        f"{len(failed)} of {jobs} jobs failed.",
        f"{', '.join(failed[:5])}; the lines marked ✗ say why.",
        f"kubectl -n {site.namespace} logs job/NAME shows what was printed before there was a record.",
    )


def _follow(jobs: Mapping[str, tuple[CellRequest, dict[str, Any]]], site: Settings, label: str) -> list[str]:
    """Let the client submit and follow; the names of the jobs that failed."""
    python = stacks.prepare(stacks.stack(NAME)).python
    asked = {"namespace": site.namespace, "label": label, "jobs": [manifest for _, manifest in jobs.values()]}
    failed = []
    # In a session of its own: a Ctrl-C is for this process, which then says what goes on.
    with subprocess.Popen(
        [python, CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as client:
        assert client.stdin and client.stdout
        try:
            client.stdin.write(json.dumps(asked))
            client.stdin.close()
            for line in client.stdout:
                told = json.loads(line)
                if "error" in told:
                    raise EngineError(told["error"], f"{told['why']}.", told["remedy"])
                why = f": {told['why']}" if told["why"] else ""
                print(
                    f"{MARKS[told['state']]} {jobs[told['job']][0]}: {told['state']}{why}   {dim(told['job'])}",
                    flush=True,
                )
                failed += [told["job"]] if told["state"] == "failed" else []
        finally:
            client.terminate()
    return failed


def _send(store: Store) -> Source:
    """Put the project into the store, under its hash; and an address from which a pod can fetch it without keys."""
    from harness.stores.s3 import S3Store

    assert isinstance(store, S3Store), "the schema takes nothing but a bucket"
    content = archive(ROOT)
    sha256 = hashlib.sha256(content).hexdigest()
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        store.put(object_key(sha256), Path(file.name), sha256, lambda count: None)
    return Source(store.signed_address(object_key(sha256), WEEK), sha256)


def archive(root: Path) -> bytes:
    """The project as a tar, the same bytes for the same files; it says which revision it is."""
    sending = checkout.read(root)
    target = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=target, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, (_, mode, _) in sorted(sending.files.items()):
            _add(tar, name, (root / name).read_bytes(), mode)
        _add(tar, SENT, json.dumps({**checkout.revision(), "files": sending.files}, sort_keys=True).encode(), 0o644)
    return target.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
