"""The judge: did a run do what its part declares? Programs measure; only this module decides."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import Hardware, Metric, Part
from harness.processes import Ending

FILE_BYTES = 2**20
DEPTH = 16


@dataclass(frozen=True)
class Check:
    """One verdict: what was asked, what was found, and why it failed if it did."""

    name: str
    asked: str
    found: Any
    passed: bool
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


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
        document = plain(json.loads(path.read_bytes()))
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
    part: Part, hardware: Hardware, parameters: Mapping[str, Any], ending: Ending, measured: Measurements
) -> list[Check]:
    """Every check of a run, in the order in which a person would ask."""
    checks = [_ending(ending, part.timeout)]
    if not ending.ok:
        return checks
    checks.append(_device(hardware, measured))
    if "metrics.json" in measured.mistakes:
        return [*checks, Check("metrics.json", "written", None, False, measured.mistakes["metrics.json"])]
    declared = {name: metric for name, metric in part.metrics.items() if metric.applies(parameters, hardware.category)}
    checks += [_metric(metric, measured.metrics) for metric in declared.values()]
    checks += [
        Check(name, "not declared", value, False, f"projects/{part.slug}/project.yaml does not declare it here")
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
    return Check("program", "finished, code 0", found, ending.ok, whys.get(ending.reason, "stopped before its end"))


def _device(hardware: Hardware, measured: Measurements) -> Check:
    """The proof that every rank was on the device, and on several cards each on one of its own."""
    ranks = len(measured.proofs)
    asked = hardware.device if ranks == 1 else f"{hardware.device}, on each of {ranks} ranks"
    found: Any = None
    for rank, proof in enumerate(measured.proofs):
        found, why = None, measured.mistakes.get(proof_file(rank))
        if why is None:
            found, why = _where(hardware, proof)
        if why is None and ranks > 1 and (proof.get("rank"), proof.get("processes")) != (rank, ranks):
            why = f"it was not started as rank {rank} of {ranks}"
        if why:
            return Check("device", asked, found, False, f"rank {rank}: {why}" if ranks > 1 else why)
    cards = {str(proof["device"]) for proof in measured.proofs}
    if len(cards) < ranks and hardware.category != "cpu":
        return Check("device", asked, ", ".join(sorted(cards)), False, f"{ranks} ranks shared {len(cards)} cards")
    return Check("device", asked, found, True)


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


def place_type(place: str) -> str:
    """The device type of a printed place: 'Place(npu:0)' → 'npu'."""
    return place.removeprefix("Place(").rstrip(")").split(":")[0]


def _metric(metric: Metric, metrics: Mapping[str, Any]) -> Check:
    asked = bounds(metric)
    if metric.name not in metrics:
        return Check(metric.name, asked, None, False, "the program did not write it")
    value = metrics[metric.name]
    if metric.equals is not None:
        same = type(value) is type(metric.equals) and value == metric.equals
        return Check(metric.name, asked, value, same, "" if same else f"it is {value!r}")
    if metric.at_most is None and metric.at_least is None:
        plain = isinstance(value, bool | int | float | str) and value not in ("NaN", "Infinity", "-Infinity")
        return Check(metric.name, asked, value, plain, "" if plain else "not a finite number or a text")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Check(metric.name, asked, value, False, f"not a finite number: {value!r}")
    if metric.at_most is not None and value > metric.at_most:
        return Check(metric.name, asked, value, False, f"{value:g} is over {metric.at_most:g}")
    if metric.at_least is not None and value < metric.at_least:
        return Check(metric.name, asked, value, False, f"{value:g} is under {metric.at_least:g}")
    return Check(metric.name, asked, value, True)


def bounds(metric: Metric) -> str:
    """A metric's bounds in words: 'at most 1e-06'."""
    words = [f"at least {metric.at_least:g}"] if metric.at_least is not None else []
    words += [f"at most {metric.at_most:g}"] if metric.at_most is not None else []
    words += [f"equals {metric.equals!r}"] if metric.equals is not None else []
    return " and ".join(words) or "written"
