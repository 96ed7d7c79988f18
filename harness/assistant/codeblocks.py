"""Code blocks: what of an answer in Markdown is code, and how it differs from what was there."""

import difflib
import re
from collections.abc import Mapping

BLOCK = re.compile(
    r"(?:^[ *#`]*(?P<above>[\w-]+\.py)[`*: ]*\n+)?"
    r"^```(?:python|py)?[ \t]*(?P<name>[\w-]+\.py)?[ \t]*\n(?P<code>.*?)^```[ \t]*$",
    re.M | re.S,
)


def files(answer: str, default: str) -> dict[str, str]:
    """The files of an answer by name: a block's name stands behind ```python or alone on the line above.

    Of the blocks without a name the last is `default`: what comes before it is what is explained.
    """
    return {match["name"] or match["above"] or default: match["code"] for match in BLOCK.finditer(answer)}


def diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """The unified diff of two sets of files."""
    lines: list[str] = []
    for name in after:
        old, new = before.get(name, "").splitlines(), after[name].splitlines()
        lines += difflib.unified_diff(old, new, f"before/{name}", f"after/{name}", lineterm="")
    return "\n".join(lines)
