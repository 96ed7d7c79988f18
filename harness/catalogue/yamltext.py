"""A YAML file, read; whatever keeps it from being read is said with the file, and with the line where there is one."""

from pathlib import Path
from typing import Any

from harness.errors import DataFileError

DEEPEST = 50  # what is nested deeper is no data of ours
MEND = "Mend that line."


def load(path: Path, name: str = "") -> tuple[Any, Any]:
    """What a YAML file holds, and its nodes, which know their lines.

    Args:
        path: the file.
        name: what it is called in an error; the path, unless it is said.

    Raises:
        DataFileError: it cannot be read, is no text, or no YAML.
    """
    import yaml

    name = name or str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataFileError(f"{name}: not UTF-8 text.", f"{error}.", "Save the file as UTF-8.") from error
    except OSError as error:
        why = f"{error.strerror or error}."
        raise DataFileError(f"{name}: it cannot be read.", why, "Put a file there that you may read.") from error
    try:
        _refuse_depth(name, text)
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        return yaml.safe_load(text), tree
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
        problem = getattr(error, "problem", None) or getattr(error, "reason", "it cannot be parsed")
        raise DataFileError(f"{name}:{line}: not valid YAML.", f"{problem}.", MEND) from error
    except ValueError as error:
        raise DataFileError(f"{name}:{_odd_line(tree)}: a value that is none.", f"{error}.", MEND) from error


def _refuse_depth(name: str, text: str) -> None:
    """Refuse what is nested without an end, and names of parts (anchors) that stand within themselves."""
    import yaml

    depth, open_anchors = 0, list[str | None]()
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            open_anchors.pop()
        elif isinstance(event, yaml.AliasEvent) and event.anchor in open_anchors:
            raise DataFileError(f"{name}:{line}: *{event.anchor} stands within itself.", "It has no end.", MEND)
        if depth > DEEPEST:
            raise DataFileError(f"{name}:{line}: nested too deeply.", f"{DEEPEST} levels are the most.", MEND)


def _odd_line(node: Any) -> int:
    """The line of the value that YAML takes for a date or number, and that is none."""
    import yaml

    pending = [node]
    while pending:
        node = pending.pop(0)
        if isinstance(node, yaml.ScalarNode):
            try:
                yaml.SafeLoader("").construct_object(node)
            except ValueError:
                break
        else:
            pending = [*(each for pair in _pairs(node) for each in pair), *pending]
    return int(node.start_mark.line) + 1


def _pairs(node: Any) -> list[tuple[Any, ...]]:
    return [pair if isinstance(pair, tuple) else (pair,) for pair in node.value]
