"""Verification: is a record what it says? Every hash is computed again, and the run is judged again."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

from harness.catalogue.entries import Catalogue, part_then
from harness.checkout import ROOT
from harness.errors import DataFileError, VerificationError
from harness.evidence import sealed, sessions, signatures, statements
from harness.evidence.record import RecordData
from harness.evidence.records import FILE, find
from harness.evidence.sealed import RECORD, SESSION, of_folder
from harness.evidence.verdicts import PASSED, overall, verdict_of
from harness.runs.judge import Check, judge, read_measurements
from harness.runs.processes import Ending
from harness.terminal import harmless


def verify(folder: Path, catalogue: Catalogue, signers: Path | None = None) -> list[str]:
    """Everything about a record that is not as it says, a line each; none for a good record.

    The seal and every file's hash are computed again, the record is validated against its schema, and the run is
    judged again by the rules of this checkout; where these have changed since, by those of the revision that its record
    names, as far as git has it. Its statement, if it has one, must be the record's, and a signature
    over it must be good; with `signers` every record must be signed by one of them.
    """
    results, here = of_folder(RECORD, folder)
    try:
        document = here.valid(results)
    except DataFileError as error:
        return [str(error).replace("\n", " ")]
    record = cast(RecordData, document)  # it keeps the schema
    return [
        *here.differences(results, document),
        *_stated_otherwise(folder, record, signers),
        *_judged_otherwise(folder, record, catalogue),
    ]


def _stated_otherwise(folder: Path, record: RecordData, signers: Path | None) -> Iterator[str]:
    file, signature = folder / statements.FILE, folder / statements.SIGNATURE
    if file.is_file() and not file.is_symlink():
        if not statements.states(file.read_bytes(), record):
            yield f"{file}: it does not state what the record says"
    elif record["schema"] > 1:
        yield f"{file}: missing"
    if file.is_file() and signature.is_file() and not signature.is_symlink():
        _, mistake = signatures.check(file, signature, signers)
        if mistake:
            yield f"{signature}: {mistake}"
    elif signers:
        yield f"{folder}: it is not signed, and --signers asks for a signature"


def _judged_otherwise(folder: Path, record: RecordData, catalogue: Catalogue) -> Iterator[str]:
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
    wrong = list(_differences(record, judge(part, hardware, record["parameters"], ending, measured)))
    program = record["program"]
    then = part_then(part.name, program["file"] or "", program["revision"] or "", ROOT) if wrong else None
    if then and not list(_differences(record, judge(then, hardware, record["parameters"], ending, measured))):
        wrong = []  # a bound has changed since: the record is what it says, by those that held
    yield from (f"{file}: {line}" for line in wrong)
    odd = any(check["passed"] != (verdict_of(check) == PASSED) for check in [record, *record["checks"]])
    if odd or verdict_of(record) != overall(verdict_of(check) for check in record["checks"]):
        yield f"{file}: its verdict is not that of its checks"


def _differences(record: RecordData, checks: Sequence[Check]) -> Iterator[str]:
    """Where a record's checks are not these."""
    again = {check.name: (check.asked, check.verdict) for check in checks}
    before = {check["name"]: (check["asked"], verdict_of(check)) for check in record["checks"]}
    for name in {**before, **again}:
        if before.get(name) != again.get(name):
            yield f"check {name} was {_verdict(before, name)}, judged again {_verdict(again, name)}"


def _verdict(checks: Mapping[str, tuple[str, str]], name: str) -> str:
    if name not in checks:
        return "not asked"
    asked, verdict = checks[name]
    return f"{verdict} ({asked})"


def require_verified(findings: Mapping[Path, list[str]]) -> None:
    """Raise for the records that failed verification.

    Raises:
        VerificationError: with the first few findings.
    """
    lines = [line for found in findings.values() for line in found]
    if lines:
        shown = "\n".join(map(harmless, lines[:20])) + (f"\n… and {len(lines) - 20} more" if len(lines) > 20 else "")
        bad = sum(bool(found) for found in findings.values())
        raise VerificationError(
            f"{bad} of {len(findings)} records failed verification.",
            shown,
            "Run these cells again, or fetch the records from where they came.",
        )


def verify_others(results: Path) -> dict[Path, list[str]]:
    """What is not as it says of every sealed folder that is no record, by its folder: attachments, sessions, …"""
    more = {SESSION: sessions.verify}
    return {
        folder: more[kind](folder) if kind in more else sealed.verify(kind, folder)
        for kind in sealed.KINDS
        if kind.under
        for folder in sorted(results.glob(f"{kind.under}/*/[!.]*"))
        if folder.is_dir() and not folder.is_symlink()
    }


def counted(results: Path, folders: Iterable[Path]) -> list[str]:
    """How many of each kind, but records, the folders are: ['2 attachments', '1 session']."""
    numbers = Counter(folder.relative_to(results).parts[0] for folder in folders)
    kinds = [(numbers[kind.under], kind.name) for kind in sealed.KINDS if kind.under]
    return [f"{number} {name}{'s' * (number != 1)}" for number, name in kinds if number]


def verify_all(results: Path, run: str, catalogue: Catalogue, signers: Path | None = None) -> str:
    """Verify the runs that `run` names, and with `all` every other sealed folder; what was verified is said in a line.

    Raises:
        UsageError: it names no run, or there is no such signers file.
        VerificationError: something failed.
    """
    signatures.require(signers)
    findings = {folder: verify(folder, catalogue, signers) for folder in find(results, run)}
    others = verify_others(results) if run == "all" else {}
    require_verified({**findings, **others})
    also = f" Whole: {', '.join(counted(results, others))}." if others else ""
    return (
        f"{len(findings)} record{'s' * (len(findings) != 1)} verified: "
        f"seal, files, schema and verdict are as they were.{also}"
    )
