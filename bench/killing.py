"""What the measurements of kills share: rounds of harm, each until the same command says that all is well; a count."""

import random
import subprocess
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measuring import goal, keep

REPEATS = 8
LONGEST = 240  # s


def add_options(parser: ArgumentParser, rounds: int = 0) -> None:
    """The options --kills and --minutes of a measurement."""
    parser.add_argument("--kills", type=int, default=rounds, help="rounds with a kill, in the place of the rest")
    parser.add_argument("--minutes", type=float, default=1e6, help="after these no further round is begun")


def tally(
    asked: Any,
    victims: Sequence[str],
    checkout: Any,
    environment: dict[str, str],
    harm: Callable[[int, str, random.Random], int],
    mistakes: Callable[[int], str],
) -> None:
    """In each round `harm` a victim at random, look for `mistakes` in what is there, and keep the count of all rounds.

    Args:
        asked: how many rounds (`kills`), and how long to begin some (`minutes`): what was not begun is said.
        victims: harmed in turn.
        harm: does it in the round of a seed, and gives the command until it succeeds: how many calls that took.
        mistakes: what is not as it should be after the round of a seed, in words; empty where all is well.
    """
    chance, killed, endings, lost = random.Random(0), Counter[str](), Counter[str](), 0
    until = time.monotonic() + 60 * asked.minutes
    for number in range(1, asked.kills + 1):
        if time.monotonic() > until:
            break
        victim = victims[(number - 1) % len(victims)]
        calls = harm(number, victim, chance)
        wrong = mistakes(number)
        killed[victim] += 1
        lost += bool(wrong)
        found = Counter(each["exit"]["reason"] for each in checkout.records() if each["seed"] == number)
        endings += found
        print(f"round {number}: {victim} killed; {calls} calls; {_spoken(found)}{wrong}", flush=True)
    verified = checkout("verify", env=environment)
    print(f"{killed.total()} of {asked.kills} rounds. Killed: {_spoken(killed)}. Records: {_spoken(endings)}.", end=" ")
    print(f"./inv verify: exit code {verified.returncode}")
    print(goal("rounds in which something was lost or stands twice", lost + (verified.returncode != 0), 0, unit=""))
    keep({"rounds": killed.total(), "wanted": asked.kills, "lost": lost, "unverified": verified.returncode, **killed})


def _spoken(counted: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counted.items()))


def calls_until_well(process: "subprocess.Popen[str]", again: Callable[[], "subprocess.Popen[str]"], log: Path) -> int:
    """How many calls it took until one ended with 0, the first being `process`; ends this program if one never ends."""
    for call in range(1, REPEATS + 1):
        try:
            if process.wait(timeout=LONGEST) == 0:
                return call
        except subprocess.TimeoutExpired:
            sys.exit(f"A call has no end.\n{log.read_text()[-3000:]}")
        process = again()
    return REPEATS
