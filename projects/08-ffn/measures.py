"""The metrics of 8-2, from what all ranks report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hybrid.mesh import AXES, Mesh
from hybrid.schedule import SCHEDULES, Slot, Work, bubble, expected_bubble, in_flight, timeline
from hybrid.stage import Event
from pieces import local_shape
from problem import Problem
from traffic import Counts, Message, by_axis, expected, headers, messages

MAIN = "1f1b"  # the route whose times, traffic and pieces are measured


@dataclass(frozen=True)
class Report:
    """What one rank has to say of a route; the losses are everyone's."""

    losses: list[float]
    errors: Mapping[str, float]  # of loss, gradient and weight
    shapes: Mapping[str, tuple[int, ...]]  # of its pieces: "3.up.weight"
    events: Sequence[Event] = ()  # of the last step
    seconds: Sequence[float] = ()  # of each step
    traffic: Counts | None = None  # of the last step


Reports = Sequence[Mapping[str, Report]]  # of each rank, by route


def of_errors(reports: Reports) -> dict[str, float]:
    """The worst rank's errors, by route: {"gradient_error_1f1b": …}."""
    return {
        f"{kind}_error_{route.replace('-', '_')}": max(report[route].errors[kind] for report in reports)
        for kind in ("gradient", "loss", "weight")
        for route in reports[0]
    }


def of_pieces(reports: Reports, problem: Problem, mesh: Mesh) -> dict[str, Any]:
    """Is every weight really split, and every piece where it should be?"""
    whole = {name: value.shape for name, value in problem.weights(0).items()}
    right, held = True, []
    for rank, reports_of_rank in enumerate(reports):
        for report in reports_of_rank.values():
            for name, shape in report.shapes.items():
                block, weight = name.split(".", 1)
                right &= tuple(shape) == local_shape(whole[weight], weight, mesh.mp)
                right &= int(block) * mesh.pp // problem.p["blocks"] == mesh.coordinates(rank)["pp"]
            held.append(sum(int(np.prod(shape)) for shape in report.shapes.values()))
    total = problem.p["blocks"] * sum(int(np.prod(shape)) for shape in whole.values())
    return {"pieces_right": bool(right), "held_at_most": max(held) / total}


def step_messages(problem: Problem, mesh: Mesh) -> dict[Message, int]:
    """The messages of one step of this problem, by traffic.py."""
    p = problem.p
    return messages(mesh, p["blocks"], p["hidden"], p["inner"], p["batch"] * p["length"], p["micro_batches"])


def of_formula(problem: Problem, mesh: Mesh) -> dict[str, int]:
    return {f"formula_{axis}": sent for axis, sent in expected(step_messages(problem, mesh), mesh).items()}


def of_traffic(
    reports: Reports, alone: Sequence[Mapping[Message | None, Counts]], problem: Problem, mesh: Mesh
) -> dict[str, float]:
    """What was counted, and its distance from the formula and what messages cost besides their numbers.

    Args:
        alone: of each rank, what came in while one message was sent along every line; None for no message at all.
    """
    step = step_messages(problem, mesh)
    nothing = by_axis([counts[None] for counts in alone], mesh)
    each = {message: by_axis([counts[message] for counts in alone], mesh)[message.axis] - nothing[message.axis]
            for message in alone[0] if message}  # fmt: skip
    formula, besides = expected(step, mesh), headers(step, each, mesh)
    sent = by_axis([report[MAIN].traffic or {} for report in reports], mesh)
    sent = {axis: count - nothing[axis] for axis, count in sent.items()}
    off = [abs(sent[axis] / (formula[axis] + besides[axis]) - 1) for axis in AXES if formula[axis]]
    found: dict[str, float] = {f"sent_{axis}": sent[axis] for axis in AXES}
    found |= {f"headers_{axis}": besides[axis] for axis in AXES}
    return found | {"traffic_error": max(off)}


def of_schedules(problem: Problem, mesh: Mesh) -> dict[str, float]:
    """What a stage keeps and for how long it is idle, by the order of work alone."""
    parts, found = problem.p["micro_batches"], {}
    for name, order in SCHEDULES.items():
        orders = [order(stage, mesh.pp, parts) for stage in range(mesh.pp)]
        found[f"kept_{name.replace('-', '_')}"] = max(map(in_flight, orders))
        if name == MAIN:
            found["bubble_planned"] = bubble(timeline(orders))
    return found | {"bubble_expected": expected_bubble(mesh.pp, parts)}


def of_times(reports: Reports, mesh: Mesh) -> dict[str, float]:
    return {
        "step_seconds": float(np.median(reports[0][MAIN].seconds[1:])),
        "bubble_measured": bubble(slots_of([report[MAIN].events for report in reports], mesh)),
    }


def slots_of(events: Sequence[Sequence[Event]], mesh: Mesh) -> list[Slot]:
    """The measured timeline: what the first rank of each stage computed in its last step."""
    return [
        Slot(Work(stage, number, kind), start, end)
        for stage in range(mesh.pp)
        for kind, number, start, end in events[mesh.ranks[stage, 0, 0]]
        if kind in ("F", "B")
    ]


def timelines(reports: Reports, mesh: Mesh, micro_batches: int) -> dict[str, list[Slot]]:
    """Of both schedules, as planned and as measured, for a picture."""
    found = {}
    for name, order in SCHEDULES.items():
        orders = [order(stage, mesh.pp, micro_batches) for stage in range(mesh.pp)]
        found[f"{name}, as planned"] = timeline(orders)
        found[f"{name}, measured"] = slots_of([report[name].events for report in reports], mesh)
    return found
