"""Statements: what a record says, as an in-toto attestation that other tools read and a key can sign.

statement.json is a Statement v1 with the test-result predicate v0.1 (https://github.com/in-toto/attestation). Its
subjects are the program's revision, the runtime (an image, or the lock of a local stack) and the device model; its
configuration binds it to the whole record and to each of the run's files, so that a signature over it covers them all.
The record holds this statement's own hash among those of its files, so what is bound of it is all but these: its BODY.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.evidence.hashing import hash_files, json_content, write_json
from harness.evidence.record import RecordData
from harness.evidence.verdicts import FAILED, NOT_JUDGED, PASSED, verdict_of

FILE = "statement.json"
SIGNATURE = "statement.json.sig"
STATEMENT = "https://in-toto.io/Statement/v1"
BODY = "record.json without artefacts and seal, as JSON with sorted keys and no blanks"
BODY_BEFORE = "record.json"  # what earlier revisions called the same
RESULTS = {PASSED: "PASSED", NOT_JUDGED: "WARNED", FAILED: "FAILED"}
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"


def of(record: RecordData, artefacts: Mapping[str, Any], named: str = BODY) -> dict[str, Any]:
    """The statement of a record whose files, but for the statement itself, are `artefacts`."""
    names: dict[str, list[str]] = {verdict: [] for verdict in RESULTS}
    for check in record["checks"]:
        names[verdict_of(check)].append(check["name"])
    warned = {"warnedTests": names[NOT_JUDGED]} if names[NOT_JUDGED] else {}
    files = {name: file for name, file in sorted(artefacts.items()) if name not in (FILE, SIGNATURE)}
    body = {name: value for name, value in record.items() if name not in ("artefacts", "seal")}
    return {
        "_type": STATEMENT,
        "subject": list(_subjects(record)),
        "predicateType": TEST_RESULT,
        "predicate": {
            "result": RESULTS[verdict_of(record)],
            "configuration": [
                {"name": named, "digest": {"sha256": digest(body)}},
                *({"name": name, "digest": {"sha256": file["sha256"]}} for name, file in files.items()),
            ],
            "passedTests": names[PASSED],
            **warned,
            "failedTests": names[FAILED],
        },
    }


def write(folder: Path, record: RecordData) -> Path:
    """Write the statement of a record that is about to be sealed, when all its other files are there."""
    write_json(folder / FILE, of(record, hash_files(folder)))
    return folder / FILE


def states(content: bytes, record: RecordData) -> bool:
    """Whether these are the bytes of the record's statement."""
    return any(content == json_content(of(record, record["artefacts"], named)) for named in (BODY, BODY_BEFORE))


def _subjects(record: RecordData) -> Iterator[dict[str, Any]]:
    program, hardware = record["program"], record["hardware"]
    if program["revision"]:
        yield {
            "name": program["file"],
            "digest": {"gitCommit": program["revision"]},
            "annotations": {"clean": program["clean"]},
        }
    engine, stack = record.get("engine"), record.get("stack")
    if engine and (image := engine["image"]):
        yield {"name": image, "digest": {"sha256": image.rpartition("sha256:")[2]}}
    elif stack:
        yield {
            "name": stack.get("lock", f"docker/locks/{stack['name']}.txt"),
            "digest": {"sha256": stack["lock_sha256"]},
        }
    yield {"name": hardware["model"], "digest": {"sha256": digest(hardware)}, "annotations": hardware}


def digest(value: Any) -> str:
    """sha256 of a JSON value in its canonical form."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()
