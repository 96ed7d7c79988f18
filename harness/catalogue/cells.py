"""Cells: one task part on one hardware kind. Names like `8`, `8-2`, `plate` or `npu` select them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from harness.catalogue import expressions
from harness.catalogue import releases as paddles
from harness.catalogue.entries import Catalogue, Hardware, Parameter, Part, seconds
from harness.catalogue.releases import Release
from harness.errors import UsageError, did_you_mean

Named = TypeVar("Named", Hardware, Part)

# Why a cell is not run.
NOT_WRITTEN = "its program is not written yet"
BY_HAND = "nothing runs here; what a person has is added with ./inv attach"


@dataclass(frozen=True)
class Cell:
    """A part on a kind; `release` is the version of Paddle that was asked for, None the default where it runs."""

    part: Part
    hardware: Hardware
    release: Release | None = None

    @property
    def paddle(self) -> Release:
        """The version of Paddle that it runs with on this machine."""
        return self.release or paddles.load().default(self.hardware)

    @property
    def instead_of(self) -> str:
        """The kind's own version, where none was asked for and this Python has no locks of it; else empty."""
        own = paddles.load().own(self.hardware)
        return own.version if self.release is None and own != self.paddle else ""

    def __str__(self) -> str:
        return f"{self.part.name} on {self.hardware.name}" + (f" with Paddle {self.release}" if self.release else "")


@dataclass(frozen=True, kw_only=True)
class CellRequest:
    """A cell as it is asked to run, here or elsewhere: with these parameters, on so many cards, with this seed."""

    part: Part
    kind: Hardware
    parameters: Mapping[str, Any]
    cards: int = 1
    seed: int = 0
    release: Release | None = None

    @property
    def cell(self) -> Cell:
        return Cell(self.part, self.kind, self.release)

    @property
    def options(self) -> list[str]:
        """The options of `./inv run` that ask for this cell, whatever the defaults are where they are read."""
        words = ["--task", self.part.name, "--hw", self.kind.name, "--cards", str(self.cards), "--seed", str(self.seed)]
        for name, value in self.parameters.items():
            words += ["--set", f"{name}={str(value).lower() if isinstance(value, bool) else value}"]
        words += ["--paddle", self.release.version] if self.release else []
        words += ["--wheels", self.release.wheels] if self.release and self.release.wheels else []
        return words + (["--timeout", f"{self.part.timeout:g}s"] if self.part.raised else [])

    def __str__(self) -> str:
        return str(self.cell)


def requests(
    parts: Sequence[Part],
    kinds: Sequence[Hardware],
    profile: str | None = None,
    settings: Sequence[str] = (),
    cards: int = 0,
    seed: int = 0,
    releases: Sequence[Release | None] = (None,),
) -> list[CellRequest]:
    """One for every part on every kind with every version; `cards` 0: as many as the part runs on by itself.

    Raises:
        UsageError: a setting or a number of cards that a part does not take.
    """
    found = []
    for part in parts:
        values, wanted = settled(part, profile, settings, cards) if part.program else ({}, 1)
        found += [
            CellRequest(part=part, kind=kind, parameters=values, cards=wanted, seed=seed, release=release)
            for kind in kinds
            for release in releases
        ]
    return sorted(found, key=lambda each: releases.index(each.release))  # a version at a time


def select_parts(catalogue: Catalogue, named: str) -> list[Part]:
    """The parts that `named` lists, with commas: numbers, parts, slugs (`08-ffn`, `ffn`) or `all`.

    Raises:
        UsageError: a name is no part's; the nearest known one is offered.
    """
    return _select(named, part_names(catalogue), "task", "./inv tasks")


def select_hardware(catalogue: Catalogue, named: str) -> list[Hardware]:
    """The kinds that `named` lists, with commas: names, aliases or `all`.

    Raises:
        UsageError: a name is no kind's; the nearest known one is offered.
    """
    return _select(named, _hardware_names(catalogue), "hardware kind", "./inv hardware")


def select_kind(catalogue: Catalogue, named: str) -> Hardware:
    """The one kind that `named` is.

    Raises:
        UsageError: it is none, or several.
    """
    return _single(select_hardware(catalogue, named), f"--hw {named}", "kinds")


def select_part(catalogue: Catalogue, named: str) -> Part:
    """The one part that `named` is.

    Raises:
        UsageError: it is none, or several.
    """
    return _single(select_parts(catalogue, named), f"--task {named}", "parts")


def _single(found: Sequence[Named], written: str, called: str) -> Named:
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise UsageError(f"{written}: {len(found)} {called}.", f"It has {names}.", "Name one.")
    return found[0]


def names(catalogue: Catalogue, named: str) -> list[str] | None:
    """The names of the parts that `named` lists; None, for all there are, where nothing is named."""
    return [part.name for part in select_parts(catalogue, named)] if named else None


def part_names(catalogue: Catalogue) -> dict[str, list[Part]]:
    """All names of parts, and the parts that each of them selects."""
    names: dict[str, list[Part]] = {"all": list(catalogue.parts.values())}
    for part in catalogue.parts.values():
        number, _, short = part.slug.partition("-")
        for name in {part.name, part.task, number, part.slug, short}:
            names.setdefault(name, []).append(part)
    return names


def _hardware_names(catalogue: Catalogue) -> dict[str, list[Hardware]]:
    kinds = catalogue.hardware.values()
    names = {name: [kind] for kind in kinds for name in (kind.name, *kind.aliases)}
    return {"all": list(kinds), **names}


def _select(named: str, names: Mapping[str, list[Any]], noun: str, see: str) -> list[Any]:
    chosen: dict[str, Any] = {}
    for name in (name.strip() for name in named.split(",")):
        if name not in names:
            what = f"{name!r}: no such {noun}." if name else f"{named!r}: no such {noun}, a name is missing."
            if "=" in name:
                raise UsageError(what, "NAME=VALUE is a parameter of a part.", f"Write --set {name}")
            raise UsageError(what, f"Known: {', '.join(_shown(names))}.{did_you_mean(name, names)}", f"See {see}")
        chosen.update((item.name, item) for item in names[name])
    return list(chosen.values())


def _shown(names: Mapping[str, list[Any]]) -> list[str]:
    """Each item's own name only, so that the list stays short."""
    return ["all"] + [name for name, items in names.items() if len(items) == 1 and items[0].name == name]


def parameters(part: Part, profile: str | None, settings: Iterable[str]) -> dict[str, Any]:
    """The part's parameters: its defaults, over them the profile, over that the settings ("grid=201").

    Raises:
        UsageError: an unknown profile or parameter, or a value outside its declared type, range or choices.
    """
    values = {name: parameter.default for name, parameter in part.parameters.items()}
    if profile is not None:
        values.update(part.profiles.get(profile, {}))
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: no value.", "A setting is NAME=VALUE.", f"Write --set {name}=VALUE")
        if name not in part.parameters:
            raise _unknown_parameter(part, name)
        values[name] = _value(part, part.parameters[name], text)
    return values


def check_profile(parts: Sequence[Part], profile: str | None) -> None:
    """Refuse a profile that none of `parts` declares."""
    known = sorted({name for part in parts for name in part.profiles})
    if profile is not None and profile not in known:
        raise UsageError(
            f"{profile!r}: no such profile.",
            f"Known for these parts: {', '.join(known) or 'none'}.{did_you_mean(profile, known)}",
            "Leave --profile out, or choose one of these.",
        )


def wanted_cards(part: Part, asked: int = 0) -> int:
    """On how many cards a part runs: as many as asked for, or for 0 as it runs on by itself.

    Raises:
        UsageError: it does not run on that many.
    """
    if asked and not part.cards.at_least <= asked <= part.cards.at_most:
        raise UsageError(
            f"--cards {asked}: part {part.name} does not run on that many.",
            f"It takes {part.cards.expects}.",
            f"Leave it out for {part.cards.default}; with several parts, select one by --task.",
        )
    return asked or part.cards.default


def settled(part: Part, profile: str | None, settings: Iterable[str], cards: int = 0) -> tuple[dict[str, Any], int]:
    """The part's parameters and number of cards, which fit each other.

    Raises:
        UsageError: a value that it does not take, or values that do not fit.
    """
    values, wanted = parameters(part, profile, settings), wanted_cards(part, cards)
    names = {**values, "cards": wanted}
    for requirement in part.requires:
        expression = expressions.parse(requirement.that)
        try:
            fits, also = expression.truth(names), ""
        except expressions.ExpressionError as error:
            fits, also = False, f" ({error})"
        if not fits:
            asked = ", ".join(f"{name}={values[name]}" for name in values if name in expression.names)
            on = f" on {wanted} card{'s' * (wanted > 1)}" if "cards" in expression.names else ""
            raise UsageError(
                f"{part.name} cannot run" + f" with {asked}" * bool(asked) + f"{on}.",
                f"{requirement.otherwise.rstrip('.')}: {requirement.that}{also}.",
                f"Choose values that fit; the defaults do. ./inv tasks --task {part.name} shows them.",
            )
    return values, wanted


def with_timeout(parts: Sequence[Part], text: str) -> list[Part]:
    """The parts with a longer time limit than their own, as "2h"; an empty text leaves them theirs.

    Raises:
        UsageError: it is no time, or shorter than a part's own limit.
    """
    if not text:
        return list(parts)
    try:
        asked = seconds(text)
    except ValueError as error:
        raise UsageError(f"--timeout {text}: {error}.", "It is a whole number and s, min or h.", "Write 2h.") from error
    for part in parts:
        if part.program and asked < part.timeout:
            why = f"Part {part.name} has {part.timeout:g} s, and a limit is only raised."
            raise UsageError(f"--timeout {text} is too short.", why, "Leave it out, or select the part by --task.")
    return [replace(part, timeout=asked, raised=asked > part.timeout) if part.program else part for part in parts]


def _unknown_parameter(part: Part, name: str) -> UsageError:
    known = ", ".join(part.parameters) or "none"
    hint = did_you_mean(name, part.parameters)
    return UsageError(
        f"{name!r}: part {part.name} has no such parameter.",
        f"It has: {known}.{hint}",
        f"See ./inv tasks --task {part.name}; with several parts, select one by --task.",
    )


def _value(part: Part, parameter: Parameter, text: str) -> Any:
    try:
        value = _parse(text, type(parameter.default))
    except ValueError:
        value = None
    if value is None or not _allowed(parameter, value):
        raise UsageError(
            f"{parameter.name}={text}: not a value of part {part.name}'s {parameter.name}.",
            f"It takes: {parameter.expects} ({parameter.help}).{did_you_mean(text, map(str, parameter.choices))}",
            f"Leave it out for the default, {parameter.default}.",
        )
    return value


def _parse(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower())
    if kind is not str and not text.isascii():
        raise ValueError("digits of another script")
    value = kind(text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    return value


def _allowed(parameter: Parameter, value: Any) -> bool:
    if parameter.choices and value not in parameter.choices:
        return False
    if parameter.pattern and not re.fullmatch(parameter.pattern, value, re.DOTALL):
        return False
    above = parameter.at_least is None or value >= parameter.at_least
    return above and (parameter.at_most is None or value <= parameter.at_most)
