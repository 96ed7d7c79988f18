"""What a lister prints, read as devices by the patterns of hardware.yaml: index, model, memory, health, who has it."""

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

NO_VALUE = re.compile(r"\W*(n/?a|not supported|unknown|insufficient permissions|x+)?\W*", re.IGNORECASE)
ERROR = re.compile(r"\[(.+)\]|(ERR!?)")  # what a tool prints in a value's place, such as [GPU is lost]
UNREAD, SAID, LOOKED = "its lines are not understood", 160, 1000  # characters
COLOURS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|.)|[\x00-\x08\x0b\x0c\x0e-\x1f\ufeff]")
FRAMES = str.maketrans({"│": "|", "┃": "|", "║": "|", "\u00a0": " ", "\u202f": " "})
# A numbered line that names a place on the PCI bus: a card, whatever form the table has.
ANY_ROW = (
    r"^[| ]*(?P<index>\d{1,3})(?![\w.:/-])[^\n]*?\b(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-9A-Fa-f]\b"
)
RECORDED = ("index", "model", "driver", "architecture", "memory")
FREE_SHARE = 0.25  # a card with less memory free is another program's

Groups = Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Card:
    """A device that a program can open, or `fault`: why it cannot. `busy` says which program has it.

    `place` is where it stands among all that the lister shows, for runtimes that count by places.
    """

    index: str
    model: str
    driver: str | None = None
    architecture: str | None = None
    memory: str | None = None
    named: bool = True
    fault: str = ""
    busy: str = ""
    place: str = ""

    @property
    def called(self) -> str:
        """What the runtime's own variable of visible devices calls it."""
        return self.place or self.index

    def as_dict(self) -> dict[str, str | None]:
        """What a record says of it."""
        return {name: getattr(self, name) for name in RECORDED}


def read_cards(data: Mapping[str, Any], output: str) -> tuple[Card, ...]:
    """The devices in a lister's output that can be used."""
    return tuple(card for card in read(data, output) if not card.fault)


def read(data: Mapping[str, Any], output: str) -> tuple[Card, ...]:
    """Every device in a lister's output, sick and lost ones too: by the first pattern that gives it a name, or any."""
    return _once(_read(data, plain(output)))


def plain(output: str) -> str:
    """A tool's output without colours, control characters and an indent, lines ending alike, tables drawn with |."""
    text = textwrap.dedent(COLOURS.sub("", output).translate(FRAMES).expandtabs())
    return re.sub(r" *\r?\n *(?=\|)| *\r\n?| +\n", "\n", f"\n{text}\n").strip("\n") + "\n"


def _read(data: Mapping[str, Any], text: str) -> tuple[Card, ...]:
    unnamed: tuple[Card, ...] = ()
    for table in tables(data["lister"]):
        for pattern in patterns(table):
            cards = tuple(_cards(data, table, pattern, text))
            cards += _not_understood(data, table, pattern, text) if cards else ()
            if any(card.named and not card.fault.startswith(UNREAD) for card in cards):
                return cards + _lost(data, table, text)
            unnamed = unnamed or cards
    unnamed = unnamed or _not_understood(data, data["lister"], r"\b\B", text)
    return unnamed + _lost(data, data["lister"], text)


def _once(cards: tuple[Card, ...]) -> tuple[Card, ...]:
    """Cards of one number, as the shares of a divided card have it: which of them a program opens is not known."""
    numbers = Counter(card.index for card in cards)
    shared = "{} lines have its number, and which of them a program opens is not known"
    return tuple(
        replace(card, fault=card.fault or shared.format(numbers[card.index])) if numbers[card.index] > 1 else card
        for card in cards
    )


def _vendor(data: Mapping[str, Any]) -> str:
    return str(data.get("vendor", data["title"]))


def tables(lister: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The lister, and those to ask where it shows nothing; what they do not say is as the first has it."""
    return [lister, *({**lister, **other} for other in lister.get("others", ()))]


def patterns(table: Mapping[str, Any]) -> list[str]:
    return _several(table["card"])


def _several(patterns: str | Sequence[str]) -> list[str]:
    return [patterns] if isinstance(patterns, str) else list(patterns)


def _cards(data: Mapping[str, Any], table: Mapping[str, Any], pattern: str, text: str) -> Iterator[Card]:
    outside = re.search(table["driver"], text, re.MULTILINE) if "driver" in table else None
    processes = list(re.finditer(table["process"], text, re.MULTILINE)) if "process" in table else []
    wholes = list(re.finditer(table["whole"], text, re.MULTILINE)) if "whole" in table else []
    for number, match in enumerate(re.finditer(pattern, text, re.MULTILINE)):
        groups = {"driver": outside and outside["driver"], **match.groupdict()}
        values = {name: _value(text) for name, text in groups.items()}
        code = values.get("architecture")
        whole = max((each for each in wholes if each.start() <= match.start()), key=re.Match.start, default=match)
        model = values.get("model") or _described(table, values)
        if model and whole.start() < match.start():
            model = f"{whole['model']} {model}"
        yield Card(
            index=values.get("index") or str(number),
            model=model or f"unnamed {_vendor(data)}",
            driver=values.get("driver"),
            architecture=data.get("architectures", {}).get(code, code),
            memory=values.get("memory"),
            named=model is not None and not model.startswith("unnamed"),
            fault=_fault(table, groups),
            busy=_busy(groups, processes),
        )


def _value(text: str | None) -> str | None:
    """A group's text, where it is one: no [N/A], no dashes, nothing that says an error."""
    text = (text or "").strip()
    return None if NO_VALUE.fullmatch(text) or ERROR.fullmatch(text) else text


def _described(table: Mapping[str, Any], values: Groups) -> str | None:
    """A name made of what else the output says (groups part1, part2, …), where data knows what it means."""
    parts = " ".join(value for name, value in values.items() if name.startswith("part") and value)
    known: str | None = table.get("names", {}).get(parts)
    return known or (f"unnamed {parts}" if parts else None)


def _fault(table: Mapping[str, Any], groups: Groups) -> str:
    for text in groups.values():
        error = ERROR.fullmatch((text or "").strip())
        if error and not NO_VALUE.fullmatch(error[0]):
            return error[1] or error[2]
    health = " ".join((groups.get("health") or "").split())
    if not health or re.fullmatch(table["healthy"], health):
        return ""
    return str(table.get("told", {}).get(health, f"health {health}"))


def _busy(groups: Groups, processes: list[re.Match[str]]) -> str:
    for process in processes:
        its = process.groupdict()
        if all(its[name] == groups.get(name) for name in its if name in ("index", "board", "chip")):
            return f"process {its['pid']}" + (f", {its['name'].strip()}" if its.get("name") else "")
    used, memory = _number(groups.get("used")), _number(groups.get("memory"))
    share = _number(groups.get("share"))
    if share is None and used is not None and memory:
        share = 100 * used / memory
    return f"{share:.0f} % of its memory is in use" if share is not None and share > 100 * (1 - FREE_SHARE) else ""


def _number(text: str | None) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)", text or "")
    return float(found[1]) if found else None


def _not_understood(data: Mapping[str, Any], table: Mapping[str, Any], pattern: str, text: str) -> tuple[Card, ...]:
    """Cards whose lines begin as every card's, or name a place on the bus, in a form that the pattern does not know."""
    known = [match.span() for match in re.finditer(pattern, text, re.MULTILINE)]
    rows = _outside(known, text, *_several(table.get("row", ())))
    if known or rows:  # it is this kind's tool that speaks
        rows += _outside([*known, *(_lines_of(row, text) for row in rows)], text, ANY_ROW)
    return tuple(_unread(data, row, text) for row in sorted(rows, key=re.Match.start))


def _lines_of(row: re.Match[str], text: str) -> tuple[int, int]:
    """Where a row begins and ends: with its line, or with the next where that one names the place on the bus."""
    line, _, more = text[row.start() :].partition("\n")
    following = 0 if re.match(ANY_ROW, line) else len(more.partition("\n")[0])
    return row.start(), row.start() + len(line) + 1 + following


def _outside(known: Sequence[tuple[int, int]], text: str, *patterns: str) -> list[re.Match[str]]:
    matches = [match for pattern in patterns for match in re.finditer(pattern, text, re.MULTILINE)]
    return [match for match in matches if not any(start <= match.start() < end for start, end in known)]


def _unread(data: Mapping[str, Any], row: re.Match[str], text: str) -> Card:
    model = _value(row.groupdict().get("model"))
    line, *more = text[row.start() : row.start() + LOOKED].splitlines()[:2]
    said = " ".join(" ".join([line, *(other for other in more if other.startswith("|"))]).split())
    name = model or f"unnamed {_vendor(data)}"
    return Card(index=row["index"], model=name, named=bool(model), fault=f"{UNREAD}: {said[:SAID]}")


def _lost(data: Mapping[str, Any], table: Mapping[str, Any], text: str) -> tuple[Card, ...]:
    """Cards of which the tool says only that they do not answer."""
    if "lost" not in table:
        return ()
    name = f"unnamed {_vendor(data)}"
    return tuple(
        Card(index=match["index"], model=name, named=False, fault=match["why"].strip())
        for match in re.finditer(table["lost"], text, re.MULTILINE)
    )
