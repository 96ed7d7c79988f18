"""A dispatcher: what takes cells to where they run, here or elsewhere; what it is given, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from harness.catalogue import cells, releases
from harness.catalogue.cells import CellRequest
from harness.catalogue.entries import Catalogue, Hardware, Part
from harness.catalogue.releases import Release
from harness.checkout import ROOT
from harness.errors import HomeworkError, Interrupted, UsageError
from harness.evidence import records
from harness.evidence.record import Record
from harness.evidence.verdicts import FAILED, PASSED, verdict_of

RESULTS = ROOT / "results"
Plan = TypeVar("Plan")


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What a person asked for with `./inv run`: the parts that were selected, and the options as they were typed."""

    catalogue: Catalogue
    parts: Sequence[Part]
    task: str = "all"
    hw: str = "auto"
    on: str = "auto"
    host: str = ""
    profile: str | None = None
    settings: Sequence[str] = ()
    cards: int = 0
    seed: int = 0
    timeout: str = ""
    missing: bool = False
    failed: bool = False
    verbose: bool = False
    key: Path | None = None
    results: Path = RESULTS
    paddle: str = ""
    wheels: str = ""

    @property
    def releases(self) -> Sequence[Release | None]:
        """The versions of Paddle that were asked for; None is each kind's default."""
        return releases.asked(self.paddle, self.wheels)

    def cells(self, kinds: Sequence[Hardware], of: Sequence[Release | None] = ()) -> list[CellRequest]:
        """The cells on these kinds, of these versions or those asked for; with `missing` or `failed` those alone.

        Raises:
            UsageError: a setting or a number of cards that a part does not take.
        """
        asked = cells.requests(
            self.parts, kinds, self.profile, self.settings, self.cards, self.seed, of or self.releases
        )
        return [each for each in asked if self._wanted(each)]

    def _wanted(self, asked: CellRequest) -> bool:
        """Whether it is wanted, by its runs so far: those with these parameters, where some were named."""
        if not (self.missing or self.failed):
            return True
        named = self.settings or self.profile
        runs = records.of_cell(self.results / asked.part.name / asked.kind.name)
        verdicts = (verdict_of(run) for run in runs if not named or run["parameters"] == asked.parameters)
        latest = next(verdicts, None)
        if self.failed and latest == FAILED:
            return True
        return self.missing and latest != PASSED and PASSED not in verdicts

    def cells_elsewhere(self, where: str) -> list[CellRequest]:
        """The cells that have a program, on the kinds that were named. Nothing is asked of this machine.

        Raises:
            UsageError: no kinds are named, or a setting or a number of cards that a part does not take.
        """
        if self.hw == "auto":
            why = f"auto means what this machine has, and the cards are in {where}."
            known = ",".join(list(self.catalogue.hardware)[-2:])
            raise UsageError(f"--on {self.on}: which hardware?", why, f"Name kinds: --hw {known}")
        kinds = cells.select_hardware(self.catalogue, self.hw)
        return [request for request in self.cells(kinds) if request.part.program]

    def without_wheels(self, option: str) -> None:
        """Refuse a folder of this machine where the cells run elsewhere."""
        if self.wheels:
            why = "The folder is here, the stacks are made there."
            raise UsageError(f"--wheels does not go with {option}.", why, "Call ./inv run --wheels there.")

    def without_key(self, option: str) -> None:
        """Refuse a key where the record is sealed elsewhere."""
        if self.key:
            why = "The key stays here, the record is sealed there."
            raise UsageError(f"--sign does not go with {option}.", why, "Leave it out.")

    @property
    def options(self) -> list[str]:
        """The options that differ from nothing, as a person would type them on another machine."""
        named = {"task": self.task, "hw": self.hw, "on": self.on, "profile": self.profile, "cards": self.cards}
        named |= {"seed": self.seed, "timeout": self.timeout, "paddle": self.paddle}
        pairs = [*named.items(), *(("set", setting) for setting in self.settings)]
        words = [word for name, value in pairs if value for word in (f"--{name}", str(value))]
        flags = {"missing": self.missing, "failed": self.failed, "verbose": self.verbose}
        return [*words, *(f"--{name}" for name, said in flags.items() if said)]


@dataclass(frozen=True)
class Outcome:
    """What came of it: the records that are here, and what is to be raised once they have been shown."""

    records: Sequence[Record]
    failure: HomeworkError | Interrupted | None = None

    def require_passed(self) -> None:
        """Raise what went wrong, or that cells failed.

        Raises:
            HomeworkError: of the kind that it was.
            UsageError: programs refused what they were given, and nothing else failed.
            Interrupted: what ran elsewhere was interrupted there.
        """
        if self.failure:
            raise self.failure
        failed = [record for record in self.records if record.failed]
        if failed:
            refused = all(record.data["exit"]["code"] == UsageError.code for record in failed)
            raise (UsageError if refused else HomeworkError)(
                f"{len(failed)} of {len(self.records)} cells failed.",
                "The lines marked ✗ above say why.",
                "./inv show RUN shows a record; its run.log has the program's output.",
            )


class Dispatcher(Protocol[Plan]):
    """Takes cells to where they run."""

    def plan(self, request: RunRequest) -> Plan:
        """What is to be run, and how; nothing has begun.

        Raises:
            HomeworkError: what was asked for cannot be run there.
        """

    def show(self, plan: Plan) -> None:
        """Print what would be run, and how (`run --dry-run`)."""

    def run(self, plan: Plan, results: Path) -> Outcome:
        """Run it, with progress, to its end; the records come into `results`.

        Raises:
            HomeworkError: it could not be begun.
            Interrupted: after Ctrl-C; what was sealed by then is there.
        """
