"""Comparison: what one run found held against what another found, value by value, and what differed around them."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from harness import terminal
from harness.catalogue import expressions
from harness.catalogue.entries import TIMED, Metric, Part
from harness.errors import HomeworkError, UsageError
from harness.evidence import traces
from harness.evidence.record import Paddle, RecordData
from harness.evidence.records import FILE, libraries, paddle_version, read
from harness.evidence.traces import Parting, Tensor
from harness.evidence.verdicts import PASSED, verdict_of, why_not

HASH = 12  # characters of one that a person tells apart


@dataclass(frozen=True)
class Outcome:
    """What a run found: its record's fields, or a reference's, which have the same names; and its tensors."""

    name: str
    record: RecordData
    tensors: Mapping[str, Tensor]

    @property
    def kind(self) -> str:
        return str(self.record["cell"]["hardware"])

    @property
    def verdict(self) -> str:
        """A reference was made of a run that passed, and does not say so."""
        return verdict_of(self.record) if "passed" in self.record else PASSED

    @property
    def whole(self) -> bool:
        """Whether its program came to its end, so that what is missing is missing."""
        return self.verdict == PASSED or bool(self.record["metrics"])

    @property
    def setting(self) -> str:
        """Where it ran: the kind, and the version of Paddle."""
        return f"{self.kind} {paddle_version(self.record)}".strip()


def outcome(folder: Path) -> Outcome:
    """Read what the run in `folder` found.

    Raises:
        DataFileError: the record or its trace is damaged.
    """
    record = read(folder / FILE)
    return Outcome(record["id"], record, traces.read(folder, record))


# Metrics


@dataclass(frozen=True)
class Held:
    """A metric of two runs. `same` is None where it is not held to anything (a time, a rounding error)."""

    name: str
    then: Any
    now: Any
    tolerance: str
    verdict: str
    same: bool | None


Names = Mapping[str, Any]  # what an expression may name of a run: its metrics, parameters and cards


def names_of(record: Mapping[str, Any]) -> Names:
    return {**record["metrics"], **record["parameters"], "cards": record["cards"]}


def tolerance(declared: float | str | None, *runs: Names) -> float | None:
    """How far two runs may be apart: a number, or the sum of what an expression is for each, for each errs by its own.

    Raises:
        ExpressionError: it has no value for one of them.
    """
    if not isinstance(declared, str):
        return declared
    return sum(expressions.parse(declared).number(names) for names in runs)


def metrics(part: Part, then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Held]:
    """Hold every metric of two records of a part, each within what its project.yaml declares."""
    runs = names_of(then), names_of(now)
    names = {**then["metrics"], **now["metrics"]}
    return [_held(part.metrics.get(name) or Metric(name=name, when={}), *runs) for name in names]


def _held(metric: Metric, then: Names, now: Names) -> Held:
    before, after = then.get(metric.name), now.get(metric.name)
    held = functools.partial(Held, metric.name, before, after)
    if metric.name not in then or metric.name not in now:
        return held("", "missing then" if metric.name not in then else "missing now", same=False)
    if metric.reproduces is None:
        if TIMED.fullmatch(metric.unit) and _number(before) and _number(after) and before > 0:
            return held("", f"not held, {after / before:.2f} times", same=None)
        return held("", "not held", same=None)
    if not (_number(before) and _number(after)):
        same = type(before) is type(after) and before == after
        return held("equal", "equal" if same else "differs", same=same)
    try:
        within = tolerance(metric.reproduces, then, now) or 0.0
    except expressions.ExpressionError as error:
        return held(str(metric.reproduces), f"no tolerance: {error}", same=False)
    off = _relative(before, after)
    return held(f"{within:.2g}", "equal" if off == 0 else f"{off:.1e} off", same=off <= within)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _relative(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0


# Tensors


def tensors(part: Part, then: Outcome, now: Outcome) -> list[Parting]:
    """Hold every tensor of two runs of a part, within its type's tolerance or what project.yaml declares for it."""
    return [_tensor(name, part.traces.get(name), then, now) for name in dict.fromkeys([*then.tensors, *now.tensors])]


def _tensor(name: str, declared: float | str | None, then: Outcome, now: Outcome) -> Parting:
    try:
        within = tolerance(declared, names_of(then.record), names_of(now.record))
    except expressions.ExpressionError as error:
        return Parting(name, "", None, None, f"no tolerance: {error}")
    return traces.hold(name, then.tensors.get(name), now.tensors.get(name), within)


# What was around


def surroundings(then: RecordData, now: RecordData) -> list[tuple[str, str, str]]:
    """What differs between two runs besides what they found: (name, then, now)."""
    before, after = dict(_facts(then)), dict(_facts(now))
    rows = [(name, before.get(name, "–"), after.get(name, "–")) for name in {**before, **after}]
    return [row for row in rows if row[1] != row[2]]


def _facts(record: RecordData) -> Iterator[tuple[str, str]]:
    program, hardware = record["program"], record["hardware"]
    engine, stack, paddle = record.get("engine"), record.get("stack"), record.get("paddle")
    facts = {
        "revision": str(program["revision"])[:HASH],
        "clean tree": {True: "yes", False: "no", None: None}[program["clean"]],
        "hardware": record["cell"]["hardware"],
        "model": hardware["model"],
        "driver": hardware["driver"],
        "cards": record["cards"],
        "machine": hardware["machine"],
        "system": hardware["system"],
        "engine": engine["name"] if engine else None,
        "image": engine["image"] if engine else None,
        "Python": stack["python"] if stack else None,
        "lock": f"{stack['name']} {stack['lock_sha256'][:HASH]}" if stack else None,
        "Paddle": f"{paddle['package']} {paddle['version']}" if paddle else None,
        "wheel": str(paddle["wheel_sha256"])[:HASH] if paddle else None,
        "plug-ins": ", ".join(_wheel(each) for each in record.get("plug_ins", ())) or None,
        "seed": record["seed"],
    }
    yield from ((name, str(value)) for name, value in facts.items() if value is not None)
    yield from ((f"parameter {name}", str(value)) for name, value in record["parameters"].items())
    yield from ((f"variable {name}", value) for name, value in (record.get("environment") or {}).items())
    yield from libraries(record)


def _wheel(paddle: Paddle) -> str:
    return f"{paddle['package']} {paddle['version']} {str(paddle['wheel_sha256'])[:HASH]}"


# Together


@dataclass(frozen=True)
class Comparison:
    part: Part
    then: Outcome
    now: Outcome
    metrics: Sequence[Held]
    tensors: Sequence[Parting]

    @property
    def turned(self) -> bool:
        """Whether the one passed and the other did not."""
        return self.then.verdict != self.now.verdict

    @property
    def apart(self) -> list[str]:
        """The names of what is beyond its tolerance, first of all the verdict."""
        return [f"{self.now.verdict}, was {self.then.verdict}"] * self.turned + self.beyond

    @property
    def beyond(self) -> list[str]:
        """The values that are beyond their tolerance; of a program that broke off, none is."""
        if not (self.then.whole and self.now.whole):
            return []
        apart = [held.name for held in self.metrics if held.same is False]
        return apart + [parting.name for parting in self.tensors if parting.why]

    @property
    def empty(self) -> bool:
        """Whether nothing of the one was held against the other."""
        return not self.turned and not self.tensors and all(held.same is None for held in self.metrics)


def compare(part: Part, then: Outcome, now: Outcome, with_metrics: bool = True) -> Comparison:
    """Hold a run against another of the same part, or against a reference, which may hold a sample of its tensors."""
    held = metrics(part, then.record, now.record) if with_metrics else []
    return Comparison(part, then, now, held, tensors(part, then, now))


def show(found: Comparison) -> str:
    """Its tables for a terminal, and where to look first."""
    blocks = [
        terminal.bold(f"{found.part.name} {found.part.title}")
        + f"\nthen  {_line(found.then)}\nnow   {_line(found.now)}"
    ]
    if found.turned:
        why = why_not(found.now.record) or why_not(found.then.record)
        blocks.append(
            terminal.red(f"Verdict: {found.then.verdict} then, {found.now.verdict} now") + f"; {terminal.harmless(why)}"
        )
    blocks += [f"Time: {seconds}"] if (seconds := _seconds(found)) else []
    if not (found.then.whole and found.now.whole):
        return "\n\n".join([*blocks, "Values are not compared: a program broke off.", _around(found)])
    if found.metrics:
        rows = [
            (
                _cut(held.name),
                _short(held.then),
                _short(held.now),
                held.tolerance,
                _mark(held.same, terminal.harmless(held.verdict)),
            )
            for held in found.metrics
        ]
        blocks.append(_table(("metric", "then", "now", "tolerance", "verdict"), rows))
    if found.tensors:
        blocks.append(_table(("trace", "type and shape", "largest", "tolerance", "verdict"), map(_row, found.tensors)))
    if found.empty:
        blocks.append(terminal.yellow("Nothing could be compared: neither has a trace."))
    first = traces.first_of(list(found.tensors))
    if first:
        blocks.append(terminal.harmless(f"First differs: {first.name}, {first.why}"))
    return "\n\n".join([*blocks, _around(found)])


def _around(found: Comparison) -> str:
    around = surroundings(found.then.record, found.now.record)
    if not around:
        return "Around it nothing differs: revision, Paddle, lock, hardware, settings."
    return _table(("around it", "then", "now"), [tuple(map(_cut, row)) for row in around])


def summary(found: Sequence[Comparison], parts: Sequence[Part]) -> str:
    """What changed, a line for each comparison; and which of the parts could not be compared."""
    names = ("part", "then", "now", "verdict", "values beyond tolerance", "first tensor that differs", "times as long")
    compared = {each.part.name for each in found}
    left = [part.name for part in parts if part.program and part.name not in compared]
    lines = [_table(names, map(_changed, found))] + [
        f"Not compared, as one of the runs is missing: {', '.join(left)}"
    ] * bool(left)
    return terminal.bold("What changed") + "\n\n" + "\n\n".join(lines)


def _changed(found: Comparison) -> tuple[str, ...]:
    then, now, ratio = found.then, found.now, _ratio(found)
    verdict = now.verdict + f", was {then.verdict}" * found.turned + ", values differ" * bool(found.beyond)
    beyond = [held.name for held in found.metrics if held.same is False] if found.beyond else []
    first = traces.first_of(list(found.tensors)) if found.beyond else None
    columns = _cut(", ".join(beyond)), terminal.harmless(first.name) if first else "", f"{ratio:.2f}" if ratio else ""
    return found.part.name, then.setting, now.setting, _mark(not found.apart, verdict), *columns


def _seconds(found: Comparison) -> str:
    """How long the programs took, and as a ratio, where both came to their end."""
    then, now = (one.record.get("times", {}).get("seconds") for one in (found.then, found.now))
    ratio = _ratio(found)
    return f"{then:.1f} s then, {now:.1f} s now: {ratio:.2f} times as long" if ratio else ""


def _ratio(found: Comparison) -> float | None:
    then, now = (one.record.get("times", {}).get("seconds") for one in (found.then, found.now))
    return now / then if then and now and found.then.whole and found.now.whole else None


def require_same(found: Sequence[Comparison]) -> None:
    """Raise where something is beyond its tolerance, or nothing was compared at all.

    Raises:
        UsageError: no run has anything that another could be held against.
        HomeworkError: what is beyond its tolerance, by name.
    """
    if all(each.empty for each in found):
        names = ", ".join(dict.fromkeys(one.name for each in found for one in (each.then, each.now)))
        raise UsageError(
            "Nothing could be compared.",
            f"There is no trace of {names}: their programs failed, or leave none.",
            "./inv show RUN says how a run ended; --reference compares metrics as well.",
        )
    apart = [f"{each.part.name}: {', '.join(each.apart)}" for each in found if each.apart]
    if apart:
        raise HomeworkError(
            "Beyond tolerance: " + "; ".join(apart),
            "The lines marked ✗ above say how far.",
            "`around it` says what differed; tolerances stand in project.yaml (`reproduces`, `traces`).",
        )


def _line(one: Outcome) -> str:
    return terminal.harmless(f"{one.name}  on {one.kind} ({one.record['hardware']['model']})")


def _row(parting: Parting) -> tuple[str, ...]:
    off = "" if parting.off is None else f"{parting.off:.1e}"
    tolerance = "equal" if parting.tolerance is None else f"{parting.tolerance:.1e}"
    why = terminal.harmless(parting.why)
    return (_cut(parting.name), _cut(parting.kind), off, tolerance, _mark(not why, why or "agrees"))


def _mark(same: bool | None, text: str) -> str:
    if same is None:
        return terminal.dim(f"· {text}")
    return terminal.green(f"✓ {text}") if same else terminal.red(f"✗ {text}")


def _short(value: Any) -> str:
    return "–" if value is None else f"{value:.8g}" if isinstance(value, float) else _cut(str(value))


def _cut(text: str, limit: int = 40) -> str:
    text = terminal.harmless(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _table(head: Sequence[str], rows: Any) -> str:
    from tabulate import tabulate

    return tabulate(list(rows), headers=head, tablefmt="simple", disable_numparse=True)
