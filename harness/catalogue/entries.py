"""The catalogue: hardware/*/hardware.yaml and projects/*/project.yaml as frozen dataclasses.

It is the one thing that everything else is told: which parts there are, on which kinds, by which rules.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.catalogue import datafiles
from harness.checkout import ROOT, committed
from harness.errors import DataFileError

OF_A_RUN = {"log", "picture", "code"}  # what of a submission a run leaves
MANY = 12  # values that a person reads in a line
SECONDS = {"s": 1, "min": 60, "h": 3600}
COMMIT = re.compile(r"[0-9a-f]{40}")
TIME = re.compile(r"([0-9]{1,6}) ?(s|min|h)")
REPRODUCES = 1.0e-4
TIMED = re.compile(r"(.*/)?[mµn]?s")  # a unit of time, or of something per time

Category = Literal["cpu", "gpu", "accelerator", "simulated"]


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One kind of hardware, as hardware/<name>/hardware.yaml describes it. `data` holds the whole file."""

    name: str
    title: str
    aliases: tuple[str, ...]
    category: Category
    device: str
    environment: Mapping[str, str]
    data: Mapping[str, Any]

    @property
    def vendor(self) -> str:
        return str(self.data.get("vendor", self.title))

    @property
    def paddle(self) -> str:
        """The version of Paddle that its wheels are of, "" where it is the homework's."""
        return str(self.data.get("paddle", {}).get("version", ""))


def few(values: Sequence[object], between: str) -> str:
    """Values in words; of more than a person reads the first, the last and how many there are."""
    words = [str(value) for value in values]
    if len(words) > MANY:
        words = [*words[:3], "…", words[-1]]
        return f"{between.join(words)} ({len(values)} of them)"
    return between.join(words)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A declared parameter of a part: its default gives its type; a text has its `pattern` as a whole."""

    name: str
    default: bool | int | float | str
    help: str
    choices: tuple[Any, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    pattern: str = ""

    @property
    def expects(self) -> str:
        """What a value must be, in words: 'integer, at least 11, at most 1001'."""
        if self.choices:
            return "one of " + few(self.choices, ", ")
        words = [{bool: "true or false", int: "integer", float: "number", str: "text"}[type(self.default)]]
        words += [f"at least {self.at_least:g}"] if self.at_least is not None else []
        words += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        return ", ".join(words)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A declared metric with its bounds; `when` and `categories` say for which runs it must be written.

    A bound is a number or an expression. It is judged where `judged_when` is true, an expression too; `otherwise` says
    why it is not elsewhere. A run again finds it within `reproduces`, relatively, a number or an expression too; None
    holds it to nothing.
    """

    name: str
    unit: str = ""
    help: str = ""
    at_most: float | str | None = None
    at_least: float | str | None = None
    equals: Any = None
    judged_when: str = ""
    otherwise: str = ""
    when: Mapping[str, tuple[Any, ...]]
    reproduces: float | str | None = REPRODUCES
    categories: tuple[str, ...] = ()

    @property
    def bounded(self) -> bool:
        """Whether it is judged at all, and not only recorded."""
        return not (self.at_most is None and self.at_least is None and self.equals is None)

    def applies(self, parameters: Mapping[str, Any], category: str) -> bool:
        fits = all(parameters.get(name) in values for name, values in self.when.items())
        return fits and (not self.categories or category in self.categories)


@dataclass(frozen=True)
class Requirement:
    """What parameters and cards have to fit, as an expression, and why."""

    that: str
    otherwise: str


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One sentence of the points rules (see harness/points/scoring.py)."""

    name: str
    value: float
    limit: float
    upper: float
    needs: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    since: str = ""
    categories: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    cards: int = 1
    paddle: str = ""  # versions of Paddle whose runs earn, as PEP 440 writes a range; empty: any


@dataclass(frozen=True)
class Cards:
    """How many cards a part runs on, and which other numbers may be asked for."""

    default: int = 1
    at_least: int = 1
    at_most: int = 1

    @property
    def expects(self) -> str:
        return f"{self.at_least} to {self.at_most}" if self.at_least < self.at_most else str(self.at_least)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a task, for example 8-2. `program` is None while nobody has written it."""

    name: str
    slug: str
    title: str
    title_zh: str
    quote: str
    evidence: str
    reading: str
    stack: str | None
    program: Path | None
    timeout: float
    raised: bool = False  # whether somebody asked for a longer timeout than project.yaml's
    parameters: Mapping[str, Parameter]
    profiles: Mapping[str, Mapping[str, Any]]
    metrics: Mapping[str, Metric]
    rules: tuple[Rule, ...]
    traces: Mapping[str, float | str] = field(default_factory=dict)
    network: bool = False
    cards: Cards = Cards()
    requires: tuple[Requirement, ...] = ()
    submission: tuple[str, ...] = ()
    evidence_only: bool = False  # nothing runs: what a person attaches is what counts
    tools: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[str, ...] = ()

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of the checkout that its program reads modules from, its own first: 'projects/09-inference'."""
        return tuple(f"projects/{name}" for name in (self.slug, *self.uses))

    @property
    def usable(self) -> tuple[str, ...]:
        """The kinds of evidence that a person may add: what its rules need, and what is handed in with it."""
        needs = [kind for rule in self.rules for need in rule.needs for kind in need.split(" or ")]
        handed_in = ["photo" if kind == "picture" else kind for each in self.submission for kind in each.split(" or ")]
        return tuple(dict.fromkeys(kind for kind in [*needs, *handed_in] if kind not in ("log", "code")))

    @property
    def task(self) -> str:
        """The task's number: '8' of part '8-2'."""
        return self.name.partition("-")[0]


@dataclass(frozen=True)
class Catalogue:
    hardware: Mapping[str, Hardware]
    parts: Mapping[str, Part]


def load(root: Path = ROOT) -> Catalogue:
    """Read and validate every data file under `root`.

    Raises:
        DataFileError: a file is not YAML or breaks its schema; file, line and the mend are named.
    """
    documents = datafiles.documents(root)
    counts = documents.get("docker/paddle.yaml", {}).get("counts", "")
    hardware = [_hardware(doc) for path, doc in documents.items() if path.startswith("hardware/")]
    parts = [
        part
        for path, doc in documents.items()
        if path.startswith("projects/")
        for part in _parts(doc, root / path, counts)
    ]
    _refuse_twins(hardware, parts)
    parts.sort(key=lambda part: [int(number) for number in part.name.split("-")])
    order = ("cpu", "gpu", "accelerator", "simulated")
    hardware.sort(key=lambda kind: (order.index(kind.category), kind.name))
    return Catalogue({kind.name: kind for kind in hardware}, {part.name: part for part in parts})


@functools.cache
def tools(stack: str) -> tuple[str, ...]:
    """The commands that the programs on a stack call, beyond its packages."""
    parts = [part for part in load().parts.values() if part.program and part.stack == stack]
    return tuple(sorted({tool for part in parts for tool in part.tools}))


def rooted(text: str) -> str:
    """A command's word or a variable's value of hardware.yaml with {root}, this checkout's folder, filled in."""
    return text.replace("{root}", str(ROOT))


def _of_this_machine(cases: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The variables of those cases whose file exists on this machine and holds their pattern."""
    chosen: dict[str, str] = {}
    for case in cases:
        path = Path(case["file"])
        if path.is_file() and re.search(case["pattern"], path.read_text(encoding="utf-8", errors="replace")):
            chosen |= case["environment"]
    return chosen


def _hardware(doc: Mapping[str, Any]) -> Hardware:
    return Hardware(
        name=doc["name"],
        title=doc["title"],
        aliases=tuple(doc.get("aliases", ())),
        category=doc["class"],
        device=doc["device"],
        environment={**doc.get("environment", {}), **_of_this_machine(doc.get("environment_where", ()))},
        data=doc,
    )


def _parts(doc: Mapping[str, Any], path: Path, counts: str = "") -> Iterator[Part]:
    for name, part in doc["parts"].items():
        yield Part(
            name=name,
            slug=path.parent.name,
            title=part.get("title", doc["title"]),
            title_zh=part.get("title_zh", doc["title_zh"]),
            quote=part["quote"],
            evidence=part["evidence"],
            reading=part["reading"],
            stack=part.get("stack", doc.get("stack")),
            program=path.parent / part["program"] if "program" in part else None,
            timeout=seconds(part.get("timeout", "0 s")),
            parameters={key: _parameter(key, value) for key, value in part.get("parameters", {}).items()},
            profiles=part.get("profiles", {}),
            metrics={key: _metric(key, value or {}) for key, value in part.get("metrics", {}).items()},
            rules=tuple(_rule(rule, part.get("paddle", counts)) for rule in part["points"]),
            traces=part.get("traces", {}),
            network=part.get("network", False),
            cards=Cards(**{"at_most": part["cards"]["default"], **part["cards"]}) if "cards" in part else Cards(),
            requires=tuple(Requirement(**each) for each in part.get("requires", ())),
            submission=tuple(part.get("submission", ())),
            evidence_only=part.get("evidence_only", False),
            tools=doc.get("tools", {}),
            uses=tuple(doc.get("uses", ())),
        )


def _parameter(name: str, data: Mapping[str, Any]) -> Parameter:
    return Parameter(name=name, **{**data, "choices": tuple(data.get("choices", ()))})


def _metric(name: str, data: Mapping[str, Any]) -> Metric:
    when = {key: tuple(values) for key, values in data.get("when", {}).items()}
    plain = ("unit", "help", "at_most", "at_least", "equals", "judged_when", "otherwise")
    bounds = {key: data[key] for key in plain if key in data}
    bounds["categories"] = tuple(data.get("hardware", {}).get("class", ()))
    default = False if TIMED.fullmatch(data.get("unit", "")) else REPRODUCES
    reproduces = data.get("reproduces", default)
    return Metric(name=name, when=when, reproduces=None if reproduces is False else reproduces, **bounds)


def _rule(data: Mapping[str, Any], paddle: str) -> Rule:
    lower, upper = data.get("range", (data.get("value"), data.get("limit", data.get("value"))))
    hardware = data.get("hardware", {})
    return Rule(
        name=data["rule"],
        value=lower,
        upper=upper,
        limit=upper,
        needs=tuple(data.get("needs", ())),
        hosts=tuple(data.get("hosts", ())),
        since=data.get("since", ""),
        categories=tuple(hardware.get("class", ())),
        architectures=tuple(hardware.get("architecture", ())),
        cards=hardware.get("cards", 1),
        paddle=paddle,
    )


def seconds(text: str) -> float:
    """The seconds of "90 s", "10 min" or "2h".

    Raises:
        ValueError: it is no such time.
    """
    found = TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    return float(found[1]) * SECONDS[found[2]]


def part_then(name: str, program: str, commit: str, root: Path = ROOT) -> Part | None:
    """A part as project.yaml described it at a commit; None where git does not have it, or it reads no more.

    Args:
        name: of the part.
        program: its program's file, projects/…/main.py.
        commit: all 40 digits.
        root: a git checkout.
    """
    import yaml

    project = re.match(r"(projects/[\w-]+/)[\w./-]+", program)
    text = committed(root, commit, f"{project[1]}project.yaml") if project and COMMIT.fullmatch(commit) else None
    try:
        parts = _parts(yaml.safe_load(text or ""), root / program)
        return next((part for part in parts if part.name == name), None)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return None


def _refuse_twins(hardware: list[Hardware], parts: list[Part]) -> None:
    owners = dict.fromkeys(("all", "auto"), "the command line")
    named = [(name, f"hardware/{kind.name}/hardware.yaml") for kind in hardware for name in (kind.name, *kind.aliases)]
    named += [(f"part {part.name}", f"projects/{part.slug}/project.yaml") for part in parts]
    for name, path in named:
        if name in owners:
            raise DataFileError(f"{path}: {name!r} is taken.", f"{owners[name]} has it already.", "Choose another.")
        owners[name] = path
