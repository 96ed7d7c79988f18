"""Evidence: what every run's record gets besides the program's own files: a picture, a statement, a signature."""

import sys
from pathlib import Path
from typing import Any, cast

from harness.errors import HomeworkError
from harness.evidence import hashing, records, redacted_files, screen, signatures, statements
from harness.evidence.record import RecordData
from harness.evidence.redaction import Redactor


def complete(folder: Path, record: dict[str, Any], redactor: Redactor, key: Path | None = None) -> None:
    """Make a run's folder and its record ready to be sealed.

    Secrets are taken out of the record, the log is drawn, the statement written and, with `key`, signed.
    """
    for name, value in redactor.tree(record).items():
        record[name] = value
    finished = cast(RecordData, record)  # but for its screen, artefacts and seal
    missing = screen.draw(folder, finished)
    record["screen"] = {"file": None if missing else screen.FILE, "why": missing}
    statement = statements.write(folder, finished)
    if key:
        try:
            signatures.sign(statement, key)
        except HomeworkError as error:  # the run is over, and is not lost for want of a signature
            print(f"The record is not signed. {error}".replace("\n", " "), file=sys.stderr)


def redact_files(folder: Path, redactor: Redactor) -> None:
    """Take secrets out of the texts that a program left, and out of names, before anything reads them.

    The log has none already.
    """
    for path in sorted(folder.rglob("*"), key=lambda path: -len(path.parts)):  # a folder's files before itself
        if path.is_dir() and not path.is_symlink():
            redacted_files.rename(path, redactor)
        elif path.name not in (records.FILE, records.LOG, hashing.LOCK):
            redacted_files.redact(path, redactor)


def complete_here(folder: Path, record: dict[str, Any]) -> None:
    """Complete the folder of a run whose harness was killed: its log has no secrets, its other files may."""
    redactor = Redactor.here()
    redact_files(folder, redactor)
    complete(folder, record, redactor)
