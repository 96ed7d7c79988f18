"""The data files: read, validated against their schemas, and remembered.

A file with a mistake is refused with its name, the line and what would be right. Validated files are remembered
in .cache/, so that a word that only reads the catalogue starts without a YAML parser or a validator.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataFileError

SCHEMAS = Path(__file__).resolve().parent / "schemas"
UNKNOWN_FIELD = re.compile(r"\('(.*?)' (?:was|were) unexpected\)")
Document = dict[str, Any]


def documents(root: Path) -> dict[str, Document]:
    """Every data file under `root` by its relative path, validated.

    Raises:
        DataFileError: the first file with a mistake.
    """
    paths = sorted([*root.glob("hardware/*/hardware.yaml"), *root.glob("projects/*/project.yaml")])
    if not paths:
        raise DataFileError(f"{root}: no data files.", "hardware/ and projects/ are empty.", "Clone the project anew.")
    stamp = [[str(path), path.stat().st_mtime_ns] for path in [*paths, *sorted(SCHEMAS.glob("*.json"))]]
    remembered = root / ".cache" / "catalogue.json"
    try:
        cache: dict[str, Any] = json.loads(remembered.read_bytes())
        if cache["stamp"] == stamp:
            remembered_documents: dict[str, Document] = cache["documents"]
            return remembered_documents
    except (OSError, ValueError, KeyError, TypeError):
        pass  # absent or damaged: it is only a memory of the files
    read = {str(path.relative_to(root)): _read(path, root) for path in paths}
    try:
        remembered.parent.mkdir(exist_ok=True)
        beside = remembered.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps({"stamp": stamp, "documents": read}))
        beside.replace(remembered)
    except OSError:
        pass  # a read-only checkout works, only slower
    return read


def _read(path: Path, root: Path) -> Document:
    import yaml
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    name = str(path.relative_to(root))
    try:
        text = path.read_text(encoding="utf-8")
        document: Document = yaml.safe_load(text)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise DataFileError(f"{name}: not UTF-8 text.", str(error), "Save the file as UTF-8.") from error
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        why = getattr(error, "problem", None) or "it cannot be parsed"
        raise DataFileError(f"{name}:{line}: not valid YAML.", f"{why}.", "Mend that line.") from error
    schema = json.loads((SCHEMAS / f"{path.stem}.schema.json").read_bytes())
    mistake = best_match(Draft202012Validator(schema).iter_errors(document))
    if mistake is not None:
        line = _line(tree, list(mistake.absolute_path), mistake)
        place = ".".join(str(step) for step in mistake.absolute_path) or "the file"
        right = mistake.schema.get("description", "") if isinstance(mistake.schema, dict) else ""
        raise DataFileError(
            f"{name}:{line}: {place}: {_sentence(mistake)}",
            right and f"It is: {right}",
            f"harness/schemas/{path.stem}.schema.json describes every field.",
        )
    _check_more(name, path, document, tree)
    return document


def _sentence(mistake: Any) -> str:
    import difflib

    message = str(mistake.message)
    unknown = UNKNOWN_FIELD.search(message)
    if unknown:
        near = difflib.get_close_matches(unknown.group(1), mistake.schema.get("properties", ()), n=1)
        return f"unknown field {unknown.group(1)!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
    return message if len(message) < 200 else message[:200] + "…"


def _line(tree: Any, steps: list[str | int], mistake: Any = None) -> int:
    """The line (from 1) of the node that `steps` lead to, or of the unknown key that the mistake names."""
    import yaml

    node, line = tree, 1
    unknown = UNKNOWN_FIELD.search(mistake.message) if mistake else None
    for step in [*steps, *([unknown.group(1)] if unknown else [])]:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if str(step) not in pairs:
                break
            key, node = pairs[str(step)]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[int(step)]
            line = node.start_mark.line + 1
    return line


def _check_more(name: str, path: Path, document: Mapping[str, Any], tree: Any) -> None:
    """What a JSON Schema cannot say."""

    def refuse(steps: list[str | int], what: str, remedy: str) -> None:
        raise DataFileError(f"{name}:{_line(tree, steps)}: {what}", "", remedy)

    if path.stem == "hardware":
        if document["name"] != path.parent.name:
            refuse(["name"], f"name is {document['name']!r}.", f"Write {path.parent.name!r}, the folder's name.")
        for key in ("card", "driver"):
            try:
                re.compile(document["lister"].get(key, ""))
            except re.error as error:
                refuse(["lister", key], f"not a regular expression: {error}.", "Mend the pattern.")
        return
    for part, data in document["parts"].items():
        if "program" in data and not (path.parent / data["program"]).is_file():
            refuse(["parts", part, "program"], f"{data['program']} is not there.", "Write it, or leave `program` out.")
        if "program" in data and "stack" not in document:
            refuse(["parts", part, "program"], "the project names no stack.", "Add `stack:` at the top, e.g. base.")
        for profile, settings in data.get("profiles", {}).items():
            for key in settings:
                if key not in data.get("parameters", {}):
                    refuse(
                        ["parts", part, "profiles", profile, key],
                        f"{key!r} is not a parameter.",
                        "Declare it under parameters.",
                    )
        for metric, bounds in data.get("metrics", {}).items():
            for key in (bounds or {}).get("when", {}):
                if key not in data.get("parameters", {}):
                    refuse(
                        ["parts", part, "metrics", metric, "when", key],
                        f"{key!r} is not a parameter.",
                        "Declare it under parameters.",
                    )
