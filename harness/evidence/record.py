"""A record as it is typed: what catalogue/schemas/record.schema.json describes, and where it lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

from harness.evidence.sealed import RECORD
from harness.evidence.verdicts import FAILED, PASSED, Check, Json, Verdict, verdict_of

Reason = Literal[
    "finished", "timed out", "killed", "interrupted", "not started", "cancelled", "requeued", "node failed"
]


class Cell(TypedDict):
    part: str
    hardware: str


class Program(TypedDict):
    file: str | None
    revision: str | None
    clean: bool | None


class Hardware(TypedDict):
    model: str
    architecture: str | None
    driver: str | None
    cards: Sequence[Mapping[str, str | None]]
    machine: str
    system: str
    kernel: str


class Job(TypedDict):
    scheduler: Literal["slurm", "kubernetes"]
    id: str
    node: str | None
    attempt: int


class _Engine(TypedDict):
    name: str
    image: str | None


class Engine(_Engine, total=False):
    version: str
    sbom: str | None


class _Stack(TypedDict):
    name: str
    lock_sha256: str
    index: str | None
    python: str


class Stack(_Stack, total=False):
    lock: str
    instead_of: str
    unlisted: str


class Paddle(TypedDict):
    package: str
    version: str
    wheel: str | None
    wheel_sha256: str | None


class Times(TypedDict):
    started: str
    finished: str
    seconds: float | None


class Exit(TypedDict):
    reason: Reason
    code: int | None
    signal: str | None


class Log(TypedDict):
    bytes: int
    left_out: int


class Screen(TypedDict):
    file: str | None
    why: str


class Artefact(TypedDict):
    sha256: str
    bytes: int


class Explanation(TypedDict):
    line: str
    cause: str
    remedy: str
    source: str


class _Record(TypedDict):
    schema: int
    id: str
    cell: Cell
    program: Program
    parameters: Mapping[str, Json]
    seed: int
    cards: int
    hardware: Hardware
    times: Times
    exit: Exit
    log: Log
    metrics: Mapping[str, Json]
    device: Mapping[str, Json]
    checks: Sequence[Check]
    passed: bool
    artefacts: Mapping[str, Artefact]
    seal: str


class RecordData(_Record, total=False):
    """record.json. What older records lack may be absent."""

    timeout: float
    job: Job
    engine: Engine
    command: Sequence[str]
    environment: Mapping[str, str]
    environment_of_caller: Sequence[str]
    stack: Stack
    paddle: Paddle | None
    plug_ins: Sequence[Paddle]
    verdict: Verdict
    screen: Screen
    explanations: Sequence[Explanation]


@dataclass(frozen=True)
class Record:
    """A sealed record: the folder in which it lies, and what its record.json says. It is true where its run passed."""

    folder: Path
    data: RecordData

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The record in `folder`, if its seal is whole.

        Raises:
            DataFileError: it is damaged; what is wrong is named.
        """
        return cls(folder, cast(RecordData, RECORD.read(folder / RECORD.manifest)))

    def __bool__(self) -> bool:
        return self.verdict == PASSED

    @property
    def failed(self) -> bool:
        """Whether it counts as a failure; a run with a check that is not judged has neither passed nor failed."""
        return self.verdict == FAILED

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.data)

    @property
    def id(self) -> str:
        return self.data["id"]

    @property
    def file(self) -> Path:
        """Its record.json."""
        return self.folder / RECORD.manifest
