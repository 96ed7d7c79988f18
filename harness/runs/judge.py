"""The judge: did a run do what its part declares? Programs measure; only this module decides."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import expressions
from harness.catalogue.entries import Hardware, Metric, Part
from harness.evidence.hashing import read_json
from harness.evidence.verdicts import FAILED, NOT_JUDGED, PASSED, Verdict
from harness.runs.processes import Ending

FILE_BYTES = 2**20
DEPTH = 16


@dataclass(frozen=True)
class Check:
    """What was asked, what was found, the verdict, and why it is not "passed" where it is not."""

    name: str
    asked: str
    found: Any
    verdict: Verdict
    why: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict == PASSED

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


@dataclass(frozen=True)
class Measurements:
    """What a program left in its folder: metrics.json, each rank's device.json, and what was wrong with them."""

    metrics: Mapping[str, Any]
    proofs: tuple[Mapping[str, Any], ...]
    mistakes: Mapping[str, str]

    @property
    def device(self) -> dict[str, Any]:
        """device.json, and those of the other ranks under `other_ranks` where there are any."""
        first, *others = self.proofs
        return {**first, **({"other_ranks": others} if others else {})}


def read_measurements(folder: Path, cards: int = 1) -> Measurements:
    """Read the files of a program on that many cards as far as they can be read; mistakes are kept by file name."""
    mistakes: dict[str, str] = {}
    metrics = _read_object(folder / "metrics.json", mistakes)
    proofs = tuple(_read_object(folder / proof_file(rank), mistakes) for rank in range(cards))
    return Measurements(metrics, proofs, mistakes)


def proof_file(rank: int) -> str:
    """The name under which a rank leaves the proof of its device."""
    return f"device.{rank}.json" if rank else "device.json"


def _read_object(path: Path, mistakes: dict[str, str]) -> dict[str, Any]:
    try:
        if path.is_symlink() or path.stat().st_size > FILE_BYTES:
            mistakes[path.name] = "a link, or over 1 MiB"
            return {}
        document = plain(read_json(path.read_bytes()))
    except FileNotFoundError:
        mistakes[path.name] = "the program wrote none"
    except (OSError, ValueError, RecursionError) as error:
        mistakes[path.name] = f"not readable as JSON: {error}"
    else:
        if isinstance(document, dict):
            return document
        mistakes[path.name] = "not a JSON object"
    return {}


def plain(value: Any, depth: int = DEPTH) -> Any:
    """A JSON value as strict JSON can hold it: a number that is not finite becomes its name.

    Raises:
        ValueError: it is nested deeper than any measurement.
    """
    if depth == 0:
        raise ValueError(f"nested more than {DEPTH} deep")
    if isinstance(value, dict):
        return {name: plain(item, depth - 1) for name, item in value.items()}
    if isinstance(value, list):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and abs(value) >= 2**1023:
        return "Infinity" if value > 0 else "-Infinity"
    return value


def judge(
    part: Part,
    hardware: Hardware,
    parameters: Mapping[str, Any],
    ending: Ending,
    measured: Measurements,
    cards: Sequence[str] = (),
) -> list[Check]:
    """Every check of a run on these cards, in the order in which a person would ask."""
    checks = [_ending(ending, part.timeout)]
    if not ending.ok:
        return checks
    checks.append(_device(hardware, measured, cards))
    if "metrics.json" in measured.mistakes:
        return [*checks, Check("metrics.json", "written", None, FAILED, measured.mistakes["metrics.json"])]
    declared = {name: metric for name, metric in part.metrics.items() if metric.applies(parameters, hardware.category)}
    names = {**_defaults(part), **parameters, "cards": len(measured.proofs)}
    checks += [_metric(metric, names, measured.metrics) for metric in declared.values()]
    checks += [
        Check(name, "not declared", value, FAILED, f"projects/{part.slug}/project.yaml does not declare it here")
        for name, value in measured.metrics.items()
        if name not in declared
    ]
    return checks


def _ending(ending: Ending, timeout: float) -> Check:
    found = ending.reason if ending.code is None else f"{ending.reason}, code {ending.code}"
    whys = {
        "finished": "" if ending.ok else "the program failed; its last lines in run.log say why",
        "timed out": f"still running after its limit of {timeout:g} s",
        "killed": f"ended by {ending.signal}" + (" (out of memory?)" if ending.signal == "SIGKILL" else ""),
        "not started": "the command could not be started",
        "cancelled": "its job was cancelled",
        "requeued": "its job was put back into the queue; another attempt followed",
        "node failed": "its node failed",
    }
    verdict: Verdict = PASSED if ending.ok else FAILED
    return Check("program", "finished, code 0", found, verdict, whys.get(ending.reason, "stopped before its end"))


def _device(hardware: Hardware, measured: Measurements, chosen: Sequence[str] = ()) -> Check:
    """The proof that every rank was on the device, and on several cards each on one of its own, of those chosen."""
    ranks = len(measured.proofs)
    asked = hardware.device if ranks == 1 else f"{hardware.device}, on each of {ranks} ranks"
    found: Any = None
    for rank, proof in enumerate(measured.proofs):
        found, why = None, measured.mistakes.get(proof_file(rank))
        if why is None:
            found, why = _where(hardware, proof)
        if why is None and ranks > 1 and (proof.get("rank"), proof.get("processes")) != (rank, ranks):
            why = f"it was not started as rank {rank} of {ranks}"
        if why is None and "visible_devices" in hardware.data:
            why = _other_card(proof, chosen, hardware.data.get("shows_all_cards", False))
        if why:
            return Check("device", asked, found, FAILED, f"rank {rank}: {why}" if ranks > 1 else why)
    cards = {str(proof["device"]) for proof in measured.proofs}
    if len(cards) < ranks and hardware.category != "cpu":
        return Check("device", asked, ", ".join(sorted(cards)), FAILED, f"{ranks} ranks shared {len(cards)} cards")
    return Check("device", asked, found, PASSED)


def _where(hardware: Hardware, proof: Mapping[str, Any]) -> tuple[str, str | None]:
    """The device types of a proof, and why they are not the requested one's alone with all its kernels."""
    device = str(proof.get("device", "")).split(":")[0]
    places, kernels = proof.get("places"), proof.get("kernels", {})
    if not isinstance(places, dict) or not places:
        return device, "device.json names no place of a tensor"
    found = sorted({device, *(place_type(place) for place in places)})
    if found != [hardware.device]:
        return ", ".join(found), "it ran elsewhere: a silent fall-back"
    if not isinstance(kernels, dict):
        return device, "device.json's kernels are not named"
    lacking = [name for name, has in kernels.items() if not has]
    return device, f"no kernel there for {', '.join(lacking)}" if lacking else None


def _other_card(proof: Mapping[str, Any], chosen: Sequence[str], shows_all: bool = False) -> str | None:
    """Why a rank's places are not among the cards of the record.

    A runtime shows these alone and numbers them from 0; one that shows all numbers them as the record does.
    """
    if not chosen:
        return None
    named = f"the record names {len(chosen)} ({', '.join(chosen)})"
    if not shows_all and proof.get("visible_cards", len(chosen)) != len(chosen):
        return f"it saw {proof['visible_cards']} cards, and {named}: the runtime did not take the choice"
    numbers = {place.removeprefix("Place(").rstrip(")").partition(":")[2] for place in proof["places"]}
    numbers |= {str(proof["device"]).partition(":")[2]}
    allowed = {"", *(chosen if shows_all else map(str, range(len(chosen))))}
    outside = sorted(numbers - allowed)
    return f"it computed on card {', '.join(outside)} of those it saw, and {named}" if outside else None


def place_type(place: str) -> str:
    """The device type of a printed place: 'Place(npu:0)' → 'npu'."""
    return place.removeprefix("Place(").rstrip(")").split(":")[0]


def judge_metric(
    part: Part,
    name: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, Any],
    cards: int = 1,
    category: str = "cpu",
) -> Check:
    """The check of one declared metric, for a run with these parameters (defaults for the others) and metrics.

    Raises:
        LookupError: the part does not ask for that metric there.
    """
    names = {**_defaults(part), **parameters, "cards": cards}
    if name not in part.metrics or not part.metrics[name].applies(names, category):
        raise LookupError(f"part {part.name} does not ask for {name} there")
    return _metric(part.metrics[name], names, {key: plain(value) for key, value in metrics.items()})


def limits(
    part: Part, name: str, parameters: Mapping[str, Any], metrics: Mapping[str, Any], cards: int = 1
) -> tuple[float | None, float | None]:
    """The least and the greatest value with which a declared metric passes, for a run with these metrics; None: any.

    Raises:
        ExpressionError: a bound has no value.
    """
    metric, names = part.metrics[name], {**metrics, **_defaults(part), **parameters, "cards": cards}
    return _bound(metric.at_least, names), _bound(metric.at_most, names)


def _defaults(part: Part) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in part.parameters.items()}


def _metric(metric: Metric, parameters: Mapping[str, Any], metrics: Mapping[str, Any]) -> Check:
    """The check of a metric, whose bounds may name parameters, cards and other metrics."""
    asked, value = bounds(metric), metrics.get(metric.name)
    others = {name: each for name, each in metrics.items() if name != metric.name}
    names = {**others, **parameters}
    try:
        if metric.judged_when and not expressions.parse(metric.judged_when).truth(names):
            whole = value is None or _is_plain(value)
            asked = f"{asked}, when {metric.judged_when}"
            if not whole:
                return Check(metric.name, asked, value, FAILED, "not a finite number or a text")
            return Check(metric.name, asked, value, NOT_JUDGED, metric.otherwise)
        if metric.name not in metrics:
            return Check(metric.name, asked, None, FAILED, "the program did not write it")
        least, most = _bound(metric.at_least, names), _bound(metric.at_most, names)
        asked = _bounds(metric, least, most)
        why = _mistake(metric, value, least, most)
    except expressions.ExpressionError as error:
        why = f"its bound has no value: {error}"
    return Check(metric.name, asked, value, FAILED if why else PASSED, why)


def _mistake(metric: Metric, value: Any, least: float | None, most: float | None) -> str:
    """Why a value is not what was asked for; empty where it is."""
    if metric.equals is not None:
        return "" if type(value) is type(metric.equals) and value == metric.equals else f"it is {value!r}"
    if least is None and most is None:
        return "" if _is_plain(value) else "not a finite number or a text"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"not a finite number: {value!r}"
    if most is not None and value > most:
        return f"{value:g} is over {most:g}"
    if least is not None and value < least:
        return f"{value:g} is under {least:g}"
    return ""


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str) and value not in ("NaN", "Infinity", "-Infinity")


def _bound(bound: float | str | None, names: Mapping[str, Any]) -> float | None:
    return expressions.parse(bound).number(names) if isinstance(bound, str) else bound


def bounds(metric: Metric) -> str:
    """A metric's bounds in words: 'at most 1e-06', 'at most 8 * u_float32 * sqrt(columns)'."""
    return _bounds(metric, metric.at_least, metric.at_most)


def _bounds(metric: Metric, least: float | str | None, most: float | str | None) -> str:
    words = [
        f"{side} {_said(found)}" + (f" ({bound})" if isinstance(bound, str) and found is not bound else "")
        for side, bound, found in (("at least", metric.at_least, least), ("at most", metric.at_most, most))
        if found is not None
    ]
    words += [f"equals {metric.equals!r}"] if metric.equals is not None else []
    return " and ".join(words) or "written"


def _said(bound: float | str) -> str:
    return bound if isinstance(bound, str) else f"{bound:g}"
