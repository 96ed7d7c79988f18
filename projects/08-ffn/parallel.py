"""Task 8-2: the feed-forward network in 3-D parallel, held against one process in float64.

    ./inv run --task 8-2 --hw cpu                                                    8 processes, 2 x 2 x 2
    ./inv run --task 8-2 --hw cpu --cards 4 --set pp=1 dp=2 mp=2 --set ...           any other mesh
    OMP_NUM_THREADS=1 ./inv python projects/kit/launch.py projects/08-ffn/parallel.py --part 8-2 --cards 8 --out DIR

Eight ranks train a chain of the network's blocks (ffn.py): half of them hold the first blocks and half the last
(pp), of these half see one half of each micro-batch and half the other (dp), and of these each holds half of every
weight (mp). Rank 0 also trains the whole alone, in float64 and in float32 (one_process.py). The first step's gradients
and all losses must be those of float64, but for what rounding does to the training in float32 as well.

problem.py has the weights and batches, mesh.py says who holds what, stage.py trains one stage with the automatic
parallel API and explicit.py with its collectives written out, boundary.py carries activations between stages,
schedule.py orders the micro-batches, routes.py runs it all, traffic.py counts what is sent.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
import measures
from hybrid.boundary import suitable_here
from hybrid.mesh import Mesh, MeshError
from hybrid.ranks import everyone_s
from hybrid.schedule import SCHEDULES
from hybrid.stage import is_custom
from measures import Report
from one_process import Trained, in_float32, in_float64
from pieces import local_shape
from problem import Problem
from routes import Rank
from traffic import Counts, Message, counted, short

ROUTES = ("1f1b", "f-then-b", "explicit")


@dataclass(frozen=True)
class Alone:
    """What one process came to: in float64; and in float32 its losses, and how far rounding took it from float64."""

    exact: Trained
    losses: np.ndarray
    rounding: dict[str, float]


def train_alone(path: Path, own: Rank) -> Alone:
    """Rank 0 trains, the others wait and read what it found for their own blocks."""
    problem = own.problem
    if own.rank == 0:
        exact, kinks = in_float64(problem)
        plain = in_float32(problem)
        arrays = {f"gradient {name}": value for name, value in exact.gradients.items()}
        arrays |= {f"weight {name}": value for name, value in exact.weights.items()}
        np.savez(path, exact=exact.losses, plain=plain.losses, kinks=kinks, **plain.errors(exact), **arrays)
        print(f"one process alone: loss {plain.losses[0]:.6f} → {plain.losses[-1]:.6f} in {len(plain.losses)} steps")
    dist.barrier()
    names = [f"{block}.{name}" for name in problem.weights(0) for block in own.blocks]
    with np.load(path) as file:
        gradients, weights = ({name: file[f"{kind} {name}"] for name in names} for kind in ("gradient", "weight"))
        rounding = {name: float(file[name]) for name in ("loss", "gradient", "weight", "kinks")}
        return Alone(Trained(file["exact"], gradients, weights), file["plain"], rounding)


def train_by_all_routes(own: Rank, alone: Alone, counting: bool) -> dict[str, Report]:
    """What this rank has to say of each."""
    reports = {}
    for name in ROUTES:
        stage = own.stage("explicit" if name == "explicit" else own.collectives)
        schedule = name if name in SCHEDULES else "1f1b"
        reports[name] = own.train(stage, schedule, alone.exact, counting and name == measures.MAIN)
    if own.p["fleet"]:
        import fleet_route  # importing it takes a second

        reports["fleet"] = fleet_route.train(own, alone.exact)
    for name, report in reports.items():
        first, last, pace = report.losses[0], report.losses[-1], np.median(report.seconds)
        print(f"{name} on {own.mesh.size} ranks: loss {first:.6f} → {last:.6f}, {pace:.3f} s a step")
    return reports


def send_alone(own: Rank) -> dict[Message | None, Counts]:
    """What comes in while each kind of message is sent by itself, and (None) while nothing is."""
    kinds = sorted({short(message) for message in measures.step_messages(own.problem, own.mesh)}, key=str)
    counts = counted(lambda: None, *(partial(own.send_alone, message) for message in kinds))
    return dict(zip([None, *kinds], counts, strict=True))


def measure(own: Rank, alone: Alone, counting: bool) -> tuple[dict[str, Any], measures.Reports]:
    """Train by all routes: the metrics, and what the ranks say of each route. The same on all ranks."""
    mesh, problem = own.mesh, own.problem
    reports: Sequence[dict[str, Report]] = everyone_s(train_by_all_routes(own, alone, counting))
    found: dict[str, Any] = {"boundary": own.boundary.name, "collectives": own.collectives}
    found |= {f"{name}_rounding": value for name, value in alone.rounding.items() if name != "kinks"}
    found |= {"gradient_kinks": alone.rounding["kinks"], **measures.of_errors(reports)}
    found |= measures.of_pieces(reports, problem, mesh) | measures.of_schedules(problem, mesh)
    found |= measures.of_times(reports, mesh) | measures.of_formula(problem, mesh)
    if counting:
        found |= measures.of_traffic(reports, everyone_s(send_alone(own)), problem, mesh)
    return found, reports


def main() -> None:
    program = kit.start(__file__, __doc__)
    p, rank = program.parameters, program.rank
    mesh, problem = Mesh(pp=p["pp"], dp=p["dp"], mp=p["mp"]), Problem(p, program.seed)
    mesh.check(program.processes, p["blocks"], p["inner"], p["batch"], p["micro_batches"])
    refuse_what_the_device_lacks(p)
    dist.init_parallel_env()
    own = Rank(problem, mesh, rank)
    print(f"rank {rank} of {mesh.size}: " + ", ".join(f"{axis} {place}" for axis, place in own.at.items()))
    alone = train_alone(program.artefact("one-process.npz"), own)
    found, reports = measure(own, alone, counting=program.device == "cpu")
    program.used(*own.used)
    if rank == 0:
        show(program, problem, mesh, reports)
        for name, value in found.items():
            program.metric(name, value)
        losses = reports[0][measures.MAIN].losses
        program.trace(loss=np.float32(losses), loss_alone=np.float32(alone.losses), loss_exact=alone.exact.losses)
    program.finish()


def refuse_what_the_device_lacks(p: dict[str, Any]) -> None:
    """Before anything starts; boundary.py and explicit.py say why."""
    device = paddle.get_device()
    if p["fleet"] and device == "cpu":
        kit.refuse("fleet does not run on the CPU.", "gloo mixes up the groups that it makes.", "Leave fleet=true out.")
    if p["boundary"] == "reshard" and suitable_here(device) != "reshard":
        kit.refuse(f"boundary=reshard: {device} has no kernel that sends.", "", "boundary=auto takes what it has.")
    if p["collectives"] == "reshard" and is_custom(device):
        kit.refuse(f"collectives=reshard: Paddle refuses them on {device}.", "", "collectives=auto takes what it has.")


def show(program: kit.Program, problem: Problem, mesh: Mesh, reports: measures.Reports) -> None:
    """Pictures, and a table of pieces."""
    from pictures import draw_mesh, draw_timelines  # here, as the other ranks need no matplotlib

    p = problem.p
    draw_mesh(program.artefact("mesh.png"), mesh, p["blocks"], p["batch"] // p["micro_batches"], p["inner"])
    draw_timelines(program.artefact("timeline.png"), measures.timelines(reports, mesh, p["micro_batches"]))
    print("pieces of the weights of block 0, and what a rank holds of each:")
    for name, value in problem.weights(0).items():
        print(f"  {name:12} {value.shape!s:12} {local_shape(value.shape, name, mesh.mp)}")


if __name__ == "__main__":
    kit.main(main, MeshError)
