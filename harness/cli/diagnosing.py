"""What `./inv doctor` does: probe, diagnose and print."""

from harness.catalogue import cells
from harness.catalogue.entries import Catalogue
from harness.checkout import ROOT
from harness.errors import HardwareError
from harness.terminal import dim


def diagnose(book: Catalogue, hw: str) -> None:
    """Print what is here and what is missing.

    Raises:
        HardwareError: something that was asked for is missing.
    """
    from harness.cli import listing
    from harness.doctor import checks
    from harness.machine import probe

    kinds = list(book.hardware.values()) if hw == "auto" else cells.select_hardware(book, hw)
    findings = [probe.probe(kind) for kind in kinds]
    shown = [finding for finding in findings if finding or hw != "auto"]
    diagnoses = checks.everything(ROOT, book.parts.values(), shown)
    print(listing.diagnoses(diagnoses))
    absent = [finding.hardware.name for finding in findings if finding not in shown]
    if absent:
        print(dim(f"Not found here: {', '.join(absent)}. ./inv doctor --hw KIND says what was looked for."))
    if any(line.fits is False for _, lines in diagnoses for line in lines):
        raise HardwareError("Something is missing.", "The lines marked ✗ say what.", "Each names what to install.")
