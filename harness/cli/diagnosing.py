"""What `./inv doctor` does: probe, diagnose and print."""

import sys
from collections.abc import Iterable
from pathlib import Path

from harness.catalogue import cells, releases, symptoms
from harness.catalogue.entries import Catalogue, Hardware
from harness.checkout import ROOT
from harness.errors import HardwareError, UsageError
from harness.terminal import dim


def diagnose(book: Catalogue, hw: str, log: str = "", paddle: str = "") -> None:
    """Print what is here and what is missing; or, with a log, what is known of what stands in it.

    Raises:
        HardwareError: something that was asked for is missing.
        UsageError: there is no such log.
    """
    from harness.cli import listing
    from harness.doctor import checks
    from harness.machine import probe

    kinds = list(book.hardware.values()) if hw == "auto" else cells.select_hardware(book, hw)
    if log:
        return print(listing.explanations(_explained(log, kinds), log))
    versions = [release.version if release else "" for release in releases.asked(paddle)]
    findings = [probe.probe(kind, version) for version in versions for kind in kinds]
    shown = [finding for finding in findings if finding or finding.left_out or hw != "auto"]
    diagnoses = [*checks.everything(ROOT, book.parts.values(), shown), *checks.paddles(ROOT, paddle)]
    print(listing.diagnoses(diagnoses))
    absent = dict.fromkeys(finding.hardware.name for finding in findings if finding not in shown)
    if absent:
        print(dim(f"Not found here: {', '.join(absent)}. ./inv doctor --hw KIND says what was looked for."))
    if any(line.fits is False for _, lines in diagnoses for line in lines):
        raise HardwareError("Something is missing.", "The lines marked ✗ say what.", "Each names what to install.")


def _explained(log: str, kinds: Iterable[Hardware]) -> list[symptoms.Explanation]:
    """What is known of the symptoms in a file, or in the input where it is called -."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if log == "-" else symptoms.read_log(Path(log))
    except OSError as error:
        raise UsageError(f"--log {log}: {error.strerror}.", "It is a text file.", "Name the log.") from error
    return symptoms.explain(text, [kind.name for kind in kinds])
