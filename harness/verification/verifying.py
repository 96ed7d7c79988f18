"""Verification: is a record what it says? Every hash is computed again, and the run is judged again."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.catalogue import datafiles
from harness.catalogue.entries import Catalogue
from harness.errors import DataFileError, VerificationError
from harness.evidence import attachments, sessions, signatures, statements
from harness.evidence.records import FILE, find, hash_files, read
from harness.evidence.verdicts import PASSED, overall, verdict_of
from harness.runs.judge import judge, read_measurements
from harness.runs.processes import Ending


def verify(folder: Path, catalogue: Catalogue, signers: Path | None = None) -> list[str]:
    """Everything about a record that is not as it says, a line each; none for a good record.

    The seal and every file's hash are computed again, the record is validated against its schema, and the run is
    judged again by the rules of this checkout. Its statement, if it has one, must be the record's, and a signature
    over it must be good; with `signers` every record must be signed by one of them.
    """
    try:
        record = read(folder / FILE)
    except DataFileError as error:
        return [str(error).replace("\n", " ")]
    invalid = datafiles.mistake(record, "record")
    if invalid:
        return [f"{folder / FILE}: {invalid}"]
    return [
        *_misplaced(folder, record),
        *_changed_files(folder, record),
        *_stated_otherwise(folder, record, signers),
        *_judged_otherwise(folder, record, catalogue),
    ]


def _misplaced(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    place = (record["cell"]["part"], record["cell"]["hardware"], record["id"])
    if folder.resolve().parts[-3:] != place:
        yield f"{folder}: it is the record of {'/'.join(place)}"


def _changed_files(folder: Path, record: Mapping[str, Any]) -> Iterator[str]:
    present = hash_files(folder)
    for name, was in record["artefacts"].items():
        if name not in present:
            yield f"{folder / name}: missing"
        elif present[name] != was:
            yield f"{folder / name}: changed after its run, sha256 was {was['sha256']}"
    for name in present.keys() - record["artefacts"].keys():
        yield f"{folder / name}: not one of the run's files"


def _stated_otherwise(folder: Path, record: Mapping[str, Any], signers: Path | None) -> Iterator[str]:
    file, signature = folder / statements.FILE, folder / statements.SIGNATURE
    if file.is_file() and not file.is_symlink():
        try:
            if json.loads(file.read_bytes()) != statements.of(record, record["artefacts"]):
                yield f"{file}: it does not state what the record says"
        except (ValueError, RecursionError):
            yield f"{file}: not readable as JSON"
    elif record["schema"] > 1:
        yield f"{file}: missing"
    if file.is_file() and signature.is_file() and not signature.is_symlink():
        _, mistake = signatures.check(file, signature, signers)
        if mistake:
            yield f"{signature}: {mistake}"
    elif signers:
        yield f"{folder}: it is not signed, and --signers asks for a signature"


def _judged_otherwise(folder: Path, record: Mapping[str, Any], catalogue: Catalogue) -> Iterator[str]:
    file = folder / FILE
    part = catalogue.parts.get(record["cell"]["part"])
    hardware = catalogue.hardware.get(record["cell"]["hardware"])
    if part is None or hardware is None:
        yield f"{file}: this checkout knows no cell {record['cell']['part']} on {record['cell']['hardware']}"
        return
    exit_, log = record["exit"], record["log"]
    ending = Ending(exit_["reason"], exit_["code"], exit_["signal"], 0.0, log["bytes"], log["left_out"])
    measured = read_measurements(folder, record["cards"])
    if ending.ok and record["metrics"] != measured.metrics:
        yield f"{file}: its metrics are not those of metrics.json"
    if ending.ok and record["device"] != measured.device:
        yield f"{file}: its device proof is not that of device.json"
    checks = judge(part, hardware, record["parameters"], ending, measured)
    again = {check.name: (check.asked, check.verdict) for check in checks}
    before = {check["name"]: (check["asked"], verdict_of(check)) for check in record["checks"]}
    for name in {**before, **again}:
        if before.get(name) != again.get(name):
            yield f"{file}: check {name} was {_verdict(before, name)}, judged again {_verdict(again, name)}"
    wrong = any(check["passed"] != (verdict_of(check) == PASSED) for check in [record, *record["checks"]])
    if wrong or verdict_of(record) != overall(verdict_of(check) for check in record["checks"]):
        yield f"{file}: its verdict is not that of its checks"


def _verdict(checks: Mapping[str, tuple[str, str]], name: str) -> str:
    if name not in checks:
        return "not asked"
    asked, verdict = checks[name]
    return f"{verdict} ({asked})"


def require_verified(findings: Mapping[Path, list[str]]) -> None:
    """Raise for the records that do not hold.

    Raises:
        VerificationError: with the first few findings.
    """
    lines = [line for found in findings.values() for line in found]
    if lines:
        shown = "\n".join(lines[:20]) + (f"\n… and {len(lines) - 20} more" if len(lines) > 20 else "")
        bad = sum(bool(found) for found in findings.values())
        raise VerificationError(
            f"{bad} of {len(findings)} records {'does' if bad == 1 else 'do'} not hold.",
            shown,
            "Run these cells again, or fetch the records from where they came.",
        )


def verify_all(results: Path, word: str, catalogue: Catalogue, signers: Path | None = None) -> str:
    """Verify the runs that `word` names, and with `all` attachments and pairing sessions; what holds is said in a line.

    Raises:
        WordsError: it names no run.
        VerificationError: something does not hold.
    """
    findings = {folder: verify(folder, catalogue, signers) for folder in find(results, word)}
    records = len(findings)
    attached = attachments.read_all(results) if word == "all" else ([], [])
    folders = sorted(results.glob(f"{sessions.FOLDER}/*/*/{sessions.FILE}")) if word == "all" else []
    paired = {session.parent: sessions.verify(session.parent) for session in folders}
    require_verified({**findings, **paired, **{Path(line): [line] for line in attached[1]}})
    also = f" {len(attached[0])} attached {'is' if len(attached[0]) == 1 else 'are'} whole." if attached[0] else ""
    also += f" {len(paired)} pairing {'session is' if len(paired) == 1 else 'sessions are'} whole." if paired else ""
    return (
        f"{records} {'record holds' if records == 1 else 'records hold'}: "
        f"seal, files, schema and verdict are as they were.{also}"
    )
