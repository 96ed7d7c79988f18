"""Chips: what a card is, whether the kind's wheels have kernels for it, and which variant of them suits a machine."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.catalogue import versions
from harness.catalogue.entries import Hardware
from harness.machine import pci
from harness.machine.devices import Card

Data = Mapping[str, Any]


def chip(data: Data, card: Card) -> Data | None:
    """The entry of `chips` that a card is, by its model or its architecture; None where data does not know it."""
    for each in data.get("chips", ()):
        named = card.named and re.fullmatch(each.get("model", r"\b\B"), card.model)
        if named or re.fullmatch(each.get("architecture", r"\b\B"), card.architecture or ""):
            return dict(each)
    return None


def on_bus(data: Data) -> dict[str, Data | None]:
    """The chips on the PCI bus by their addresses, by the numbers that `chips` names."""
    numbers = {number: each for each in data.get("chips", ()) for number in each.get("pci", ())}
    return {address: numbers.get(device.device) for address, device in pci.found(data).items()}


def named(data: Data, cards: Sequence[Card]) -> tuple[Card, ...]:
    """The cards, those without a name called as the PCI bus names them, where it shows one chip only."""
    seen = {each["name"] if each else None for each in on_bus(data).values()}
    if len(seen) != 1 or None in seen:
        return tuple(cards)
    (name,) = seen
    return tuple(card if card.named else replace(card, model=str(name), named=True) for card in cards)


def lacking(data: Data, card: Card) -> str:
    """Why the kind's wheels cannot run on a card, in words; empty where they can, or where nobody knows."""
    known = chip(data, card)
    return f"{known['name']}: {known['lacks']}" if known and "lacks" in known else ""


# Variants of the wheels, as for several generations of a vendor's driver


def choose(kind: Hardware, cards: Sequence[Card], paddle: str) -> tuple[Hardware, dict[str, str]]:
    """The kind with the variant of its wheels that suits most of the cards, and why it does not suit the others.

    Where none suits any, a newer driver helps sooner than another card: it is one that has kernels for most of them.

    Args:
        kind: the kind; one without variants is returned as it is.
        cards: of this machine.
        paddle: the version of Paddle that is to run.
    """
    every = kind.data["wheels"].get("variants", ())
    fitting = [each for each in every if versions.fits(paddle, each["paddle"]) is not False]
    variants = fitting or every  # a build of untagged sources, 0.0.0, is in no range
    if not variants:
        return kind, {}
    best = max(variants, key=lambda each: _worth(kind.data, each, cards))
    unfit = {card.index: _why(kind.data, best, every, card, paddle) for card in cards}
    return replace(kind, data=_with(kind.data, best)), {index: why for index, why in unfit.items() if why}


def _worth(data: Data, variant: Data, cards: Sequence[Card]) -> tuple[int, int]:
    """How many of the cards a variant suits, with their drivers and with others."""
    served = [card for card in cards if _has_kernels(data, variant, card)]
    return sum(versions.fits(card.driver or "", variant["driver"]) is not False for card in served), len(served)


def _has_kernels(data: Data, variant: Data, card: Card) -> bool:
    """A chip that nobody knows is given the benefit of the doubt."""
    known = chip(data, card)
    return known is None or known["name"] in variant["chips"]


def _why(data: Data, chosen: Data, every: Iterable[Data], card: Card, paddle: str) -> str:
    known = chip(data, card)
    if known is None or _has_kernels(data, chosen, card) or "lacks" in known:
        return ""
    having = [each for each in every if known["name"] in each["chips"]]
    others = [f"; {each['name']} of Paddle {each['paddle']} has, with driver {each['driver']}" for each in having]
    return f"{known['name']}: the wheels {chosen['name']} of Paddle {paddle} have no kernels for it{''.join(others)}"


def _with(data: Data, variant: Data) -> dict[str, Any]:
    """The data with what the variant says in its place."""
    return {
        **data,
        "image": {**data["image"], **variant.get("image", {})},
        "wheels": {**data["wheels"], "index": variant["index"], "variant": variant["name"]},
        "requires": {**data.get("requires", {}), "driver": variant["driver"]},
    }
