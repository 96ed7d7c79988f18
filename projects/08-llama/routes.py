"""One rank's part of the training: by `dist.parallelize`, and with the collectives written out."""

from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
from hybrid.boundary import BOUNDARIES, suitable_here
from hybrid.mesh import AXES, Mesh
from hybrid.ranks import everyone_s, groups
from hybrid.schedule import actions, one_f_one_b
from hybrid.stage import Stage, is_custom
from llama import FirstWeights, Llama, Sizes, constants, fill, plan, section
from memory import Memory
from problem import Steps
from stage import ExplicitLlamaStage, ParallelizedStage, replicated


class Rank:
    """This rank among all: its place, its groups, and how it trains."""

    def __init__(self, p: dict[str, Any], mesh: Mesh, rank: int, sizes: Sizes, weights: FirstWeights) -> None:
        self.p, self.mesh, self.sizes, self.weights = p, mesh, sizes, weights
        self.rank, self.at = rank, mesh.coordinates(rank)
        world = dist.ProcessMesh(mesh.ranks, dim_names=list(AXES))
        self.stages = [world[stage] for stage in range(mesh.pp)]  # each a (dp, mp) mesh
        self.own_mesh = self.stages[self.at["pp"]]
        self.held = section(sizes, self.at["pp"], mesh.pp)
        self.groups = groups(mesh, self.rank)
        kind = suitable_here(paddle.get_device())
        self.boundary = BOUNDARIES[kind](mesh, self.rank, self.stages, self.activation(self.p["micro_batches"]))
        reduces = has_reduce_scatter(paddle.get_device(), paddle.base.core._get_all_register_op_kernels("phi"))
        shards = self.p["sharding"] > 0 and mesh.dp > 1
        self.route = "explicit" if is_custom(paddle.get_device()) or (shards and not reduces) else "dist.parallelize"

    def activation(self, micro_batches: int) -> list[int]:
        """The shape of what goes from stage to stage."""
        return [self.p["batch"] // micro_batches, self.p["length"], self.p["hidden"]]

    def stage(self) -> Stage:
        """This rank's stage as the parameters ask for it."""
        make = self.explicit if self.route == "explicit" else self.parallelized
        return make(self.p["sharding"], self.p["recompute"])

    def parallelized(self, sharding: int, recomputing: bool) -> ParallelizedStage:
        """This rank's stage by `dist.parallelize`."""
        if self.p["model"] == "paddlenlp":
            from paddlenlp_llama import PaddleNLPLlama

            network = PaddleNLPLlama(self.sizes, self.held, self.p["length"], self.mesh.mp)
            how = network.plan
        else:
            given = replicated(constants(self.p["length"], self.sizes.hidden // self.sizes.heads), self.own_mesh)
            network, how = Llama(self.sizes, self.held, given, recomputing), plan(dist)
        fill(network, self.held, self.weights)
        return ParallelizedStage(network, self.held, how, self.own_mesh, self.p["learning_rate"], sharding)

    def explicit(self, sharding: int, recomputing: bool) -> ExplicitLlamaStage:
        """The same with the collectives written out."""
        given = constants(self.p["length"], self.sizes.hidden // self.sizes.heads)
        network = Llama(self.sizes, self.held, {n: paddle.to_tensor(v) for n, v in given.items()}, recomputing)
        return ExplicitLlamaStage(network, self.weights, self.own_mesh, self.p["learning_rate"], sharding, self.groups)

    def train(self, stage: Stage, steps: Steps, micro_batches: int, memory: Memory | None = None) -> list[float]:
        """The losses of all steps, on every rank. The peak of memory is that of the last step."""
        todo = actions(one_f_one_b(self.at["pp"], self.mesh.pp, micro_batches), self.mesh.pp)
        boundary, losses = self.boundary.of_shape(self.activation(micro_batches)), []
        for number, step in enumerate(steps):
            if memory and number == len(steps) - 1:
                memory.forget_peak()
            parts = (np.split(whole, micro_batches) for whole in step)
            losses.append(stage.step(todo, *parts, boundary)[0])
        return everyone_s(losses)[self.mesh.ranks[-1, 0, 0]]  # the last stage knows them


def has_reduce_scatter(device: str, kernels: Any) -> bool:
    """Whether Paddle can sum and share out in one: `dist.parallelize` shards with it. The CPU's kernel only raises."""
    kind = device.partition(":")[0]
    return any(f"place[Place({kind}:0)]" in line for line in kernels.get("reduce_scatter", ()))
