"""The values of options: what is refused, what completes them, and what help adds."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from harness.checkout import ROOT
from harness.errors import UsageError, did_you_mean

LONGEST_TIME = 30 * 24 * 3600


# What is refused


def require_known(written: str, value: str, known: Sequence[str]) -> None:
    """Refuse a value that is none of those known, and offer the nearest."""
    if value not in known:
        near = did_you_mean(value, known)
        raise UsageError(f"{written} {value}: not known.", f"Known: {', '.join(known)}.{near}", "Choose one of these.")


def known_place(written: str, value: str) -> None:
    if "://" in value:
        raise UsageError(f"{written} {value}: no engine.", "It is the address of a machine.", f"Write --host {value}")
    require_known(written, value, list(places([])))


def file(why: str, remedy: str) -> Callable[[str, str], None]:
    def must(written: str, value: str) -> None:
        if not Path(value).expanduser().is_file():
            raise UsageError(f"{written} {value}: no such file.", why, remedy)

    return must


def written(*suffixes: str) -> Callable[[str, str], None]:
    def must(written: str, value: str) -> None:
        path = Path(value).expanduser().absolute()
        if not path.parent.is_dir():
            remedy = f"Make it first: mkdir -p {path.parent}"
            raise UsageError(f"{written} {value}: no such folder.", f"{path.parent} is not there.", remedy)
        if path.is_dir():
            raise UsageError(f"{written} {value}: it is a folder.", "A file is written.", "Name a file in it.")
        if path.suffix.lower() not in suffixes:
            why = f"Its name ends with {' or '.join(suffixes)}, by which others know it."
            raise UsageError(f"{written} {value}: no name for it.", why, f"Write {written} {value}{suffixes[0]}")

    return must


def published(written: str, value: str) -> None:
    from harness.stores.addresses import masked

    if not value.startswith(("https://", "http://", "s3://")) or masked(value) != value or not value.isprintable():
        why = "It is what others write behind --from: https://HOST/FOLDER or s3://BUCKET/PREFIX, without a user or key."
        raise UsageError(f"{written} {masked(value)}: not an address.", why, f"Write {written} https://HOST/FOLDER")


def time(written: str, value: str) -> None:
    from harness.catalogue.entries import seconds

    try:
        fits = 0 < seconds(value) <= LONGEST_TIME
    except ValueError:
        fits = False
    if not fits:
        why = f"It is a whole number and s, min or h, at most {LONGEST_TIME // 3600}h."
        raise UsageError(f"{written} {value}: no such time.", why, f"Write {written} 2h")


def one_name(written: str, value: str) -> None:
    if "," in value:
        raise UsageError(f"{written} {value}: one part is named.", "It belongs to one.", "Call once for each part.")


def pack(written: str, value: str) -> None:
    if value.endswith(".zip"):
        file("It is a pack, made by ./inv pack.", "Name a pack that is there.")(written, value)


def test_paths(written: str, value: str) -> None:
    for word in takewhile(lambda word: not word.startswith("-"), value.split()):
        if not (ROOT / word.partition("::")[0]).exists():
            why = "Paths begin at the checkout."
            raise UsageError(f"{written} {word}: no such file.", why, f"Write {written} tests")


def known_stack(written: str, value: str) -> None:
    known = stacks([])
    if value not in known:
        remedy = f"Write docker/locks/{value}.in and run .venv/bin/python docker/locks/compile.py {value}"
        near = did_you_mean(value, known)
        raise UsageError(f"{written} {value}: no such stack.", f"docker/locks/ has: {', '.join(known)}.{near}", remedy)


def known_paddles(written: str, value: str) -> None:
    from harness.catalogue import releases

    releases.load().select(value)


def known_measurements(written: str, value: str) -> None:
    known = measurements([])
    for name in value.split(","):
        require_known(written, name, known)


def known_kept(written: str, value: str) -> None:
    for name in value.split(","):
        require_known(written, name, kept([]))


# What completes


def parts(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import entries

    parts = entries.load().parts.values()
    yield from ("all", *(part.name for part in parts), *(part.slug.partition("-")[2] for part in parts))


def _named_parts(typed: Sequence[str]) -> Sequence[Any]:
    """The parts that --task names, as far as it does."""
    from harness.catalogue import cells, entries

    book = entries.load()
    named = re.search(r"--task[ =]+(\S+)", " ".join(typed))
    bare = [word for word in typed if word.rstrip(",").partition(",")[0] in cells.part_names(book)]  # run 8-2 --set
    try:
        return cells.select_parts(book, named.group(1) if named else (bare or ["all"])[0])
    except UsageError:
        return []


def settings(typed: Sequence[str]) -> Iterator[str]:
    return (f"{name}=" for part in _named_parts(typed) for name in part.parameters)


def profiles(typed: Sequence[str]) -> Iterator[str]:
    return (name for part in _named_parts(typed) for name in part.profiles)


def kinds(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import entries

    kinds = entries.load().hardware.values()
    yield from ("auto", "all", *(name for kind in kinds for name in (kind.name, *kind.aliases)))


def places(typed: Sequence[str]) -> Iterator[str]:
    from harness.dispatch.registry import schedulers
    from harness.engines.choosing import engines

    yield from ("auto", *engines(), *schedulers(), *(f"slurm:{engine}" for engine in engines()))


def stacks(typed: Sequence[str]) -> list[str]:
    return sorted(path.stem for path in (ROOT / "docker" / "locks").glob("*.txt"))


def runs(typed: Sequence[str]) -> list[str]:
    from harness import checkout
    from harness.evidence import sealed

    return ["latest", *sorted(Path(run.path).name for _, _, run in sealed.folders(checkout.ROOT / "results"))[-50:]]


def paddles(typed: Sequence[str]) -> Iterator[str]:
    from harness.catalogue import releases

    yield from (*releases.load().listed, "all")


def measurements(typed: Sequence[str]) -> Sequence[str]:
    from harness.cli import tools

    return ("all", *tools.measurements())


def kept(typed: Sequence[str]) -> Sequence[str]:
    from harness.cli import cleaning

    return ("all", *cleaning.PLACES)


# What help adds


def about_measurements() -> str:
    from harness.cli import tools

    found = tools.measurements()
    width = max(map(len, found), default=0)
    return "\n".join(["Programs of bench/", *(f"  {name:<{width}}  {each.summary}" for name, each in found.items())])


def about_server() -> str:
    from harness.cli import tools

    return tools.options_of(tools.SERVER_OPTIONS)
