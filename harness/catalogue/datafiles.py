"""The data files: read, validated against their schemas, and remembered.

A file with a mistake is refused with its name, the line and what would be right. Validated files are remembered
in .cache/, so that a command that only reads the catalogue starts without a YAML parser or a validator.
"""

import functools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.catalogue import yamltext
from harness.catalogue.consistency import hardware_mistakes, paddle_mistakes, project_mistakes
from harness.errors import DataFileError

SCHEMAS = Path(__file__).resolve().parent / "schemas"
UNKNOWN_FIELD = re.compile(r"\('([^']*)'(?:, '[^']*')* (?:was|were) unexpected\)")
Document = dict[str, Any]
MISTAKES = {"hardware": hardware_mistakes, "paddle": paddle_mistakes, "project": project_mistakes}


def documents(root: Path) -> dict[str, Document]:
    """Every data file under `root` by its relative path, validated.

    Raises:
        DataFileError: the first file with a mistake.
    """
    wanted = [("hardware/*", "hardware.yaml"), ("projects/*", "project.yaml"), ("docker", "paddle.yaml")]
    files = (folder / name for folders, name in wanted for folder in sorted(root.glob(folders)))
    paths = [path for path in files if os.path.lexists(path)]  # a link that leads nowhere is none to pass over
    if not paths:
        raise DataFileError(f"{root}: no data files.", "hardware/ and projects/ are empty.", "Clone the project anew.")
    stamp = [[str(path), _changed(path)] for path in [*paths, *sorted(SCHEMAS.glob("*.json"))]]
    remembered = root / ".cache" / "catalogue.json"
    try:
        cache: dict[str, Any] = json.loads(remembered.read_bytes())
        known: dict[str, Document] = cache["documents"]
        if cache["stamp"] == stamp and all(program.is_file() for program in _programs(root, known)):
            return known
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


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1


def _programs(root: Path, documents: dict[str, Document]) -> Iterator[Path]:
    for name, document in documents.items():
        for part in document.get("parts", {}).values():
            if "program" in part:
                yield (root / name).parent / part["program"]


def _read(path: Path, root: Path) -> Document:
    document, tree = read(path, root)
    for inconsistency in MISTAKES[path.stem](document, path.parent):
        line = _line(tree, list(inconsistency.steps))
        what, why = f"{path.relative_to(root)}:{line}: {inconsistency.what}", "It does not fit what else stands there."
        raise DataFileError(what, why, inconsistency.remedy)
    return document


def read(path: Path, root: Path) -> tuple[Document, Any]:
    """A YAML file that keeps the schema of its name, and its nodes, which know their lines.

    Raises:
        DataFileError: it does not; file, line and the mend are named.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    name = str(path.relative_to(root))
    document, tree = yamltext.load(path, name)
    _refuse_twin_keys(name, tree)
    schema = json.loads((SCHEMAS / f"{path.stem}.schema.json").read_bytes())
    mistake = best_match(Draft202012Validator(schema).iter_errors(document))
    if mistake is not None:
        line = _line(tree, list(mistake.absolute_path), mistake)
        place = ".".join(str(step) for step in mistake.absolute_path) or "the file"
        right = mistake.schema.get("description", "") if isinstance(mistake.schema, dict) else ""
        raise DataFileError(
            f"{name}:{line}: {place}: {_sentence(mistake)}",
            f"It is: {right}" if right else "It does not keep the file's schema.",
            f"harness/catalogue/schemas/{path.stem}.schema.json describes every field.",
        )
    return document, tree


def mistake(document: Any, schema: str) -> str:
    """What of a document is against the schema of that name, in a line; empty where nothing is."""
    from jsonschema.exceptions import best_match

    found = best_match(_validator(schema).iter_errors(document))
    if found is None:
        return ""
    return f"{'.'.join(str(step) for step in found.absolute_path)}: {found.message[:200]}"


@functools.cache
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((SCHEMAS / f"{schema}.schema.json").read_bytes()))


def _refuse_twin_keys(name: str, node: Any) -> None:
    """YAML takes the last of two equal keys in silence, and a part or parameter is lost."""
    import yaml

    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_twin_keys(name, item)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise DataFileError(
                    f"{name}:{line}: {key.value!r} stands twice.",
                    "Only one of them can be meant.",
                    "Leave one of them out.",
                )
            seen.add(str(key.value))
            _refuse_twin_keys(name, value)


def _sentence(mistake: Any) -> str:
    import difflib

    message = str(mistake.message)
    unknown = UNKNOWN_FIELD.search(message)
    if unknown:
        near = difflib.get_close_matches(unknown.group(1), mistake.schema.get("properties", ()), n=1)
        return f"unknown field {unknown.group(1)!r}" + (f"; did you mean {near[0]!r}?" if near else ".")
    return message if len(message) < 200 else message[:200] + "…"


def _line(tree: Any, steps: list[str | int], mistake: Any = None) -> int:
    """The line (from 1) of the node that `steps` lead to, or of the key that the mistake names."""
    import yaml

    node, line = tree, 1
    if mistake is not None:
        unknown = UNKNOWN_FIELD.search(mistake.message)
        steps = [*steps, unknown.group(1) if unknown else str(mistake.instance)]
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            pairs = {key.value: (key, value) for key, value in node.value}
            if str(step) not in pairs:
                break
            key, node = pairs[str(step)]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and str(step).isdigit():
            node = node.value[int(step)]
            line = node.start_mark.line + 1
    return line
