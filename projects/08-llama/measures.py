"""The metrics of 8-3, from what all ranks report."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import memory_plan
import numpy as np
from hybrid.mesh import Mesh
from llama import Sizes, cut_axis, shapes
from memory import Memory
from memory_plan import Bytes, Llama, Run, Setting
from problem import Steps
from routes import Rank

# What is measured: sharding, recomputing, and how many of the micro-batches asked for are made one.
MEASURED = ((0, False, 1), (0, True, 1), (1, False, 1), (2, True, 2), (3, False, 2))


@dataclass(frozen=True)
class Case:
    """One setting on one rank: what was planned for it, and what it came to."""

    setting: Setting
    micro_batch: int
    losses: list[float]
    planned: Bytes
    states: dict[str, int]  # bytes of parameters, gradients and optimiser
    peak: int

    @property
    def off(self) -> float:
        return self.planned.total / self.peak - 1


@dataclass(frozen=True)
class Report:
    """What one rank has to say."""

    shapes: Mapping[str, list[int]]  # of its pieces
    cases: Sequence[Case]


def measured(rank: Rank, model: Llama, steps: Steps) -> list[Case]:
    """Train two steps in each setting, with the collectives written out, and measure the second one's memory."""
    p, mesh, found = rank.p, rank.mesh, []
    for sharding, recomputing, larger in MEASURED:
        count = max(1, p["micro_batches"] // larger)
        gc.collect()  # stages refer to themselves
        print(f"measuring: sharding {sharding}, {'' if recomputing else 'not '}recomputing, {count} micro-batches")
        memory = Memory()
        own = rank.explicit(sharding, recomputing)
        losses = rank.train(own, steps[:2], count, memory)
        setting = Setting(mesh.size, mesh.dp, mesh.mp, mesh.pp, own.optimiser.level, recomputing)
        run = Run.of_this_program(p["length"], p["batch"] // (count * p["dp"]), count)
        planned = memory_plan.of_stage(model, run, setting, rank.at["pp"])
        found.append(Case(setting, run.micro_batch, losses, planned, own.states, memory.peak()))
        del own
    return found


def of_pieces(reports: Sequence[Report], sizes: Sizes, mesh: Mesh) -> dict[str, Any]:
    """Is every weight really split, and every piece where it should be?"""
    whole, right, held = shapes(sizes), True, []
    for rank, report in enumerate(reports):
        for name, shape in report.shapes.items():
            cut = cut_axis(name)
            right &= list(shape) == [n // mesh.mp if axis == cut else n for axis, n in enumerate(whole[name])]
            if ".layers." in name:
                right &= int(name.split(".")[2]) * mesh.pp // sizes.layers == mesh.coordinates(rank)["pp"]
        held.append(sum(int(np.prod(shape)) for shape in report.shapes.values()))
    return {"pieces_right": bool(right), "held_at_most": max(held) / sum(int(np.prod(n)) for n in whole.values())}


def of_losses(losses: list[float], cases: Sequence[Case], alone: Mapping[str, list[float]]) -> dict[str, float]:
    """The losses, and where one process trained too, their distance from those of float64."""
    found = {"first_loss": losses[0], "last_loss": losses[-1]}
    if alone:
        exact = alone["float64"]
        found |= {"loss_rounding": worst(alone["float32"], exact), "loss_difference": worst(losses, exact)}
        if cases:
            found["loss_difference_explicit"] = max(worst(case.losses, exact) for case in cases)
    return found


def worst(losses: list[float], exact: list[float]) -> float:
    """The largest relative difference of a step's loss; the first may be fewer."""
    return max(abs(found / expected - 1) for found, expected in zip(losses, exact, strict=False))


def of_memory(reports: Sequence[Report]) -> dict[str, float]:
    """The plan's largest relative error: of the peak, and of weights, gradients and moments."""
    cases = [case for report in reports for case in report.cases]
    states = [getattr(case.planned, name) / size - 1 for case in cases for name, size in case.states.items()]
    return {"planner_error": max(abs(case.off) for case in cases), "planner_error_states": max(map(abs, states))}


def memory_table(reports: Sequence[Report]) -> list[str]:
    """Lines for a person, the worst rank's for each setting."""
    words = f"{'sharding':>8}{'recompute':>11}{'micro-batch':>13}{'planned':>10}{'measured':>10}{'off':>8}"
    lines = ["the plan against memory measured, worst rank of each setting:", words]
    for cases in zip(*(report.cases for report in reports), strict=True):
        case = max(cases, key=lambda each: abs(each.off))
        lines.append(
            f"{case.setting.sharding:>8}{'yes' if case.setting.recompute else 'no':>11}{case.micro_batch:>13}"
            f"{case.planned.total / 2**20:>6.2f} MiB{case.peak / 2**20:>6.2f} MiB{case.off:>+8.1%}"
        )
    return lines
