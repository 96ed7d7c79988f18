"""One stage of the chain on its (dp, mp) mesh, by Paddle's automatic parallel API."""

from collections.abc import Callable, Sequence

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from ffn import FFN
from hybrid.stage import Stage, shard
from paddle import nn
from paddle.distributed.auto_parallel.api import dtensor_from_local, dtensor_to_local
from pieces import CUT_BY_MP


def shard_weights(name: str, layer: nn.Layer, mesh: dist.ProcessMesh) -> None:
    """For `dist.shard_layer`: lay the weights of one layer of a block ("2.up") out as CUT_BY_MP says."""
    for weight, parameter in list(layer.named_parameters(include_sublayers=False)):
        cut = CUT_BY_MP[f"{name.rpartition('.')[2]}.{weight}"]
        placements = [dist.Replicate(), dist.Replicate() if cut is None else dist.Shard(cut)]
        layer.add_parameter(weight, shard(parameter, mesh, placements))


def on_pieces(function: Callable[[paddle.Tensor], paddle.Tensor]) -> Callable[[paddle.Tensor], paddle.Tensor]:
    """An elementwise function that works on each rank's own piece.

    Paddle 3.0.0 has no sharding rule for gelu: it gathers the whole input on every rank first. Counted as traffic.py
    does, that sends five times as much along mp and dp as the network needs, and custom devices refuse it.
    """

    def apply(x: paddle.Tensor) -> paddle.Tensor:
        mesh, placements = x.process_mesh, x.placements
        return dtensor_from_local(function(dtensor_to_local(x, mesh, placements)), mesh, placements)

    return apply


class FFNStage(Stage):
    """The blocks of one stage, with their optimiser; weights are named "0.up.weight", from 0 in every stage."""

    def __init__(self, blocks: Sequence[FFN], mesh: dist.ProcessMesh, learning_rate: float) -> None:
        self.mesh = mesh
        for block in blocks:
            block.activation = on_pieces(block.activation)
        self.network = dist.shard_layer(nn.Sequential(*blocks), mesh, shard_weights)
        optimiser = paddle.optimizer.AdamW(learning_rate, parameters=self.network.parameters(), weight_decay=0.01)
        self.optimiser = dist.shard_optimizer(optimiser)

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        """A micro-batch's part of the loss: to go backward from, and as a number."""
        loss = F.mse_loss(output, self.place(answers)) / micro_batches
        loss = dist.reshard(loss, self.mesh, [dist.Replicate(), dist.Replicate()])
        return loss, loss._local_value().item()
