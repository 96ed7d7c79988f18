"""A line of the doctor's, and how versions are judged in it."""

from dataclasses import dataclass
from typing import Literal

from harness.catalogue import versions

Use = Literal["local", "container", "build"]


@dataclass(frozen=True)
class Diagnosis:
    """One line. `fits` is None where there is nothing to compare with, or nothing here that needs it."""

    subject: str
    found: str
    fits: bool | None
    remedy: str = ""
    needed_for: tuple[Use, ...] = ()


def version(
    subject: str, found: str | None, wanted: str, remedy: str, uses: tuple[Use, ...], scheme: str = ""
) -> Diagnosis:
    """A version against a range. One that cannot be read, or counts otherwise, is no reason to refuse a machine."""
    fits = versions.fits(found or "", wanted, scheme)
    otherwise = "numbered otherwise, " if found and versions.fits(found, wanted) is not None else ""
    told = f"{found or 'unknown'}, {wanted} wanted" + ("" if fits is not None else f"; {otherwise}not judged")
    return Diagnosis(subject, told, fits, remedy, uses)
