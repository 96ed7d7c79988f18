"""A table that fits a terminal: the titles give way first, then the names of the columns."""

import shutil
from collections.abc import Callable, Sequence

LEAST_TITLE, LEAST_NAME, GAP = 6, 3, 2
Cell = tuple[str, Callable[[str], str]]  # the text, and its colour


def columns() -> int:
    """How wide the terminal is; 80 where there is none, and never more than a person reads at once."""
    return max(40, min(120, shutil.get_terminal_size((80, 24)).columns))


def plain(text: str) -> Cell:
    """A cell without a colour."""
    return text, str


def draw(names: Sequence[str], rows: Sequence[Sequence[Cell]], width: int) -> str:
    """The rows under the names: the first two columns to the left, the last to the right, the others centred."""
    sizes = [max(len(name), *(len(row[place][0]) for row in rows)) for place, name in enumerate(names)]
    least = [max(len(row[place][0]) for row in rows) for place in range(len(names))]
    over = sum(sizes) + GAP * (len(names) - 1) - width
    sizes[1] -= max(0, min(over, sizes[1] - LEAST_TITLE))
    while sum(sizes) + GAP * (len(names) - 1) > width:
        place = max(range(2, len(names) - 1), key=lambda each: sizes[each], default=0)
        if not place or sizes[place] <= max(LEAST_NAME, least[place]):
            break
        sizes[place] -= 1

    def line(texts: Sequence[Cell]) -> str:
        shown = [
            paint(_aligned(text, size, place, len(names)))
            for place, ((text, paint), size) in enumerate(zip(texts, sizes, strict=True))
        ]
        return (" " * GAP).join(shown).rstrip()

    rule = (" " * GAP).join("-" * size for size in sizes)
    return "\n".join([line([(name, str) for name in names]), rule, *map(line, rows)])


def _aligned(text: str, size: int, place: int, number: int) -> str:
    if len(text) > size:
        text = text[: size - 1] + "…" if place == 1 else text[:size]
    if place == number - 1:
        return text.rjust(size)
    return text.ljust(size) if place < 2 else text.center(size)
