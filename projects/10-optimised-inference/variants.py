"""The rows of the table: what is tried, and what came of it."""

from dataclasses import dataclass

from decoder import cache_for
from engine import Counts, Request
from formats import KINDS

OPTIONS = ("lookup", "unshared", "single", "kv8")
OPTIONS_ON = "int4"
MEGABYTE = 1e6
HEADER = (
    f"{'':14} {'tok/s':>7} {'TTFT ms':>8} {'TPOT ms':>8} {'P99 TPOT':>9} {'accepted':>9} {'shared':>7} "
    f"{'weights MB':>11} {'cache MB':>9} {'perplexity':>11} {'KL':>9} {'expected':>9}"
)


@dataclass(frozen=True)
class Variant:
    """A row of the table: weights of one kind, and perhaps one option."""

    kind: str
    option: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind}+{self.option}" if self.option else self.kind

    @property
    def word(self) -> str:
        """By which its metrics are named."""
        return self.option or self.kind

    @property
    def cache(self) -> str:
        """The kind of its keys and values."""
        return "int8" if self.option == "kv8" else cache_for(self.kind)

    @property
    def computes_otherwise(self) -> bool:
        """Whether its logits are others than those of its kind alone: drafts and the like change when they come."""
        return self.option in ("", "kv8")


@dataclass(frozen=True)
class Quality:
    """How a decoder reads the held-out text."""

    perplexity: float
    divergence: float  # KL from the truth
    expected: float  # what the steps of its kind alone make of it
    order_error: float  # how far another order of its sums moves a logit


@dataclass
class Result:
    """What a variant answered, and how fast and how good that was."""

    requests: list[Request]
    figures: dict[str, float]
    counts: Counts
    quality: Quality
    answer_gap: float
    weight_bytes: int
    cache_bytes: int

    @property
    def answers(self) -> list[list[int]]:
        return [request.answer for request in self.requests]

    @property
    def throughput(self) -> float:
        return self.figures["Output token throughput (tok/s)"]

    @property
    def accepted_rate(self) -> float:
        return self.counts.accepted / max(self.counts.drafted, 1)

    def row(self, name: str) -> str:
        return (
            f"{name:14} {self.throughput:7.1f} {self.figures['Median TTFT (ms)']:8.0f} "
            f"{self.figures['Median TPOT (ms)']:8.1f} {self.figures['P99 TPOT (ms)']:9.1f} {self.accepted_rate:9.0%} "
            f"{self.counts.shared:7} {self.weight_bytes / MEGABYTE:11.0f} {self.cache_bytes / MEGABYTE:9.0f} "
            f"{self.quality.perplexity:11.3f} {self.quality.divergence:9.2e} {self.quality.expected:9.2e}"
        )


def variants(weights: str, option: str) -> list[Variant]:
    """The rows for what was asked."""
    kinds = list(KINDS) if weights == "all" else [weights]
    options = {"all": OPTIONS, "none": ()}.get(option, (option,))
    on = OPTIONS_ON if weights == "all" else weights
    return [Variant(kind, word) for kind in kinds for word in ("", *(options if kind == on else ()))]
