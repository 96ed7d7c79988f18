"""What a JSON Schema cannot say of a data file: its fields have to fit each other, and the files beside it."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import expressions, versions

Steps = tuple[str | int, ...]


@dataclass(frozen=True)
class Mistake:
    """The steps that lead to a wrong value, what is wrong with it, and what would be right."""

    steps: Steps
    what: str
    remedy: str


def hardware_mistakes(document: Mapping[str, Any], folder: Path) -> Iterator[Mistake]:
    """The mistakes in a valid hardware.yaml of `folder`."""
    if document["name"] != folder.name:
        yield Mistake(("name",), f"name is {document['name']!r}.", f"Write {folder.name!r}, the folder's name.")
    yield from _lister_mistakes(document["lister"])
    for number, sdk in enumerate(requires(document).get("sdks", ())):
        yield from _pattern_mistakes(("requires", "sdks", number, "read"), sdk.get("read", ""))
    for number, chip in enumerate(document.get("chips", ())):
        for key in ("model", "architecture"):
            yield from _pattern_mistakes(("chips", number, key), chip.get(key, ""))
    for steps, clauses in _ranges(document):
        yield from _version_mistakes(steps, clauses)
    yield from _variant_mistakes(document)
    beside = document["wheels"].get("beside")
    if beside and not (folder.parent.parent / "docker" / "locks" / f"{beside}.txt").is_file():
        yield Mistake(("wheels", "beside"), f"docker/locks has no {beside}.txt.", "docker/locks/compile.py makes it.")


def requires(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = document.get("requires", {})
    return found


def _lister_mistakes(lister: Mapping[str, Any]) -> Iterator[Mistake]:
    steps: Steps = ("lister",)
    others = (((*steps, "others", number), other) for number, other in enumerate(lister.get("others", ())))
    for place, table in ((steps, lister), *others):
        card = table.get("card", "")
        for pattern in [card] if isinstance(card, str) else card:
            yield from _pattern_mistakes((*place, "card"), pattern)
            if "(?P<health>" in pattern and "healthy" not in lister:
                yield Mistake((*place, "card"), "nothing says which health is good.", "Add `healthy:`, e.g. OK.")
        for key in ("driver", "healthy", "whole", "lost", "process"):
            yield from _pattern_mistakes((*place, key), table.get(key, ""))


def _ranges(document: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    """Every range of versions, with the steps that lead to it."""
    if "driver" in requires(document):
        yield ("requires", "driver"), requires(document)["driver"]
    for number, sdk in enumerate(requires(document).get("sdks", ())):
        if "version" in sdk:
            yield ("requires", "sdks", number, "version"), sdk["version"]
    for number, pair in enumerate(requires(document).get("pairs", ())):
        for side in ("where", "then"):
            for name, clauses in pair[side].items():
                yield ("requires", "pairs", number, side, name), clauses
    for number, variant in enumerate(document["wheels"].get("variants", ())):
        for key in ("paddle", "driver"):
            yield ("wheels", "variants", number, key), variant[key]


def _variant_mistakes(document: Mapping[str, Any]) -> Iterator[Mistake]:
    known = [chip["name"] for chip in document.get("chips", ())]
    for number, variant in enumerate(document["wheels"].get("variants", ())):
        for name in variant["chips"]:
            if name not in known:
                steps: Steps = ("wheels", "variants", number, "chips")
                yield Mistake(steps, f"{name!r} is no chip of this file.", f"It has: {', '.join(known)}.")


def paddle_mistakes(document: Mapping[str, Any], folder: Path) -> Iterator[Mistake]:
    """The mistakes in a valid paddle.yaml of `folder`."""
    yield from _version_mistakes(("counts",), document["counts"])
    if (homework := document["homework"]) not in document["versions"]:
        yield Mistake(("homework",), f"{homework} is none of the versions.", "Name one of them.")
    for version in document["versions"]:
        place = folder / "locks" / ("" if version == homework else version)
        if not (place / "base.txt").is_file():
            remedy = ".venv/bin/python docker/locks/compile.py makes them."
            yield Mistake(("versions", version), f"{version} has no locks in {place.relative_to(folder)}.", remedy)


def _pattern_mistakes(steps: Steps, pattern: str) -> Iterator[Mistake]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield Mistake(steps, f"not a regular expression: {error}.", "Mend the pattern.")


def _version_mistakes(steps: Steps, clauses: str) -> Iterator[Mistake]:
    try:
        versions.parse(clauses)
    except ValueError:
        yield Mistake(steps, f"{clauses!r} is no range of versions.", "Write one like '>=23.0.3,<25'.")


def project_mistakes(document: Mapping[str, Any], folder: Path) -> Iterator[Mistake]:
    """The mistakes in a valid project.yaml of `folder`."""
    for number, name in enumerate(document.get("uses", ())):
        if name == folder.name or not (folder.parent / name).is_dir():
            yield Mistake(("uses", number), f"{name!r} is no other folder of projects/.", "Leave it out.")
    for name, part in document["parts"].items():
        steps: Steps = ("parts", name)
        if "program" in part and not (folder / part["program"]).is_file():
            what = f"{part['program']} is not there."
            yield Mistake((*steps, "program"), what, "Write it, or leave `program` out.")
        if "program" in part and "stack" not in document:
            yield Mistake((*steps, "program"), "the project names no stack.", "Add `stack:` at the top, e.g. base.")
        yield from _cards_mistakes(steps, part.get("cards", {"default": 1}))
        if "program" in part and "cards" in part and "kit" not in document.get("uses", ()):
            what, remedy = "several cards are started by projects/kit/launch.py.", "Add `uses: [kit]` at the top."
            yield Mistake((*steps, "cards"), what, remedy)
        yield from _name_mistakes(steps, part)
        yield from _parameter_mistakes(steps, part)
        yield from _bound_mistakes(steps, part)
        yield from _trace_mistakes(steps, part)
        yield from _requirement_mistakes(steps, part)
        yield from _point_mistakes(steps, part["points"])


def _cards_mistakes(steps: Steps, cards: Mapping[str, int]) -> Iterator[Mistake]:
    number = cards["default"]
    if not cards.get("at_least", 1) <= number <= cards.get("at_most", number):
        yield Mistake((*steps, "cards", "default"), f"{number} is not within its bounds.", "Mend one of the three.")


def _name_mistakes(steps: Steps, part: Mapping[str, Any]) -> Iterator[Mistake]:
    """What expressions know by themselves would hide a parameter or a metric of that name."""
    for key in ("parameters", "metrics"):
        for name in part.get(key, {}).keys() & {"cards", *expressions.CONSTANTS}:
            yield Mistake((*steps, key, name), f"{name!r} means something else in expressions.", "Rename it.")


def _parameter_mistakes(steps: Steps, part: Mapping[str, Any]) -> Iterator[Mistake]:
    """Defaults, profiles and conditions have to be values that the parameters take."""
    declared = part.get("parameters", {})
    values = [((*steps, "parameters", name, "default"), name, rule["default"]) for name, rule in declared.items()]
    for profile, settings in part.get("profiles", {}).items():
        values += [((*steps, "profiles", profile, name), name, value) for name, value in settings.items()]
    for metric, bounds in part.get("metrics", {}).items():
        for name, allowed in (bounds or {}).get("when", {}).items():
            values += [((*steps, "metrics", metric, "when", name), name, value) for value in allowed]
    for place, name, value in values:
        if name not in declared:
            yield Mistake(place, f"{name!r} is not a parameter.", "Declare it under parameters.")
        elif not takes(declared[name], value):
            yield Mistake(place, f"{value!r} is not a value of {name}.", "See its choices, range and type.")


def takes(parameter: Mapping[str, Any], value: Any) -> bool:
    """Whether a parameter takes the value: of its default's type, among its choices, in range, as its pattern is."""
    if type(value) is not type(parameter["default"]):
        return False
    if "choices" in parameter:
        return value in parameter["choices"]
    if "pattern" in parameter:
        return re.fullmatch(parameter["pattern"], value, re.DOTALL) is not None
    return bool(parameter.get("at_least", value) <= value <= parameter.get("at_most", value))


def _bound_mistakes(steps: Steps, part: Mapping[str, Any]) -> Iterator[Mistake]:
    defaults = _defaults(part)
    for metric, bounds in part.get("metrics", {}).items():
        rules = bounds or {}
        asked = all(defaults.get(name) in allowed for name, allowed in rules.get("when", {}).items())
        for key, kind in (("at_most", float), ("at_least", float), ("judged_when", bool), ("reproduces", float)):
            bound, place = rules.get(key, 0), (*steps, "metrics", metric, key)
            if isinstance(bound, str):
                others = part["metrics"].keys() - {metric}
                judged = asked and (kind is bool or "judged_when" not in rules)
                yield from _expression_mistakes(place, bound, part, others, kind if judged else None)
            elif not abs(bound) < float("inf"):
                yield Mistake(place, f"{bound} bounds nothing.", "Write a finite number.")


def _trace_mistakes(steps: Steps, part: Mapping[str, Any]) -> Iterator[Mistake]:
    for name, tolerance in part.get("traces", {}).items():
        if isinstance(tolerance, str):
            yield from _expression_mistakes((*steps, "traces", name), tolerance, part, part.get("metrics", {}), float)


def _requirement_mistakes(steps: Steps, part: Mapping[str, Any]) -> Iterator[Mistake]:
    """The defaults have to fit, and so does every profile."""
    for number, requirement in enumerate(part.get("requires", ())):
        place = (*steps, "requires", number, "that")
        mistakes = list(_expression_mistakes(place, requirement["that"], part, (), bool))
        for profile, settings in {"": {}, **part.get("profiles", {})}.items():
            if not mistakes and not _fits(requirement["that"], {**_defaults(part), **settings}):
                what = f"profile {profile} does" if profile else "the defaults do"
                yield Mistake(place, f"{what} not fit it.", "Mend the expression, or the values.")
        yield from mistakes


def _fits(text: str, values: Mapping[str, Any]) -> bool:
    try:
        return expressions.parse(text).truth(values)
    except expressions.ExpressionError:
        return False


def _expression_mistakes(
    steps: Steps, text: str, part: Mapping[str, Any], metrics: Collection[str], kind: type | None
) -> Iterator[Mistake]:
    """An expression keeps the grammar, knows its names, and over parameters alone has a value of its kind (None: any,
    or none, at the defaults)."""
    values = _defaults(part)
    try:
        expression = expressions.parse(text)
        unknown = sorted(expression.names - values.keys() - set(metrics))
        twice = sorted(expression.names & values.keys() & set(metrics))
        if unknown:
            what = f"{unknown[0]!r} is no parameter" + (" and no other metric" if metrics else "") + ", nor cards."
            yield Mistake(steps, f"{text}: {what}", "harness/catalogue/expressions.py lists what may stand there.")
        elif twice:
            yield Mistake(steps, f"{text}: {twice[0]!r} is a parameter and a metric.", "Rename one of the two.")
        elif kind and not expression.names & set(metrics):
            expression.truth(values) if kind is bool else expression.number(values)
    except expressions.ExpressionError as error:
        yield Mistake(steps, f"{error}.", "harness/catalogue/expressions.py lists what may stand there.")


def _defaults(part: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {name: rule["default"] for name, rule in part.get("parameters", {}).items()}
    return {**parameters, "cards": part.get("cards", {"default": 1})["default"]}


def _point_mistakes(steps: Steps, rules: list[Mapping[str, Any]]) -> Iterator[Mistake]:
    plain = [rule for rule in rules if rule["rule"] != "bonus"]
    if len(plain) != 1 or len(rules) > 2:
        yield Mistake((*steps, "points"), "a part has one rule, and one bonus at most.", "Leave the others out.")
    for number, rule in enumerate(rules):
        low, high = rule.get("range", (0, 0))
        if low > high:
            yield Mistake((*steps, "points", number, "range"), f"{low} is above {high}.", "Write the lower end first.")
