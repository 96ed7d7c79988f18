"""Pairs: which runs are held against each other."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.catalogue import cells, releases
from harness.catalogue.entries import Catalogue, Hardware, Part
from harness.catalogue.releases import Release
from harness.comparison import references
from harness.comparison.comparing import Outcome, outcome
from harness.errors import DataFileError, UsageError
from harness.evidence import records
from harness.evidence.sealed import require_folder

Pair = tuple[Part, Outcome, Outcome]
FROM_OUTSIDE = ("interrupted", "cancelled", "requeued")
LIKE = ("parameters", "seed")  # what two runs have to have in common


def choose(
    catalogue: Catalogue, results: Path, parts: Sequence[Part], hw: str, run: str, reference: bool, paddle: str = ""
) -> list[Pair]:
    """The pairs that the arguments of `compare` name: (part, then, now) for each.

    Raises:
        UsageError: they name none, or one run alone.
        DataFileError: a record that was named is damaged.
    """
    if run:
        return _named(catalogue, results, run.split(","), reference)
    kinds = cells.select_hardware(catalogue, hw or "all")
    if paddle:
        return _of_versions(results, parts, kinds, releases.load().select(paddle))
    if not reference and len(kinds) < 2:
        raise UsageError("One kind alone is compared with nothing.", f"--hw {hw}.", "Write two: --hw cpu,sim")
    pairs = [pair for part in parts for pair in (_referred if reference else _across)(results, part, kinds)]
    if not pairs:
        raise _nothing(parts, kinds if hw else (), reference)
    return pairs


def _nothing(parts: Sequence[Part], kinds: Sequence[Hardware], reference: bool) -> UsageError:
    one = len(parts) == 1
    which = f"part {parts[0].name}" if one else f"any of the {len(parts)} parts"
    on = f"{', '.join(kind.name for kind in kinds)}" if kinds else "any kind of hardware"
    why = f"Runs that passed, with the same parameters and seed, are not here for {which} on two of: {on}."
    if reference:
        why = f"A reference, and a run that passed with its parameters and seed, are not here for {which} on {on}."
    elif not kinds:
        why = f"Runs that passed, with the same parameters and seed, are not here for {which} on two kinds of hardware."
    remedy = (
        f"./inv run {parts[0].name if one else 'PART'} --hw KIND makes one; ./inv compare --run A,B compares any two."
    )
    return UsageError("There is nothing to compare.", why, remedy)


def latest(
    results: Path,
    part: Part,
    kind: Hardware,
    like: Mapping[str, object] | None = None,
    paddle: str = "",
    any: bool = False,
) -> Outcome | None:
    """The latest passing run of a cell, with the parameters and the seed of `like`; None where there is none.

    Args:
        paddle: the version of Paddle; empty, that of `like` where it says one, else the kind's own.
        any: whether one that did not pass will do; one that was broken off from outside never does.
    """
    require_folder(results)
    wanted = paddle or records.paddle_version(like or {}) or releases.load().own(kind).version
    for folder in sorted((results / part.name / kind.name).glob("*Z-*"), reverse=True):
        with contextlib.suppress(DataFileError):  # a damaged record is no run; ./inv verify names it
            record: Mapping[str, Any] = records.read(folder / records.FILE)
            same = like is None or all(record[name] == like[name] for name in LIKE)
            ended = record["passed"] or (any and record["exit"]["reason"] not in FROM_OUTSIDE)
            if same and ended and records.paddle_version(record) in ("", wanted):
                return outcome(folder)
    return None


def _named(catalogue: Catalogue, results: Path, runs: Sequence[str], reference: bool) -> list[Pair]:
    found = [outcome(folder) for run in runs for folder in records.find(results, run)]
    parts = {one.record["cell"]["part"] for one in found}
    if len(parts) > 1 or not parts <= catalogue.parts.keys():
        raise UsageError(
            "Runs of different parts are not compared.",
            f"They are of {', '.join(sorted(parts))}.",
            "Name runs of one part.",
        )
    part = catalogue.parts[parts.pop()]
    if reference:
        return [(part, references.read(results, part.name), one) for one in found]
    if len(found) < 2:
        raise UsageError("One run alone is compared with nothing.", f"--run {runs[0]}.", "Write two: --run A,B")
    return [(part, found[0], other) for other in found[1:]]


def _of_versions(
    results: Path, parts: Sequence[Part], kinds: Sequence[Hardware], versions: Sequence[Release]
) -> list[Pair]:
    """The first version's latest run, passed or not, against every other's that is like it, on each kind."""
    if len(versions) < 2:
        why = f"--paddle names {versions[0].version} and no other."
        raise UsageError("One version alone is compared with nothing.", why, "Write two: --paddle 3.0.0,3.3.1")
    pairs = []
    for part, kind in ((part, kind) for part in parts for kind in kinds):
        first = latest(results, part, kind, paddle=versions[0].version, any=True)
        others = (latest(results, part, kind, first.record, each.version, any=True) for each in versions[1:] if first)
        pairs += [(part, first, other) for other in others if first and other]
    if not pairs:
        what = f"No part has run with {versions[0].version} and another of these versions."
        why = "Two runs of a part are compared that have the same parameters and seed."
        raise UsageError(what, why, f"./inv run --paddle {','.join(each.version for each in versions)} makes the runs.")
    return pairs


def _across(results: Path, part: Part, kinds: Sequence[Hardware]) -> Iterator[Pair]:
    """The first kind that has run, against every other's latest run that is like it."""
    first: Outcome | None = None
    for kind in kinds:
        run = latest(results, part, kind, like=first.record if first else None)
        if run and first:
            yield part, first, run
        first = first or run


def _referred(results: Path, part: Part, kinds: Sequence[Hardware]) -> Iterator[Pair]:
    if references.path(results, part.name).is_file():
        reference = references.read(results, part.name)
        runs = (latest(results, part, kind, like=reference.record) for kind in kinds)
        yield from ((part, reference, run) for run in runs if run)
