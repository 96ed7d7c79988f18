"""Mutations of the samples: none ends in a traceback or takes long, and none makes a card that is not there usable."""

import random
import re
import time

import pytest
from test_listers import EXPECTED, SAMPLES, read

TEXTS = {sample: (SAMPLES / f"{sample}.txt").read_bytes().decode("utf-8") for sample in EXPECTED}
CARDS = [sample for sample in EXPECTED if not sample.startswith("cpu")]  # a processor is always there
SECONDS = 2.0  # for one output; patterns that look back too far take minutes

SAME = {
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "colours": lambda text: re.sub(r"(?m)^(.*)$", "\x1b[1;32m\\1\x1b[0m", text),
    "trailing blanks": lambda text: re.sub(r"(?m)$", "   ", text),
    "byte-order mark": lambda text: "\ufeff" + text,
    "no-break spaces": lambda text: text.replace("  ", "\u00a0 "),
    "indented": lambda text: re.sub(r"(?m)^", "    ", text),
    "drawn boxes": lambda text: text.replace("|", "│"),
    "blank lines around": lambda text: f"\n\n{text}\n\n",
}


def cut(text, chance):
    """The beginning, as of a tool that was ended."""
    return text[: chance.randrange(len(text) + 1)].rpartition("\n")[0]


def without_a_line(text, chance):
    lines = text.splitlines(keepends=True) or [""]
    del lines[chance.randrange(len(lines))]
    return "".join(lines)


def with_a_column(text, chance):
    return re.sub(r"(?m)\|$", f"| {chance.randrange(100)} |", text)


def with_an_error(text, chance):
    numbers = list(re.finditer(r"\d+", text))
    if not numbers:
        return text
    at = chance.choice(numbers)
    said = chance.choice(["N/A", "ERR!", "-", "[Unknown Error]", "错误", ""])
    return text[: at.start()] + said + text[at.end() :]


def with_a_letter(text, chance):
    at = chance.randrange(len(text) or 1)
    return text[:at] + chance.choice("|:,.0aZ\t\x00é（") + text[at + 1 :]


def in_eighty_columns(text, chance):
    return "\n".join(line[at : at + 80] for line in text.splitlines() for at in range(0, len(line) or 1, 80))


WILD = [cut, without_a_line, with_a_column, with_an_error, with_a_letter, in_eighty_columns]
LOSES_A_LINE = (cut, without_a_line, with_a_column)  # the others may change a card's number or name


def usable(cards):
    return {(card.index, card.model) for card in cards if not card.fault}


def of_shares(sample):
    """Whether the lines of a divided card stand in it: where some are lost, the others look like a whole one."""
    return sample.startswith(("cuda-mig", "cuda-list", "cambricon-vf"))


@pytest.mark.parametrize("change", SAME)
def test_what_surrounds_an_output_changes_nothing(change):
    for sample, text in TEXTS.items():
        assert read(sample, SAME[change](text)) == read(sample, text), sample


@pytest.mark.parametrize("number", range(100))
def test_a_damaged_output_makes_no_new_card_usable(number):
    chance = random.Random(number)
    for change in WILD:
        sample = chance.choice(CARDS)
        text = change(TEXTS[sample], chance)
        since = time.perf_counter()
        found = read(sample, text)
        assert time.perf_counter() - since < SECONDS, (change, sample)
        if change in LOSES_A_LINE and not of_shares(sample):
            assert usable(found) <= usable(read(sample)), (change, sample)
