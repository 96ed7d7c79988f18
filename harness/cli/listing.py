"""What the commands tasks, hardware, doctor and show print."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.catalogue import releases
from harness.catalogue.entries import Catalogue, Hardware, Metric, Part, Rule, few
from harness.catalogue.symptoms import Explanation
from harness.doctor.diagnosis import Diagnosis
from harness.errors import UsageError
from harness.evidence import records
from harness.evidence.record import RecordData
from harness.evidence.records import libraries
from harness.evidence.verdicts import FAILED, MARKS, NOT_JUDGED, PASSED, Judged, verdict_of
from harness.points.scoring import in_range
from harness.runs.judge import bounds
from harness.terminal import bold, dim, escaped_json, green, harmless_tree, red, yellow

IN_A_LINE = 80  # characters of a list


def matrix(book: Catalogue, results: Path, stores: str, format: str, explain: bool, paddle: str = "") -> None:
    """Print the matrix of this machine's records, or of those in stores."""
    from harness.points import matrix as matrices

    damage: list[str] = []
    if stores:
        from harness.stores import team
        from harness.stores.opening import open_source

        results, damage = team.gather([open_source(address) for address in stores.split(",")])
    built = matrices.build(book, results, paddle, files=not stores)
    built = replace(built, damaged=[*built.damaged, *damage])
    print(matrices.show(built, format, explain))
    if format == "json":
        matrices.warn_of_damage(built)


def one_run(results: Path, command: str, run: str) -> Path:
    """The folder of the one run that is named.

    Raises:
        UsageError: it names none, or every one.
    """
    if run == "all":
        raise UsageError(f"{command} takes one run.", "`all` names every one.", f"./inv {command} latest")
    (folder,) = records.find(results, run)
    return folder


def show(results: Path, run: str, format: str) -> None:
    """Print one record."""
    folder = one_run(results, "show", run)
    data = records.read(folder / records.FILE)
    if format == "json":
        return print(escaped_json(json.dumps(data, indent=2, ensure_ascii=False)))
    print(record(harmless_tree(data), folder))


def parts(chosen: Sequence[Part], detailed: bool) -> str:
    """A line a part, or everything about each."""
    if detailed:
        return "\n\n".join(_part(part) for part in chosen)
    width = max(len(part.title) for part in chosen)
    lines = [
        f"{part.name:<5} {part.title:<{width}}  {_worth(part):>5}  {part.title_zh}"
        + ("" if part.program else dim("  (a person's evidence)" if part.evidence_only else "  (not written yet)"))
        for part in chosen
    ]
    written = sum(part.program is not None for part in chosen)
    return "\n".join([*lines, "", f"{written} of {len(chosen)} parts have a program. ./inv tasks --task 4 shows one."])


def versions(chosen: Sequence[Part], asked: str) -> str:
    """What each part runs with in each of the versions, and whether such a run earns its points."""
    lines = []
    for release in releases.load().select(asked):
        lines.append(bold(f"Paddle {release}") + f"   Python {', '.join(release.python)}")
        for part in chosen:
            if part.program and part.stack:
                counts = release.listed and in_range(release.version, part.rules[0].paddle)
                points = "earns its points" if counts else f"no points: they are for Paddle {part.rules[0].paddle}"
                lines.append(f"  {part.name:<5} {release.lock(part.stack):<34} {points}")
    return "\n".join(lines)


def _worth(part: Part) -> str:
    return f"{sum(rule.limit for rule in part.rules):g}"


def _part(part: Part) -> str:
    lines = [
        bold(f"{part.name}  {part.title}  {part.title_zh}"),
        part.quote,
        f"Evidence: {part.evidence}",
        f"Read as: {part.reading}",
        *(f"Points: {_rule(rule)}" for rule in part.rules),
    ]
    if part.program is None:
        unwritten = "Its program is not written yet."
        return "\n".join([*lines, "Nothing runs here: ./inv attach adds it." if part.evidence_only else unwritten])
    lines += [f"Program: projects/{part.slug}/{part.program.name}, stack {part.stack}, at most {part.timeout:g} s"]
    lines += [f"Uses: {', '.join(f'projects/{name}' for name in part.uses)}"] if part.uses else []
    lines += [f"Cards: {part.cards.default}; --cards takes {part.cards.expects}"] if part.cards.at_most > 1 else []
    lines += [f"Requires: {each.that}: {each.otherwise}" for each in part.requires]
    lines += ["Parameters, for --set:"] if part.parameters else []
    lines += [f"  {item.name} = {item.default}   {item.expects}: {item.help}" for item in part.parameters.values()]
    lines += [
        f"Profile {name}: {' '.join(f'{each}={value}' for each, value in settings.items())}"
        for name, settings in part.profiles.items()
    ]
    lines += ["Metrics:", *(f"  {_metric(metric)}" for metric in part.metrics.values())]
    return "\n".join(lines)


def _rule(rule: Rule) -> str:
    value = f"{rule.value:g}–{rule.upper:g}" if rule.name == "judged" else f"{rule.value:g}"
    words = [f"{value}, {rule.name.replace('_', ' ')}"]
    words += [f"at most {rule.limit:g}"] if rule.name.startswith("per_") else []
    words += [f"on {' or '.join(rule.categories)}"] if rule.categories else []
    words += [f"on {', '.join(rule.architectures)}"] if rule.architectures else []
    words += [f"on {rule.cards} cards"] if rule.cards > 1 else []
    words += [f"with {', '.join(rule.needs)}"] if rule.needs else []
    return ", ".join(words)


def _metric(metric: Metric) -> str:
    when = "; ".join(f"{name} is {few(values, ' or ')}" for name, values in metric.when.items())
    unit = f" [{metric.unit}]" if metric.unit not in ("", "1") else ""
    where = f", on {' or '.join(metric.categories)}" if metric.categories else ""
    judged = f", judged where {metric.judged_when}: else {metric.otherwise}" if metric.judged_when else ""
    return f"{metric.name}{unit}: {bounds(metric)}" + (f", when {when}" if when else "") + where + judged


def parts_json(chosen: Sequence[Part]) -> str:
    return json.dumps(
        [
            {
                "part": part.name,
                "slug": part.slug,
                "title": part.title,
                "title_zh": part.title_zh,
                "written": part.program is not None,
                "limit": sum(rule.limit for rule in part.rules),
                "cards": part.cards.default,
                "parameters": {name: item.default for name, item in part.parameters.items()},
            }
            for part in chosen
        ],
        indent=2,
        ensure_ascii=False,
    )


def kinds(chosen: Sequence[Hardware], detailed: bool) -> str:
    """A line a kind, or its data file's fields."""
    if detailed:
        return "\n\n".join(_fields(dict(kind.data)) for kind in chosen)
    rows = [("name", "aliases", "device", "class", "title")]
    rows += [(kind.name, ", ".join(kind.aliases), kind.device, kind.category, kind.title) for kind in chosen]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    head, *lines = ["  ".join([*map(str.ljust, row, widths), row[-1]]) for row in rows]
    return "\n".join(
        [bold(head), *lines, "", f"./inv hardware --hw {chosen[0].name} shows one; ./inv doctor what is here."]
    )


def kinds_json(chosen: Sequence[Hardware]) -> str:
    return json.dumps([kind.data for kind in chosen], indent=2, ensure_ascii=False)


def _fields(data: Mapping[str, Any], indent: str = "") -> str:
    return "\n".join(line for name, value in data.items() for line in _field(name, value, indent))


def _field(name: str, value: Any, indent: str) -> list[str]:
    """A field's lines: nested ones below it, and of a list each item below it where they do not stand in a line."""
    if isinstance(value, Mapping):
        return [f"{indent}{name}:", _fields(value, f"{indent}  ")]
    if not isinstance(value, list):
        return [f"{indent}{name}: {_plain(value)}"]
    joined = ", ".join(map(_plain, value))
    if len(joined) <= IN_A_LINE and not any(isinstance(each, Mapping) for each in value):
        return [f"{indent}{name}: {joined or '–'}"]
    return [f"{indent}{name}:", *(_item(each, f"{indent}  ") for each in value)]


def _item(value: Any, indent: str) -> str:
    """An item of a list; of one with fields the first stands behind the dash."""
    if isinstance(value, Mapping):
        return f"{indent}- {_fields(value, f'{indent}  ').lstrip()}"
    return f"{indent}- {_plain(value)}"


def _plain(value: Any) -> str:
    """A value as YAML writes it, and not as Python does."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def diagnoses(groups: Sequence[tuple[str, Sequence[Diagnosis]]]) -> str:
    """The doctor's lines: ✓ fits, ✗ does not, with what to install."""
    lines = []
    for title, group in groups:
        lines.append(bold(title))
        for line in group:
            mark = {True: green("✓"), False: red("✗"), None: dim("·")}[line.fits]
            lines.append(f"  {mark} {line.subject}: {line.found}")
            lines += [f"      → {line.remedy}"] if line.fits is False and line.remedy else []
    return "\n".join(lines)


def explanations(found: Sequence[Explanation], log: str) -> str:
    """What is known of a log's symptoms: the line, why, what to do, where it was reported."""
    if not found:
        return f"{log}: nothing in it is a known symptom (hardware/symptoms.yaml, hardware/*/symptoms.yaml)."
    blocks = (f"{dim(each.line)}\n  {each.cause}\n  → {each.remedy}\n  {dim(each.source)}" for each in found)
    return "\n\n".join(blocks)


def record(data: RecordData, folder: Path) -> str:
    """A record for a person to read."""
    cell, times, hardware = data["cell"], data["times"], data["hardware"]
    verdict = _mark(data, words=True)
    paddle, program = data.get("paddle"), data["program"]
    wheel = f"{paddle['package']} {paddle['version']}, wheel sha256 {paddle['wheel_sha256']}" if paddle else "unknown"
    clean = {True: "", False: " and uncommitted changes", None: ""}[program["clean"]]
    seconds = f"{times['seconds']:.1f} s" if times["seconds"] is not None else "unknown time"
    lines = [
        bold(f"{data['id']}  part {cell['part']} on {cell['hardware']}") + f"  {verdict}",
        f"  started   {times['started']}, {seconds}; {data['exit']['reason']}",
        f"  hardware  {hardware['model']}, {hardware['machine']}, {hardware['system']}",
        f"  program   {program['file']} at {(program['revision'] or 'no revision')[:12]}{clean}",
        f"  command   {' '.join(data.get('command', []))}",
        f"  paddle    {wheel}",
        *(
            f"  plug-in   {each['package']} {each['version']}, wheel sha256 {each['wheel_sha256']}"
            for each in data.get("plug_ins", ())
        ),
        *(
            f"  variable  {name}={value}"
            + (", set by the caller" if name in data.get("environment_of_caller", ()) else "")
            for name, value in data.get("environment", {}).items()
        ),
        *(f"  library   {name}: {what}" for name, what in libraries(data)),
        "  checks",
    ]
    for check in data["checks"]:
        mark = _mark(check)
        why = f"  ({check['why']})" if check["why"] else ""
        lines.append(f"    {mark} {check['name']}: {_short(check['found'])}, asked {check['asked']}{why}")
    for each in data.get("explanations", ()):
        lines += [f"  known     {each['cause']}", f"            {each['remedy']} {each['source']}"]
    lines.append("  files")
    lines += [
        f"    {file['sha256'][:12]}  {file['bytes']:>9}  {folder / name}" for name, file in data["artefacts"].items()
    ]
    return "\n".join([*lines, f"  seal      {data['seal']}"])


def _mark(judged: Judged, words: bool = False) -> str:
    verdict = verdict_of(judged)
    paint = {PASSED: green, FAILED: red, NOT_JUDGED: yellow}[verdict]
    return paint(f"{MARKS[verdict]} {verdict}" if words else MARKS[verdict])


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
