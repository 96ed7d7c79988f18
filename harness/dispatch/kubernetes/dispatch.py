"""Kubernetes: `./inv run --on kubernetes` submits a job for each cell, follows them, and fetches their records.

The project goes to the store as one archive, under the hash of its content, and the pods fetch it from there; they
leave their records in the same store, from which they come here. The jobs need no right in the cluster at all.
"""

import gzip
import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from harness import checkout
from harness.checkout import ROOT, SENT
from harness.dispatch.dispatcher import Outcome, RunRequest
from harness.dispatch.kubernetes import manifests
from harness.dispatch.kubernetes.manifests import Settings, Source
from harness.dispatch.kubernetes.scheduler import NAME, KubernetesScheduler
from harness.dispatch.listed import batches, following, missing
from harness.dispatch.listed.batches import Batch
from harness.dispatch.listed.job import Schedulers, Silent, wait_a_moment
from harness.dispatch.listed.missing import Wanted, alone, split, wanted
from harness.errors import EngineError, UsageError
from harness.evidence import hashing
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key
from harness.terminal import bold, yellow

WEEK = 7 * 86400  # the longest that services let an address be signed for; a job has to start within it
MOST = 1000  # cells of a batch


@dataclass(frozen=True)
class Plan:
    wanted: Sequence[Wanted]
    site: Settings


class Kubernetes:
    def __init__(self, schedulers: Schedulers) -> None:
        self._schedulers = schedulers

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
        return Plan([wanted(each, manifests.SET_UP_SECONDS) for each in planned], site)

    def show(self, plan: Plan) -> None:
        """Print the manifests as YAML: kubectl would take them, were the address and hash real."""
        import yaml

        source = Source("https://an-address-that-is-signed-when-it-is-submitted", "0" * 64)
        for group in _groups(plan.wanted):
            batch = _batch(group, plan.site)
            print(yaml.safe_dump_all(_manifests(group, plan.site, source, batch), explicit_start=True), end="")

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Submit what is missing, follow it and what is under way to the end, and fetch the records.

        Raises:
            EngineError: the cluster does not answer or refuses.
            StoreError: the store fails.
            Interrupted: the jobs were left, or cancelled.
        """
        with alone(results):
            found = split(plan.wanted, results, self._schedulers)
            submitted, refused = self._submit(found.missing, results, plan.site)
        missing.announce(found)
        for batch in submitted:
            label = f"{manifests.RUN_LABEL}={manifests.label_of(batch)}"
            print(bold(f"{len(batch.cells)} jobs in namespace {batch.where}, labelled {label}"), flush=True)
        return following.outcome(results, found.under_way, submitted, refused, self._schedulers)

    def _submit(
        self, lacking: Sequence[Wanted], results: Path, site: Settings
    ) -> tuple[list[Batch], list[EngineError]]:
        """Submit the cells of each kind; what the cluster took, and why it refused others."""
        submitted, refused = list[Batch](), list[EngineError]()
        if not lacking:
            return submitted, refused
        cluster = self._schedulers(NAME)
        assert isinstance(cluster, KubernetesScheduler)
        groups = [(group, _batch(group, site)) for group in _groups(lacking)]
        cluster.queue([batch for _, batch in groups])  # said now, should it not answer, or refuse even to be asked
        source = _send(open_store(site.store))
        for group, batch in groups:
            batch.write(results)
            taken, refusal = _create_all(cluster, _manifests(group, site, source, batch), site.namespace)
            if refusal:
                refused.append(refusal)
            if not taken:
                batch.forget(results)
                continue
            submitted.append(replace(batch, cells=batch.cells[:taken], job=1))
            submitted[-1].write(results)
        return submitted, refused


def _groups(cells: Sequence[Wanted]) -> list[Sequence[Wanted]]:
    """The cells by kind, for a kind may be refused alone."""
    kinds: dict[str, list[Wanted]] = {}
    for each in cells:
        kinds.setdefault(each.kind.name, []).append(each)
    return [own[first : first + MOST] for own in kinds.values() for first in range(0, len(own), MOST)]


def _batch(group: Sequence[Wanted], site: Settings) -> Batch:
    """The cells as one entry of the list, which is written before the cluster hears of them."""
    return Batch(
        id=hashing.new_id(),
        cells=tuple(each.cell for each in group),
        program={each.part.name: missing.program(each.part) for each in group},
        submitted=hashing.timestamp(datetime.now(timezone.utc)),
        store=site.store,
        scheduler=NAME,
        where=site.namespace,
        **batches.caller(),
    )


def _manifests(group: Sequence[Wanted], site: Settings, source: Source, batch: Batch) -> Iterator[dict[str, Any]]:
    for place, each in enumerate(group):
        yield manifests.job(each.request, site, source, batch, place)


def _create_all(
    cluster: KubernetesScheduler, jobs: Iterable[dict[str, Any]], namespace: str
) -> tuple[int, EngineError | None]:
    """Create jobs up to the first that is refused; how many the cluster took. One that is silent is waited for."""
    taken = silences = 0
    for manifest in jobs:
        while True:
            try:
                cluster.create(namespace, manifest)
                break
            except Silent as silent:
                if not silences:
                    print(yellow(f"{silent.what.rstrip('.')}; waiting until it does."), flush=True)
                silences += 1
                wait_a_moment(0, silences)
            except EngineError as refusal:
                return taken, refusal
        taken, silences = taken + 1, 0
    return taken, None


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
