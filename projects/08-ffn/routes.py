"""One rank's part of the training, by each route: the schedules, the collectives by the API or written out."""

import time
from functools import partial
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
from explicit import ExplicitFFNStage
from hybrid.boundary import BOUNDARIES, LAYOUT, suitable_here
from hybrid.mesh import AXES, Mesh
from hybrid.ranks import everyone_s, groups
from hybrid.schedule import SCHEDULES, actions
from hybrid.stage import Event, Stage, is_custom
from measures import Report
from one_process import Named, Trained, make_blocks
from paddle.distributed.auto_parallel.api import dtensor_from_local
from pieces import piece
from problem import Problem, Step
from stage import FFNStage
from traffic import Message, counted


class Rank:
    """This rank among all: its place, its groups, its neighbours, and how it trains."""

    def __init__(self, problem: Problem, mesh: Mesh, rank: int) -> None:
        self.problem, self.p, self.mesh, self.rank, self.at = problem, problem.p, mesh, rank, mesh.coordinates(rank)
        world = dist.ProcessMesh(mesh.ranks, dim_names=list(AXES))
        self.stages = [world[stage] for stage in range(mesh.pp)]  # each a (dp, mp) mesh
        kind = self.p["boundary"]
        if kind == "auto":
            kind = suitable_here(paddle.get_device())
        self.groups = groups(mesh, rank)
        shape = [self.p["batch"] // self.p["micro_batches"], self.p["length"], self.p["hidden"]]
        self.boundary = BOUNDARIES[kind](mesh, rank, self.stages, shape)
        automatic = "explicit" if is_custom(paddle.get_device()) else "reshard"
        self.collectives = automatic if self.p["collectives"] == "auto" else self.p["collectives"]
        each = self.p["blocks"] // mesh.pp
        self.used: list[paddle.Tensor] = []  # the weights of all that was trained
        self.blocks = range(self.at["pp"] * each, (self.at["pp"] + 1) * each)

    def stage(self, collectives: str) -> Stage:
        """This rank's blocks, with their first weights."""
        own = make_blocks(self.problem, self.blocks), self.stages[self.at["pp"]], self.p["learning_rate"]
        return ExplicitFFNStage(*own, self.groups) if collectives == "explicit" else FFNStage(*own)

    def train(self, stage: Stage, schedule: str, exact: Trained, counting: bool = False) -> Report:
        """All steps, held against those in float64; what is sent in the last one is counted if `counting`."""
        parts, mesh = self.p["micro_batches"], self.mesh
        todo = actions(SCHEDULES[schedule](self.at["pp"], mesh.pp, parts), mesh.pp)
        losses: list[float] = []
        seconds: list[float] = []
        happened: list[Event] = []
        traffic = None

        def step(whole: Step) -> None:
            started = time.perf_counter()
            loss, happened[:] = stage.step(todo, *(np.split(each, parts) for each in whole), self.boundary)
            seconds.append(time.perf_counter() - started)
            losses.append(loss)

        for number, whole in enumerate(self.problem.steps(), start=1):
            if counting and number == self.p["steps"]:
                (traffic,) = counted(partial(step, whole))
            else:
                step(whole)
            if number == 1:
                gradients = self.named(stage.first_gradients())
        weights = stage.weights()
        self.used += weights.values()
        losses = everyone_s(losses)[mesh.ranks[-1, 0, 0]]  # the last stage knows them
        trained = Trained(np.array(losses), gradients, self.named({n: each.numpy() for n, each in weights.items()}))
        return self.report(trained, exact, happened, seconds, traffic)

    def report(self, trained: Trained, exact: Trained, *times_and_traffic: Any) -> Report:
        """What this rank has to say of a training by its pieces."""
        own = Trained(exact.losses, self.pieces(exact.gradients), self.pieces(exact.weights))
        shapes = {name: value.shape for name, value in trained.weights.items()}
        return Report(trained.losses.tolist(), trained.errors(own), shapes, *times_and_traffic)

    def pieces(self, whole: Named) -> Named:
        """This rank's pieces of whole weights, or of their gradients: "3.up.weight"."""
        return {
            name: piece(value, name.partition(".")[2], self.mesh.mp, self.at["mp"])
            for name, value in whole.items()
            if int(name.partition(".")[0]) in self.blocks
        }

    def send_alone(self, message: Message) -> None:
        """One such message along every line of the mesh, and nothing else."""
        if message.axis != "pp":
            dist.all_reduce(paddle.zeros([message.numbers]), group=self.groups[message.axis])
            return
        stage, boundary = self.at["pp"], self.boundary.of_shape([self.mesh.dp, 1, message.numbers])
        if stage > 0:
            boundary.receive(stage - 1)
        if stage < self.mesh.pp - 1:
            local = paddle.zeros([1, 1, message.numbers])
            boundary.send(dtensor_from_local(local, self.stages[stage], LAYOUT), stage + 1)

    def named(self, own: Named) -> Named:
        """By the block's number in the chain, not in this stage."""
        first = self.blocks.start
        return {f"{first + int(name.partition('.')[0])}.{name.partition('.')[2]}": value for name, value in own.items()}
