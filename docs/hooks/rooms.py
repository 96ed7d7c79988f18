"""The rooms of harness/, out of the code: a picture of which imports which, and a table of what each holds and knows.

In a page, a line `<!-- rooms: picture -->` or `<!-- rooms: table -->` is replaced by it. The order is that of the
contract in pyproject.toml, which ./inv lint holds; what is drawn are the imports that there are.
"""

import ast
import html
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, GAP, BOX = 900, 44, 40, 128


def on_page_markdown(markdown: str, **_: Any) -> str:
    if "<!-- rooms: " not in markdown:
        return markdown
    return markdown.replace("<!-- rooms: picture -->", picture()).replace("<!-- rooms: table -->", table())


def layers() -> list[list[str]]:
    """The rooms, a list for each layer, the highest first."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^layers = (\[.*?^\])", text, re.MULTILINE | re.DOTALL)
    assert found, "pyproject.toml has the contract of the layers"
    return [layer.split(" | ") for layer in ast.literal_eval(found[1])]


def known() -> dict[str, set[str]]:
    """The other rooms of which each room imports something."""
    rooms = {room for layer in layers() for room in layer}
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for path in (ROOT / "harness").rglob("*.py"):
        room = path.relative_to(ROOT / "harness").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if room in rooms and isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
                names = [f"{node.module}.{each.name}" for each in node.names]
                found[room] |= {name.split(".")[1] for name in names} & rooms - {room}
    return found


def table() -> str:
    rows = ["| room | holds, and may know | imports |", "| --- | --- | --- |"]
    imports = known()
    for room in (room for layer in layers() for room in layer):
        folder = ROOT / "harness" / room
        file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
        says = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n\n")[0]
        name = f"{room}/" if folder.is_dir() else f"{room}.py"
        rows.append(f"| `{name}` | {says} | {', '.join(sorted(imports[room])) or '–'} |".replace("\n", " "))
    return "\n".join(rows)


def picture() -> str:
    """The layers from above, and a line for each room that imports something of another."""
    places = {
        room: (WIDTH * (2 * number + 1) / (2 * len(layer)), row * (HEIGHT + GAP) + 2)
        for row, layer in enumerate(layers())
        for number, room in enumerate(layer)
    }
    lines, boxes = [], []
    for room, others in known().items():
        for other in sorted(others):
            (x, y), (u, v) = places[room], places[other]
            middle = (y + HEIGHT + v) / 2
            lines.append(f'<path d="M{x:g} {y + HEIGHT:g}C{x:g} {middle:g} {u:g} {middle:g} {u:g} {v:g}"/>')
    for room, (x, y) in places.items():
        boxes.append(f'<rect x="{x - BOX / 2:g}" y="{y:g}" width="{BOX}" height="{HEIGHT}" rx="6"/>')
        boxes.append(f'<text x="{x:g}" y="{y + HEIGHT / 2 + 5:g}">{html.escape(room)}</text>')
    height = len(layers()) * (HEIGHT + GAP) - GAP + 4
    style = (
        ".rooms path{fill:none;stroke:currentColor;opacity:.22}.rooms rect{fill:var(--md-default-bg-color,#fff);"
        "stroke:currentColor}.rooms text{fill:currentColor;font-size:15px;text-anchor:middle}"
    )
    return (
        f'<figure><svg class="rooms" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="The rooms of harness/">'
        f"<style>{style}</style>{''.join(lines)}{''.join(boxes)}</svg></figure>"
    )
