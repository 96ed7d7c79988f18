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
from pathlib import Path
from typing import Any

from harness import checkout
from harness.catalogue import cells
from harness.catalogue.entries import Catalogue, Part
from harness.checkout import ROOT, SENT
from harness.dispatch.kubernetes import manifests
from harness.dispatch.kubernetes.manifests import JobCell, Settings, Source
from harness.environments import stacks
from harness.errors import EngineError, HomeworkError, Interrupted, WordsError
from harness.stores import transfer
from harness.stores.opening import open_store
from harness.stores.store import Store, object_key
from harness.terminal import bold, dim, green, red

NAME = "kubernetes"
CLIENT = Path(__file__).with_name("client.py")
WEEK = 7 * 86400  # the longest that services let an address be signed for; a job has to start within it
MARKS = {"queued": dim("·"), "running": "▶", "passed": green("✓"), "failed": red("✗")}


def plan(
    book: Catalogue,
    parts: Sequence[Part],
    hw: str,
    profile: str | None = None,
    values: Sequence[str] = (),
    cards: int = 0,
    seed: int = 0,
) -> list[JobCell]:
    """The cells that were asked for. Nothing is asked of this machine: the cards are in the cluster.

    Raises:
        WordsError: kinds are not named, or a setting or number of cards that a part does not take.
    """
    if hw == "auto":
        why = "auto means what this machine has, and the cards are in the cluster."
        kinds = ",".join(list(book.hardware)[-2:])
        raise WordsError("--on kubernetes: which hardware?", why, f"Name kinds: --hw {kinds}")
    planned = []
    for part in parts:
        if not part.program:
            continue
        settings, wanted = cells.settled(part, profile, values, cards)
        words = ["--task", part.name, "--on", "local", "--seed", str(seed), "--cards", str(wanted), "--format", "bare"]
        for name, value in settings.items():
            words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        words += ["--timeout", f"{part.timeout:g}s"] if part.raised else []
        for kind in cells.select_hardware(book, hw):
            planned.append(JobCell(part=part, kind=kind, cards=wanted, words=[*words, "--hw", kind.name]))
    if not planned:
        raise WordsError("Nothing to run.", "No program is written for these parts.", "./inv tasks shows which are.")
    return planned


def show(planned: Sequence[JobCell], site: Settings) -> str:
    """The manifests as YAML (`run --dry-run`): kubectl would take them, were the address and hash real."""
    import yaml

    source = Source("https://an-address-that-is-signed-when-it-is-submitted", "0" * 64)
    return str(yaml.safe_dump_all(manifests.job(cell, site, source, "dry-run") for cell in planned))


def run(planned: Sequence[JobCell], site: Settings, results: Path) -> list[Path]:
    """Submit the jobs, follow them to their end, and fetch the records.

    Returns:
        The folders of the records that came.

    Raises:
        EngineError: the cluster does not answer or refuses.
        StoreError: the store fails.
        HomeworkError: a job failed; the records that there are have come.
        Interrupted: after Ctrl-C; the jobs go on.
    """
    store = open_store(site.store)
    name = secrets.token_hex(4)
    source = _send(store)
    jobs = {
        manifest["metadata"]["name"]: (cell, manifest)
        for cell in planned
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
    fetched = transfer.download(results, store, [part.name for part in {id(c.part): c.part for c in planned}.values()])
    print(transfer.summary(fetched, "Fetched", f"from {store.address}"))
    transfer.require_all(fetched, "fetched")
    if failed:
        why = f"{', '.join(failed[:5])}; the lines marked ✗ say why."
        remedy = f"kubectl -n {site.namespace} logs job/NAME shows what was printed before there was a record."
        raise HomeworkError(f"{len(failed)} of {len(jobs)} jobs failed.", why, remedy)
    return [results / sealed.place for sealed in fetched.moved]


def _follow(jobs: Mapping[str, tuple[JobCell, dict[str, Any]]], site: Settings, label: str) -> list[str]:
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
