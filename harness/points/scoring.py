"""Points: what the organisers' rules give for the runs there are. Rules are data; this module reads them.

    once               value, for the first run that earns it
    per_model          value for each distinct hardware model, up to a limit
    per_architecture   value for each distinct architecture, up to a limit
    per_day            value for each distinct day, up to a limit
    judged             a range that the organisers decide within; its lower end counts
    bonus              value on top of an earned part, when its own needs are met

Nothing is ever earned on simulated hardware, nor by a run that is not judged.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from harness.catalogue.cells import BY_HAND, NOT_WRITTEN
from harness.catalogue.entries import Hardware, Part, Rule
from harness.evidence.verdicts import PASSED, Verdict

State = Literal["earned", "rehearsed", "waiting", "not run", "failed", "not judged"]
EARNED: Final = "earned"
REHEARSED: Final = "rehearsed"
WAITING: Final = "waiting"
NOT_RUN: Final = "not run"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the points need of a record: the latest passing one of its hardware model, else the latest."""

    part: str
    hardware: str
    model: str
    architecture: str | None
    cards: int
    day: str
    verdict: Verdict
    run: str
    why: str = ""
    waits: str = ""  # what it still waits for, though it passed
    spare: str = ""  # why it gives nothing beside another one
    paddle: str = ""  # the version; empty where the record does not say
    unlisted: bool = False
    signed: bool = False  # it has a signature, which nobody has checked yet

    @property
    def passed(self) -> bool:
        return self.verdict == PASSED


@dataclass(frozen=True, kw_only=True)
class CellPoints:
    """One cell of the matrix: a part on a hardware model of a kind, or on a kind where nothing ran."""

    part: str
    hardware: str
    model: str | None
    state: State
    points: float
    limit: float
    why: str
    run: str | None
    bonus: float = 0.0  # what of the points is a bonus
    counts_as: str = ""  # what the rule counts once: a model, an architecture, a day, or the part
    paddle: str = ""


@dataclass(frozen=True)
class Added:
    """What people have added to a part: the kinds that count, and those that do not yet, with why."""

    kinds: frozenset[str]
    pending: Mapping[str, str]

    def meets(self, need: str) -> bool:
        return not self.kinds.isdisjoint(need.split(" or "))

    def with_why(self, need: str) -> str:
        """A need, and why what was added for it does not count yet: 'link (not reached yet)'."""
        whys = [self.pending[kind] for kind in need.split(" or ") if kind in self.pending]
        return f"{need} ({whys[0]})" if whys else need


@dataclass(frozen=True)
class Tally:
    earned: float
    earned_upper: float
    rehearsed: float
    waiting: float
    limit: float
    bonus: float


def assess(
    part: Part,
    kinds: Mapping[str, Hardware],
    results: Sequence[Result],
    evidence: Collection[str] = (),
    pending: Mapping[str, str] | None = None,
) -> list[CellPoints]:
    """The cells of one part: a state, points and a why for each result, and `not run` for kinds without one.

    Args:
        part: with its rules.
        kinds: every hardware kind; a cell is made for each.
        results: this part's results, in the order in which points are given out.
        evidence: what people have added to the part (link, photo, pull request, …).
        pending: what they added that does not count yet, and why.
    """
    added = Added(frozenset(evidence), pending or {})
    rule, bonus = _rules(part)
    limit = rule.limit + (bonus.limit if bonus else 0)
    cells, counted, left, bonus_open = [], set[str](), rule.limit, bonus is not None
    for result in results:
        state, why = _state(rule, kinds[result.hardware], result, added)
        points = gained = 0.0
        key = _key(rule, result)
        if state == EARNED:
            if result.spare or key in counted:
                why = result.spare or _counted_already(rule, result)
            elif left <= 0:
                why = f"the limit of {rule.limit:g} is reached"
            else:
                points = min(rule.value, left)
                left -= points
                counted.add(key)
                why = f"the day {key} counts" if rule.name == "per_day" else ""
            if bonus and bonus_open:
                gained, open_because = _bonus(bonus, kinds[result.hardware], result, added)
                bonus_open, why = not gained, why or open_because
        cells.append(
            CellPoints(
                part=part.name,
                hardware=result.hardware,
                model=result.model,
                state=state,
                points=points + gained,
                limit=limit,
                why=why,
                run=result.run,
                bonus=gained,
                counts_as=key,
                paddle=result.paddle,
            )
        )
    ran = {result.hardware for result in results}
    why = "no run yet" if part.program else BY_HAND if part.evidence_only else NOT_WRITTEN
    cells += [
        CellPoints(part=part.name, hardware=kind, model=None, state=NOT_RUN, points=0.0, limit=limit, why=why, run=None)
        for kind in kinds
        if kind not in ran
    ]
    return cells


def _rules(part: Part) -> tuple[Rule, Rule | None]:
    plain = [rule for rule in part.rules if rule.name != "bonus"]
    bonuses = [rule for rule in part.rules if rule.name == "bonus"]
    return plain[0], bonuses[0] if bonuses else None


def _state(rule: Rule, kind: Hardware, result: Result, added: Added) -> tuple[State, str]:
    if result.verdict != PASSED:
        return result.verdict, result.why
    unfit = _unfit(rule, kind, result)
    if unfit:
        return REHEARSED, unfit
    if result.waits:
        return WAITING, result.waits
    missing = [need for need in rule.needs if not added.meets(need)]
    if missing:
        return WAITING, f"passed; still to be added: {', '.join(map(added.with_why, missing))}"
    return EARNED, ""


def _unfit(rule: Rule, kind: Hardware, result: Result) -> str:
    """Why the rule gives no points on this hardware; empty where it does."""
    if kind.category == "simulated":
        return "nothing is earned on simulated hardware"
    if result.unlisted:
        return f"Paddle {result.paddle} is unlisted, or a wheel of one's own: nothing is earned with it"
    if not in_range(result.paddle, rule.paddle):
        return f"it counts with Paddle {rule.paddle}, this ran with {result.paddle}"
    if rule.categories and kind.category not in rule.categories:
        return f"it counts on {_categories(rule.categories)}"
    if rule.cards > 1 and kind.category == "cpu":
        return f"it counts on {rule.cards} cards, these were processes on one CPU"
    if result.cards < rule.cards:
        return f"it counts on {rule.cards} cards, this ran on {result.cards}"
    if rule.architectures and result.architecture not in rule.architectures:
        return f"it counts on {', '.join(rule.architectures)}"
    return ""


@lru_cache
def in_range(version: str, wanted: str) -> bool:
    """Whether a version of Paddle is one that a rule counts; one that an older record does not name is."""
    if not version or not wanted:
        return True
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    try:
        return SpecifierSet(wanted).contains(version, prereleases=True)
    except InvalidVersion:
        return False


def _categories(categories: Iterable[str]) -> str:
    words = {"gpu": "an NVIDIA GPU", "accelerator": "a non-NVIDIA accelerator", "cpu": "a CPU"}
    return " or ".join(words[category] for category in categories)


def _key(rule: Rule, result: Result) -> str:
    keys = {"per_model": result.model, "per_architecture": result.architecture or "", "per_day": result.day}
    return keys.get(rule.name, "once")


def _counted_already(rule: Rule, result: Result) -> str:
    each = {
        "per_model": f"the model {result.model}",
        "per_architecture": f"the architecture {result.architecture}",
        "per_day": f"the day {result.day}",
    }
    return f"{each.get(rule.name, 'the part')} is counted already, once"


def _bonus(bonus: Rule, kind: Hardware, result: Result, added: Added) -> tuple[float, str]:
    state, why = _state(bonus, kind, result, added)
    return (bonus.value, "") if state == EARNED else (0.0, f"the bonus of {bonus.value:g} is open: {why}")


def tally(parts: Mapping[str, Part], cells: Iterable[CellPoints]) -> Tally:
    """Add the cells up. Rehearsed and waiting points are those a part would earn, and has not earned already."""
    by_part: dict[str, list[CellPoints]] = {name: [] for name in parts}
    for cell in cells:
        by_part[cell.part].append(cell)
    sums = {EARNED: 0.0, "upper": 0.0, REHEARSED: 0.0, WAITING: 0.0}
    for name, part_cells in by_part.items():
        rule, _ = _rules(parts[name])
        bonus = sum(cell.bonus for cell in part_cells)
        plain = sum(cell.points for cell in part_cells) - bonus
        sums[EARNED] += plain + bonus
        sums["upper"] += bonus + (rule.upper if plain and rule.name == "judged" else plain)
        left = rule.limit - plain if rule.name.startswith("per_") else (0.0 if plain else rule.value)
        seen = {cell.counts_as for cell in part_cells if cell.state == EARNED}
        for state in (WAITING, REHEARSED):
            keys = {cell.counts_as for cell in part_cells if cell.state == state} - seen
            seen |= keys
            worth = min(left, rule.value * len(keys))
            sums[state] += worth
            left -= worth
    rules = [_rules(part) for part in parts.values()]
    return Tally(
        earned=sums[EARNED],
        earned_upper=sums["upper"],
        rehearsed=sums[REHEARSED],
        waiting=sums[WAITING],
        limit=sum(rule.limit for rule, _ in rules),
        bonus=sum(bonus.limit for _, bonus in rules if bonus),
    )
