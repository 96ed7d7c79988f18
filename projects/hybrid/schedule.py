"""Pipeline schedules: in which order each stage works through the micro-batches of a step.

F-then-B (GPipe, Huang et al., 2019): all forward passes, then all backward passes. A stage keeps the activations
of every micro-batch until the backward passes begin.

1F1B (PipeDream-Flush, Narayanan et al., 2021): as soon as a stage can, it does one backward pass for each forward
pass. It is idle as long as with F-then-B, and keeps the activations of `stages` micro-batches at most.

    2 stages, 4 micro-batches      stage 0                    stage 1
    F-then-B                       F0 F1 F2 F3 B0 B1 B2 B3    F0 F1 F2 F3 B0 B1 B2 B3
    1F1B                           F0 F1 B0 F2 B1 F3 B2 B3    F0 B0 F1 B1 F2 B2 F3 B3
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Work(NamedTuple):
    """One pass of one micro-batch through one stage; `kind` is "F" or "B"."""

    stage: int
    micro_batch: int
    kind: str


class Action(NamedTuple):
    """What a stage does: "F" and "B" compute; the others move an activation or its gradient to or from a stage."""

    kind: str  # F, B, send F, receive F, send B, receive B
    micro_batch: int
    peer: int | None = None


@dataclass(frozen=True)
class Slot:
    """When a work is done."""

    work: Work
    start: float
    end: float


def f_then_b(stage: int, stages: int, micro_batches: int) -> list[Work]:
    forward = [Work(stage, number, "F") for number in range(micro_batches)]
    return forward + [Work(stage, number, "B") for number in range(micro_batches)]


def one_f_one_b(stage: int, stages: int, micro_batches: int) -> list[Work]:
    forward, backward = f_then_b(stage, stages, micro_batches)[:micro_batches], []
    warm_up = min(stages - stage - 1, micro_batches)
    order = forward[:warm_up]
    for work in forward[warm_up:]:
        order += [work, Work(stage, len(backward), "B")]
        backward.append(work)
    return order + [Work(stage, number, "B") for number in range(len(backward), micro_batches)]


SCHEDULES = {"f-then-b": f_then_b, "1f1b": one_f_one_b}


def actions(order: Sequence[Work], stages: int) -> list[Action]:
    """The order of a stage with what it sends and receives between.

    Sends may wait until the other side receives, and two neighbours that both send first would wait for ever. So
    between two neighbours, what goes forward goes first: before a stage sends a gradient back, it receives the
    activation that it works on next.
    """
    done: list[Action] = []
    for work in order:
        before, after = work.stage - 1, work.stage + 1
        source, target = (before, after) if work.kind == "F" else (after, before)
        if 0 <= source < stages:
            receive = Action(f"receive {work.kind}", work.micro_batch, source)
            last_was_sent_back = bool(done) and done[-1].kind == "send B" and work.kind == "F"
            done.insert(len(done) - 1 if last_was_sent_back else len(done), receive)
        done.append(Action(work.kind, work.micro_batch))
        if 0 <= target < stages:
            done.append(Action(f"send {work.kind}", work.micro_batch, target))
    return done


def in_flight(order: Sequence[Work]) -> int:
    """The most micro-batches whose activations a stage keeps at one time."""
    kept = most = 0
    for work in order:
        kept += 1 if work.kind == "F" else -1
        most = max(most, kept)
    return most


def timeline(orders: Sequence[Sequence[Work]], forward: float = 1.0, backward: float = 2.0) -> list[Slot]:
    """When each work is done if a forward and a backward pass take so long and sending takes no time.

    Args:
        orders: one for each stage.

    Raises:
        ValueError: the stages wait for each other.
    """
    ends: dict[Work, float] = {}
    slots: list[Slot] = []
    waiting = [list(order) for order in orders]
    free = [0.0] * len(orders)
    while any(waiting):
        ready = [
            order[0] for order in waiting if order and all(needed in ends for needed in _needs(order[0], len(orders)))
        ]
        if not ready:
            raise ValueError("the stages wait for each other")
        for work in ready:
            start = max([free[work.stage], *(ends[needed] for needed in _needs(work, len(orders)))])
            ends[work] = free[work.stage] = start + (forward if work.kind == "F" else backward)
            slots.append(Slot(work, start, ends[work]))
            waiting[work.stage].pop(0)
    return slots


def _needs(work: Work, stages: int) -> Iterator[Work]:
    """What must be done before: the pass before it in the pipeline, and for a backward pass its forward pass."""
    if work.kind == "B":
        yield Work(work.stage, work.micro_batch, "F")
    source = work.stage - 1 if work.kind == "F" else work.stage + 1
    if 0 <= source < stages:
        yield Work(source, work.micro_batch, work.kind)


def bubble(slots: Sequence[Slot]) -> float:
    """The share of time in which stages are idle, from the first start to the last end."""
    stages = 1 + max(slot.work.stage for slot in slots)
    span = max(slot.end for slot in slots) - min(slot.start for slot in slots)
    return 1 - sum(slot.end - slot.start for slot in slots) / (stages * span)


def expected_bubble(stages: int, micro_batches: int) -> float:
    """The same of both schedules where all stages take equally long: (p - 1) / (m + p - 1)."""
    return (stages - 1) / (micro_batches + stages - 1)
