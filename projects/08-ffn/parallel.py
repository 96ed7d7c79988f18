"""Task 8-2: the feed-forward network in 3-D parallel, proven equal to one process.

    ./inv run --task 8-2 --hw cpu                                                    8 processes, 2 x 2 x 2
    ./inv run --task 8-2 --hw cpu --cards 4 --set pp=1 dp=2 mp=2 --set ...           any other mesh
    OMP_NUM_THREADS=1 python projects/kit/launch.py projects/08-ffn/parallel.py --part 8-2 --cards 8 --out DIR

Eight ranks train a chain of the network's blocks (ffn.py): half of them hold the first blocks and half the last
(pp), of these half see one half of each micro-batch and half the other (dp), and of these each holds half of every
weight (mp). Rank 0 also trains the whole alone. Both must come to the same losses and the same weights.

mesh.py says who holds what, stage.py trains one stage with the automatic parallel API, boundary.py carries
activations between stages, schedule.py orders the micro-batches, traffic.py counts what is sent.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from boundary import BOUNDARIES, suitable
from explicit import ExplicitStage, groups
from ffn import FFN, initialise
from mesh import AXES, Mesh, MeshError, local_shape, piece
from paddle import nn
from reference import relative_error
from schedule import SCHEDULES, Slot, Work, actions, bubble, expected_bubble, in_flight, timeline
from stage import Stage, is_custom
from traffic import by_axis, expected, received

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit
from kit.arguments import refuse

Steps = Sequence[tuple[np.ndarray, np.ndarray]]  # batch and answers of each step, (batch, length, hidden)
Weights = list[dict[str, np.ndarray]]  # of each block


def make_blocks(p: dict[str, Any], weights: Weights) -> list[FFN]:
    """New blocks with these weights."""
    blocks = [FFN(p["hidden"], p["inner"], p["activation"]) for _ in weights]
    for block, values in zip(blocks, weights, strict=True):
        block.set_state_dict(values)
    return blocks


def draw(p: dict[str, Any], seed: int) -> tuple[Weights, Steps]:
    """First weights, and batches with the answers of a teacher: every rank draws the same."""
    numbers = np.random.default_rng(seed)
    block, weights = FFN(p["hidden"], p["inner"], p["activation"]), []
    for gain in [1.0] * p["blocks"] + [2.0]:
        initialise(block, numbers, gain)
        weights.append({name: weight.numpy().copy() for name, weight in block.named_parameters()})
    teacher, steps = block, []  # the last one drawn
    for _ in range(p["steps"]):
        x = numbers.normal(size=(p["batch"], p["length"], p["hidden"])).astype("float32")
        with paddle.no_grad():
            steps.append((x, teacher(paddle.to_tensor(x)).numpy()))
    return weights[:-1], steps


def train_alone(p: dict[str, Any], weights: Weights, steps: Steps) -> tuple[list[float], dict[str, np.ndarray]]:
    """One process, no parallelism, no micro-batches: the losses and the final weights, "3.up.weight"."""
    network = nn.Sequential(*make_blocks(p, weights))
    optimiser = paddle.optimizer.AdamW(p["learning_rate"], parameters=network.parameters(), weight_decay=0.01)
    losses = []
    for batch, answers in steps:
        loss = F.mse_loss(network(paddle.to_tensor(batch)), paddle.to_tensor(answers))
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())
    return losses, {name: weight.numpy() for name, weight in network.named_parameters()}


def everyone_s(thing: Any) -> list[Any]:
    """What each rank has to say, on every rank, in the order of ranks."""
    things: list[Any] = []
    dist.all_gather_object(things, thing)
    return things


def slots_of(events: list[list[Any]], mesh: Mesh) -> list[Slot]:
    """The measured timeline: what the first rank of each stage computed in its last step."""
    return [
        Slot(Work(stage, number, kind), start, end)
        for stage in range(mesh.pp)
        for kind, number, start, end in events[mesh.ranks[stage, 0, 0]]
        if kind in ("F", "B")
    ]


def main() -> None:
    program = kit.start(__file__, __doc__)
    p, rank = program.parameters, program.rank
    mesh = Mesh(pp=p["pp"], dp=p["dp"], mp=p["mp"])
    try:
        mesh.check(program.processes, p["blocks"], p["inner"], p["batch"], p["micro_batches"])
    except MeshError as error:
        refuse(f"{error}; see --set pp=… dp=… mp=… and --cards")
    if p["fleet"] and program.device == "cpu":
        refuse("fleet does not run on the CPU: gloo mixes up the groups that it makes; leave --set fleet=true out")
    dist.init_parallel_env()
    device, at = paddle.get_device(), mesh.coordinates(rank)
    print(f"rank {rank} of {mesh.size}: " + ", ".join(f"{axis} {place}" for axis, place in at.items()))

    # 1. One process alone: what all others are held against. It needs none of the parallel machinery.
    weights, steps = draw(p, program.seed)
    alone_file = program.artefact("one-process.npz")
    if rank == 0:
        losses, final = train_alone(p, weights, steps)
        np.savez(alone_file, losses=losses, **final)
        print(f"one process alone: loss {losses[0]:.6f} → {losses[-1]:.6f} in {len(losses)} steps")
    dist.barrier()
    with np.load(alone_file) as file:
        alone = dict(file)

    def errors(losses: Sequence[float], pieces: dict[str, np.ndarray]) -> tuple[float, float]:
        """The largest relative difference of a loss from that of one process, and of a weight's piece (L2)."""
        of_losses = float(np.max(np.abs(np.array(losses) / alone["losses"] - 1)))
        wholes = {name: piece(alone[name], name.partition(".")[2], mesh.mp, at["mp"]) for name in pieces}
        return of_losses, max(relative_error(found, wholes[name]) for name, found in pieces.items())

    # 2. Eight ranks by the automatic parallel API, once with each schedule.
    world = dist.ProcessMesh(mesh.ranks, dim_names=list(AXES))
    stages = [world[stage] for stage in range(mesh.pp)]  # each a (dp, mp) mesh
    kind = p["boundary"]
    if kind == "auto":
        kind = suitable(device, paddle.base.core._get_all_register_op_kernels("phi"))
    automatic = "explicit" if is_custom(device) else "reshard"
    collectives = automatic if p["collectives"] == "auto" else p["collectives"]
    own_groups = groups(mesh, rank)
    boundary = BOUNDARIES[kind](mesh, rank, stages, [p["batch"] // p["micro_batches"], p["length"], p["hidden"]])
    per_stage = p["blocks"] // mesh.pp
    first = at["pp"] * per_stage
    report: dict[str, Any] = {}  # what this rank has to say of each route
    routes = {"f-then-b": ("f-then-b", collectives), "1f1b": ("1f1b", collectives), "explicit": ("1f1b", "explicit")}
    for name, (schedule, how) in routes.items():
        own = make_blocks(p, weights)[first : first + per_stage], stages[at["pp"]], p["learning_rate"]
        stage = ExplicitStage(*own, own_groups) if how == "explicit" else Stage(*own)
        todo = actions(SCHEDULES[schedule](at["pp"], mesh.pp, p["micro_batches"]), mesh.pp)
        losses, seconds, before = [], [], {}
        for number, (batch, answers) in enumerate(steps):
            if number == 1:  # the first step makes the connections
                before = received()
            started = time.perf_counter()
            loss, events = stage.step(
                todo, *(np.split(whole, p["micro_batches"]) for whole in (batch, answers)), boundary
            )
            losses.append(loss)
            seconds.append(time.perf_counter() - started)
        after = received()
        pieces = {f"{first + int(name.split('.')[0])}.{name.partition('.')[2]}": value
                  for name, value in stage.pieces().items()}  # fmt: skip
        losses = everyone_s(losses)[mesh.ranks[-1, 0, 0]]  # the last stage knows them
        report[name] = {
            "losses": losses,
            "errors": errors(losses, pieces),
            "events": events,
            "seconds": seconds,
            "traffic": {ends: count - before.get(ends, 0) for ends, count in after.items()},
            "shapes": {weight: value.shape for weight, value in pieces.items()},
            "held": sum(value.size for value in pieces.values()),
        }
        print(
            f"{name} on {mesh.size} ranks: loss {losses[0]:.6f} → {losses[-1]:.6f}, {np.median(seconds):.3f} s a step"
        )
        program.used(*stage.weights().values())

    # 3. The same once more by another implementation, where that is asked for.
    if p["fleet"]:
        from fleet_route import train

        arguments = weights, p["activation"], p["learning_rate"], p["micro_batches"], steps
        fleet_losses, fleet_pieces = train(mesh, rank, *arguments)
        fleet_losses = np.mean(everyone_s(fleet_losses), axis=0).tolist()  # of all shares
        report["fleet"] = errors(fleet_losses, fleet_pieces)
        print(f"fleet on {mesh.size} ranks: loss {fleet_losses[0]:.6f} → {fleet_losses[-1]:.6f}")

    # 4. What all ranks found, judged in one place.
    everyone = everyone_s(report)
    if rank == 0:
        program.metric("boundary", boundary.name)
        program.metric("collectives", collectives)
        summarise(program, mesh, weights, everyone, alone["losses"])
    program.finish()


def summarise(
    program: kit.Program, mesh: Mesh, weights: Weights, everyone: list[dict[str, Any]], alone: np.ndarray
) -> None:
    """Write the metrics, the trace and the pictures from the reports of all ranks."""
    from pictures import draw_mesh, draw_timelines  # here, as the other ranks need no matplotlib

    p, micro_batches = program.parameters, program.parameters["micro_batches"]
    of = {name: [report[name] for report in everyone] for name in SCHEDULES}
    main_route = of["1f1b"]
    for route in ("1f1b", "f-then-b", "explicit"):
        suffix = route.replace("-", "_")
        program.metric(f"loss_error_{suffix}", max(report[route]["errors"][0] for report in everyone))
        program.metric(f"weight_error_{suffix}", max(report[route]["errors"][1] for report in everyone))

    # Is every weight really split, and every piece where it should be?
    print("pieces of the weights of block 0, and what a rank holds of each:")
    right = True
    for rank, report in enumerate(main_route):
        for name, shape in report["shapes"].items():
            block, weight = name.split(".", 1)
            right &= tuple(shape) == local_shape(weights[int(block)][weight].shape, weight, mesh.mp)
            right &= int(block) * mesh.pp // p["blocks"] == mesh.coordinates(rank)["pp"]
    for weight, value in weights[0].items():
        print(f"  {weight:12} {value.shape!s:12} {local_shape(value.shape, weight, mesh.mp)}")
    total = sum(value.size for block in weights for value in block.values())
    program.metric("pieces_right", bool(right))
    program.metric("held_at_most", max(report["held"] for report in main_route) / total)

    for name in SCHEDULES:
        orders = [SCHEDULES[name](stage, mesh.pp, micro_batches) for stage in range(mesh.pp)]
        program.metric(f"kept_{name.replace('-', '_')}", max(map(in_flight, orders)))
    if "fleet" in everyone[0]:
        program.metric("loss_error_fleet", max(report["fleet"][0] for report in everyone))
        program.metric("weight_error_fleet", max(report["fleet"][1] for report in everyone))
    program.metric("step_seconds", np.median(main_route[0]["seconds"][1:]))

    # How much was sent, and for how long were stages idle?
    tokens = p["batch"] * p["length"]
    formula = expected(mesh, p["blocks"], p["hidden"], p["inner"], tokens, micro_batches)
    for axis, number in formula.items():
        program.metric(f"formula_{axis}", int(number))
    if program.device == "cpu":
        counted = by_axis([report["traffic"] for report in main_route], mesh)
        per_step = {axis: count / (p["steps"] - 1) for axis, count in counted.items()}
        for axis, number in per_step.items():
            program.metric(f"sent_{axis}", int(number))
        program.metric("traffic_error", max(abs(per_step[axis] / formula[axis] - 1) for axis in AXES if formula[axis]))
    timelines = {}
    for name, reports in of.items():
        orders = [SCHEDULES[name](stage, mesh.pp, micro_batches) for stage in range(mesh.pp)]
        timelines[f"{name}, as planned"] = timeline(orders)
        timelines[f"{name}, measured"] = slots_of([report["events"] for report in reports], mesh)
    program.metric("bubble_planned", bubble(timelines["1f1b, as planned"]))
    program.metric("bubble_expected", expected_bubble(mesh.pp, micro_batches))
    program.metric("bubble_measured", bubble(timelines["1f1b, measured"]))
    draw_mesh(program.artefact("mesh.png"), mesh, p["blocks"], p["batch"] // micro_batches, p["inner"])
    draw_timelines(program.artefact("timeline.png"), timelines)
    program.trace(loss=main_route[0]["losses"], loss_alone=alone)


if __name__ == "__main__":
    main()
