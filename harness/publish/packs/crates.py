"""RO-Crate metadata of a pack, by the Workflow Run Crate profile 0.5 (https://w3id.org/ro/wfrun/workflow/0.5)."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from harness.catalogue.entries import Part
from harness.errors import HomeworkError
from harness.evidence.verdicts import FAILED, verdict_of
from harness.publish.packs.contents import Content, Contents, Run, size_of

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
LICENSE = "https://spdx.org/licenses/Apache-2.0"
TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".png": "image/png",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".webp": "image/webp",
    ".yaml": "application/yaml",
}  # and not mimetypes', which differ by system and Python
PYTHON = "https://w3id.org/workflowhub/workflow-ro-crate#python"


def metadata(contents: Contents) -> dict[str, Any]:
    """ro-crate-metadata.json of a pack: its programs as workflows, each run as an action, each file with its hash.

    Raises:
        HomeworkError: no run is in the pack, so there is nothing that such a crate describes.
    """
    runs = [run for runs in contents.runs.values() for run in runs]
    if not runs:
        raise HomeworkError(
            "--crate: no run is in this pack.", "A Workflow Run Crate describes runs.", "Leave --crate out."
        )
    programs = {_program(run): part for part in contents.parts for run in contents.runs[part.name]}
    graph = [
        _descriptor(),
        _root(contents, runs, list(programs)),
        *(_profile(url, name) for url, name in PROFILES.items()),
        {"@id": LICENSE, "@type": "CreativeWork", "name": "Apache License 2.0", "identifier": LICENSE,
         "description": "The licence of the project's programs."},
        {"@id": PYTHON, "@type": "ComputerLanguage", "name": "Python", "identifier": {"@id": "https://www.python.org/"},
         "url": {"@id": "https://www.python.org/"}},
        *(_workflow(contents, part, program) for program, part in programs.items()),
        *(_file(name, content) for name, content in sorted(contents.files.items()) if name not in programs),
    ]  # fmt: skip
    for run in runs:
        graph += _action(run)
    return {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}


def _program(run: Run) -> str:
    return f"code/{run.record['program']['file']}"


def _descriptor() -> dict[str, Any]:
    return {
        "@id": "ro-crate-metadata.json",
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": [
            {"@id": "https://w3id.org/ro/crate/1.1"},
            {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        ],
    }


def _profile(url: str, name: str) -> dict[str, Any]:
    return {"@id": url, "@type": "CreativeWork", "name": name, "version": url.rpartition("/")[2]}


def _root(contents: Contents, runs: "list[Run]", programs: list[str]) -> dict[str, Any]:
    names = ", ".join(part.name for part in contents.parts)
    titles = "; ".join(f"{part.title} ({part.title_zh})" for part in contents.parts)
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": f"PaddlePaddle 3.0 homework {names}",
        "description": f"{titles}: programs, logs, pictures and measurements of the runs.",
        "datePublished": max(run.record["times"]["finished"] for run in runs),
        "license": {"@id": LICENSE},
        "conformsTo": [{"@id": url} for url in PROFILES],
        "mainEntity": {"@id": programs[0]},
        "hasPart": [{"@id": name} for name in sorted({*contents.files, *programs})],
        "mentions": [{"@id": _action_id(run)} for run in runs],
    }


def _workflow(contents: Contents, part: Part, program: str) -> dict[str, Any]:
    return {
        **_file(program, contents.files.get(program, b"")),
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": f"{part.title}: {program.rpartition('/')[2]}",
        "description": part.quote,
        "programmingLanguage": {"@id": PYTHON},
        "license": {"@id": LICENSE},
    }


def _file(name: str, content: Content) -> dict[str, Any]:
    kind = TYPES.get(PurePosixPath(name).suffix.lower(), "application/octet-stream")
    return {"@id": name, "@type": "File", "name": name, "contentSize": str(size_of(content)), "encodingFormat": kind}


def _action_id(run: Run) -> str:
    return f"#{run.record['id']}"


def _action(run: Run) -> Iterator[dict[str, Any]]:
    record = run.record
    settings = [_setting(run, name, value) for name, value in {**record["parameters"], "seed": record["seed"]}.items()]
    status = "Failed" if verdict_of(record) == FAILED else "Completed"
    yield {
        "@id": _action_id(run),
        "@type": "CreateAction",
        "name": f"Part {record['cell']['part']} on {record['hardware']['model']}",
        "description": " ".join(record.get("command", [])) or "A run.",
        "instrument": {"@id": _program(run)},
        "agent": {"@id": f"{_action_id(run)}-machine"},
        "startTime": record["times"]["started"],
        "endTime": record["times"]["finished"],
        "actionStatus": {"@id": f"http://schema.org/{status}ActionStatus"},
        "object": [{"@id": setting["@id"]} for setting in settings],
        "result": [{"@id": f"{run.place}/{name}"} for name in sorted(record["artefacts"])],
    }
    yield {
        "@id": f"{_action_id(run)}-machine",
        "@type": "Organization",
        "name": f"{record['hardware']['model']}, {record['hardware']['system']}",
        "description": "The machine that ran it; whose it is, the record does not tell.",
    }
    yield from settings


def _setting(run: Run, name: str, value: Any) -> dict[str, Any]:
    return {"@id": f"{_action_id(run)}-{name}", "@type": "PropertyValue", "name": name, "value": str(value)}
