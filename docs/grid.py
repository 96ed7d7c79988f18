"""Fill the grid of docs/versions.md and its Chinese twin from records: part × kind and version of Paddle.

    .venv/bin/python docs/grid.py results       # or the folder of any other checkout

A cell is the latest passing run's verdict, else the latest's. A cell without a record stays as it is.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from harness.evidence.verdicts import MARKS, PASSED  # noqa: E402
from harness.points import index  # noqa: E402

COLUMN = re.compile(r"(\w+) (\d\S*)")


def filled(text: str, marks: dict[tuple[str, str, str], str]) -> str:
    """The page with the marks in its table: by part, kind and version."""
    columns: list[tuple[str, str]] = []
    lines = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        heads = [COLUMN.fullmatch(cell) for cell in cells[1:]]
        if heads and all(heads):
            columns = [(head[1].lower(), head[2]) for head in heads if head]
        elif columns and len(cells) == len(columns) + 1 and not cells[1].startswith("-"):
            kept = zip(columns, cells[1:], strict=True)
            line = f"| {' | '.join([cells[0], *(marks.get((cells[0], *where), cell) for where, cell in kept)])} |"
        elif not cells:
            columns = []
        lines.append(line)
    return "\n".join(lines) + "\n"


def main(results: Path) -> None:
    found, _ = index.results_of(results)
    listed = [each for each in found if not each.unlisted]
    marks = {
        (each.part, each.hardware, each.paddle): MARKS[each.verdict]
        for each in sorted(listed, key=lambda each: (each.verdict == PASSED, each.run))
    }
    for page in (HERE / "versions.md", HERE / "versions.zh.md"):
        page.write_text(filled(page.read_text(encoding="utf-8"), marks), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
