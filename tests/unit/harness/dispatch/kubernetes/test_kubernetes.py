"""Jobs for Kubernetes: every manifest keeps the official schemas, and asks for no more than its kind's data."""

import io
import itertools
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from harness.catalogue import entries
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Part, Requirement
from harness.dispatch.dispatcher import RunRequest
from harness.dispatch.kubernetes import manifests
from harness.dispatch.kubernetes.dispatch import _batch, _manifests, archive
from harness.dispatch.kubernetes.manifests import Settings, Source
from harness.dispatch.listed.missing import wanted
from harness.errors import DataFileError, UsageError

BOOK = entries.load()
VERSION = "1.31"
SOURCE = Source("https://store.example/objects/ab?signed", "ab" * 32)
SITE = Settings("registry.example:5000/homework", "s3://team/homework", "homework-store")


def asked(parts: list[Part], hw: str, **more: Any) -> list[CellRequest]:
    request = RunRequest(catalogue=BOOK, parts=parts, hw=hw, on="kubernetes", **more)
    return request.cells_elsewhere("the cluster")


def job(part: str, kind: str, site: Settings = SITE) -> dict[str, Any]:
    (cell,) = asked([BOOK.parts[part]], kind)
    return made(cell, site)


def made(cell: CellRequest, site: Settings = SITE) -> dict[str, Any]:
    (manifest,) = _manifests([each := wanted(cell, 0)], site, SOURCE, _batch([each], site))
    return manifest


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize(("part", "kind"), list(itertools.product(("4", "8-2"), BOOK.hardware)))
def test_every_manifest_keeps_the_official_schema(part: str, kind: str) -> None:
    site = Settings(**{**vars(SITE), "queue": "team", "kinds": {kind: {"node_selector": {"cards": "yes"}}}})
    for each in (SITE, site):
        kubernetes_validate.validate(job(part, kind, each), VERSION, strict=True)


def test_the_official_schema_refuses_what_is_wrong() -> None:
    manifest = job("4", "cpu")
    manifest["spec"]["backoffLimits"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize(
    ("kind", "resource"),
    [("cuda", "nvidia.com/gpu"), ("ascend", "huawei.com/Ascend910"), ("kunlun", "kunlunxin.com/xpu")],
)
def test_a_job_asks_for_its_kinds_cards_by_the_vendors_name(kind: str, resource: str) -> None:
    assert container(job("8-2", kind))["resources"]["limits"][resource] == "8"
    own = Settings(**{**vars(SITE), "kinds": {kind: {"resource": "site.example/card", "node_selector": {"zone": "b"}}}})
    limits = container(job("8-2", kind, own))["resources"]["limits"]
    assert limits["site.example/card"] == "8" and resource not in limits
    assert job("8-2", kind, own)["spec"]["template"]["spec"]["nodeSelector"] == {"zone": "b"}


def test_no_privilege_beyond_the_kinds_data() -> None:
    for kind in BOOK.hardware.values():
        data = kind.data.get("container", {})
        pod = job("4", kind.name)["spec"]["template"]["spec"]
        security = pod["containers"][0]["securityContext"]
        assert security.get("privileged", False) == data.get("privileged", False)
        if not data.get("privileged"):
            assert security["allowPrivilegeEscalation"] is False and security["capabilities"]["drop"] == ["ALL"]
            assert security["capabilities"].get("add", []) == data.get("options", {}).get("cap_add", [])
        places = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
        assert places == data.get("mounts", []) and not {"hostNetwork", "hostIPC", "hostPID"} & pod.keys()
        assert pod["automountServiceAccountToken"] is False and pod["securityContext"]["runAsUser"] != 0


@pytest.mark.parametrize("kind", BOOK.hardware)
def test_a_pod_writes_into_its_own_empty_folders_alone_and_memory_is_within_its_limit(kind: str) -> None:
    pod = job("4", kind)["spec"]["template"]["spec"]
    (found,) = pod["containers"]
    assert found["securityContext"]["readOnlyRootFilesystem"] is True and "command" not in found
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    writable = {each["mountPath"]: volumes[each["name"]] for each in found["volumeMounts"] if not each.get("readOnly")}
    assert writable.keys() == {"/homework", "/tmp", "/dev/shm"} and all(
        "emptyDir" in each for each in writable.values()
    )
    limit = manifests._bytes(found["resources"]["limits"]["memory"])
    assert int(writable["/dev/shm"]["emptyDir"]["sizeLimit"]) <= limit / 2


def test_a_queue_holds_a_job_until_kueue_starts_it() -> None:
    held = job("4", "cpu", Settings(**{**vars(SITE), "queue": "team"}))
    assert held["spec"]["suspend"] is True and held["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    assert "suspend" not in job("4", "cpu")["spec"]


def test_keys_stand_in_a_secret_alone_and_the_words_in_the_manifest() -> None:
    (cell,) = asked([BOOK.parts["4"]], "cpu", settings=["grid=201"], seed=7)
    found = container(made(cell))
    assert found["envFrom"] == [{"secretRef": {"name": "homework-store"}}]
    assert {"grid=201", "--seed", "7", SOURCE.sha256, "s3://team/homework"} <= set(found["args"])
    assert found["image"] == "registry.example:5000/homework/cpu:science"


def test_auto_is_refused_because_the_cards_are_elsewhere() -> None:
    with pytest.raises(UsageError, match="which hardware"):
        asked([BOOK.parts["4"]], "auto")


def test_settings_are_read_and_a_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes.yaml"
    with pytest.raises(UsageError, match=r"no kubernetes\.yaml"):
        manifests.settings(file)
    file.write_text("images: registry.example/homework\nstore: s3://team/homework\nsecret: homework-store\n")
    assert manifests.settings(file).namespace == "default"
    file.write_text(file.read_text() + "namespce: team\n")
    with pytest.raises(DataFileError, match=r"kubernetes\.yaml:4"):
        manifests.settings(file)


def test_the_archive_is_the_same_bytes_again_and_says_its_revision(tmp_path: Path) -> None:
    (tmp_path / "inv").write_text("#!/bin/sh\n")
    (tmp_path / "inv").chmod(0o755)
    (tmp_path / "secret").write_text("key")
    for words in (("init", "-q"), ("add", "inv")):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    made = archive(tmp_path)
    assert archive(tmp_path) == made
    with tarfile.open(fileobj=io.BytesIO(made)) as tar:
        assert tar.getnames() == ["inv", ".sent.json"] and tar.getmember("inv").mode == 0o755
        sent = json.load(tar.extractfile(".sent.json") or io.BytesIO())
    assert set(sent["files"]) == {"inv"} and {"revision", "clean"} <= sent.keys()


def test_values_that_do_not_fit_are_refused_here_and_not_in_a_pod() -> None:
    part = replace(BOOK.parts["4"], requires=(Requirement("grid < 300", "so it is"),))
    with pytest.raises(UsageError, match="4 cannot run with grid=301"):
        asked([part], "cpu", settings=["grid=301"])


def test_a_raised_time_limit_is_the_jobs_and_the_runs() -> None:
    part = replace(BOOK.parts["4"], timeout=7200.0, raised=True)
    (cell,) = asked([part], "cpu")
    found = made(cell)
    assert found["spec"]["activeDeadlineSeconds"] == 7200 + manifests.SET_UP_SECONDS
    assert "--timeout 7200s" in " ".join(container(found)["args"])


@pytest.mark.parametrize(
    ("wanted", "memory", "size"), [("16g", "8Gi", 4 * 2**30), ("1g", "8Gi", 2**30), ("", "8Gi", 4 * 2**30)]
)
def test_shared_memory_stays_within_the_jobs_memory(wanted: str, memory: str, size: int) -> None:
    assert manifests._shared(wanted, memory) == str(size)


def test_made_again_a_manifest_has_the_same_name_and_knows_its_record() -> None:
    (cell,) = asked([BOOK.parts["4"]], "cpu")
    each = wanted(cell, 0)
    batch = _batch([each], SITE)
    one, again = (next(_manifests([each], SITE, SOURCE, batch)) for _ in range(2))
    assert one == again and len(one["metadata"]["name"]) <= 63
    given = {entry["name"]: entry.get("value") for entry in container(one)["env"]}
    assert given["HOMEWORK_RUN"] == each.cell.run and given["HOMEWORK_JOB"] == one["metadata"]["name"]
