"""Reproduction: a cell run again from what its record, or its reference, says."""

from dataclasses import replace
from pathlib import Path

from harness.catalogue import cells, releases
from harness.catalogue.entries import Catalogue
from harness.comparison.comparing import Comparison, Outcome, compare, outcome
from harness.errors import EngineError, HomeworkError, UsageError
from harness.evidence import records
from harness.evidence.record import RecordData
from harness.machine import probe
from harness.runs import runner
from harness.runs.runner import Planned


def plan(record: RecordData, catalogue: Catalogue, kind: str = "") -> Planned:
    """The run that the record describes: part, kind, parameters, cards, and its engine where that can run here.

    Args:
        record: a record, or a reference, which has the same fields.
        catalogue: of this checkout.
        kind: another kind to run it on, by name or alias.

    Raises:
        UsageError: this checkout has no such part, or the part no such parameter value any more.
        HardwareError: the kind is not here.
        EngineError: no engine can run it, or there are too few cards.
    """
    part = catalogue.parts.get(record["cell"]["part"])
    if part is None or part.program is None:
        why = f"It is the record of part {record['cell']['part']}, which has no program here."
        raise UsageError(f"{record['id']} cannot be run again.", why, "Check out the revision that its record names.")
    if (limit := record.get("timeout", 0)) > part.timeout:
        part = replace(part, timeout=limit, raised=True)
    settings = [f"{name}={value}" for name, value in record["parameters"].items()]
    (hardware,) = cells.select_hardware(catalogue, kind or record["cell"]["hardware"])
    paddle = "" if kind else records.paddle_version(record)
    finding = probe.require(probe.probe(hardware, paddle))
    versions = releases.asked(paddle if paddle != releases.load().own(hardware).version else "")
    asked = cells.requests([part], [finding.hardware], None, settings, record["cards"], record["seed"], versions)
    engine = record.get("engine")
    for name in (engine["name"] if engine else "auto", "auto"):
        (planned,) = runner.plan(asked, [finding], name)
        if planned.engine:
            return planned
    raise EngineError(f"{planned.cell} cannot run here.", f"{planned.why}.", "./inv doctor shows what is missing.")


def reproduce(then: Outcome, planned: Planned, results: Path) -> Comparison:
    """Run it again, which leaves a record like any run, and hold what it finds against what was found.

    Raises:
        HomeworkError: the run failed.
    """
    (record,) = runner.run_all([planned], results)
    now = outcome(record.folder)
    if record.failed:
        raise HomeworkError(
            f"{then.name} was run again, and failed.",
            "The lines marked ✗ above say why.",
            f"./inv show {now.name} shows the record.",
        )
    return compare(planned.cell.part, then, now)
