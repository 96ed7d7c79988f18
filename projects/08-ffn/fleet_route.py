"""The same training by Paddle's other, older way to 3-D parallelism: `fleet` with its pipeline and parallel layers.

The layers, the pipeline and the collectives are fleet's own. The first weights, the data, the loss and the cutting of
weights into pieces (mesh.py) are those of the other routes: an error in these it would not find. It does not run on
the CPU: there `fleet.init` ends in connections that gloo refuses. On simulated cards it runs with mp=1; with more,
its first broadcast along dp fails.
"""

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from ffn import ACTIVATIONS
from mesh import Mesh, piece
from paddle import nn
from paddle.distributed import fleet
from paddle.distributed.fleet.meta_parallel import (
    ColumnParallelLinear,
    LayerDesc,
    PipelineLayer,
    RowParallelLinear,
)

ORDER = ["pp", "dp", "sharding", "sep", "mp"]  # so that a rank stands where it does in mesh.py


class Block(nn.Layer):
    """The network of ffn.py with fleet's layers: the first cut by columns, the second by rows."""

    def __init__(self, hidden: int, inner: int, activation: str) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden, epsilon=1e-5)
        self.up = ColumnParallelLinear(hidden, inner, has_bias=True, gather_output=False)
        self.down = RowParallelLinear(inner, hidden, has_bias=True, input_is_parallel=True)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.down(self.activation(self.up(self.norm(x))))


def train(
    mesh: Mesh,
    rank: int,
    weights: Sequence[dict[str, np.ndarray]],
    activation: str,
    learning_rate: float,
    micro_batches: int,
    steps: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[list[float], dict[str, np.ndarray]]:
    """Train with 1F1B.

    Args:
        weights: of each block, whole, at the start.
        steps: batch and answers, whole, each (sequences, length, hidden).

    Returns:
        The losses of this share of dp, and this rank's pieces of the final weights: "3.up.weight".
    """
    strategy = fleet.DistributedStrategy()
    strategy.hybrid_configs = {"dp_degree": mesh.dp, "mp_degree": mesh.mp, "pp_degree": mesh.pp, "order": ORDER}
    share = steps[0][0].shape[0] // mesh.dp
    strategy.pipeline_configs = {"accumulate_steps": micro_batches, "micro_batch_size": share // micro_batches}
    fleet.init(is_collective=True, strategy=strategy)
    at = mesh.coordinates(rank)

    hidden, inner = weights[0]["up.weight"].shape
    topology = fleet.get_hybrid_communicate_group().topology()
    blocks = [LayerDesc(Block, hidden, inner, activation) for _ in weights]
    network = PipelineLayer(layers=blocks, num_stages=mesh.pp, loss_fn=F.mse_loss, topology=topology)
    first = at["pp"] * len(weights) // mesh.pp  # fleet shares the blocks out evenly, as mesh.py does
    own = [layer for layer in network.run_function if isinstance(layer, Block)]
    for number, block in enumerate(own, start=first):
        for name, parameter in block.named_parameters():
            parameter.set_value(piece(weights[number][name], name, mesh.mp, at["mp"]))
    model = fleet.distributed_model(network)
    optimiser = paddle.optimizer.AdamW(learning_rate, parameters=network.parameters(), weight_decay=0.01)
    optimiser = fleet.distributed_optimizer(optimiser)

    losses = []
    for batch, answers in steps:
        # Each share of dp gets, of every micro-batch, the sequences that it gets from the mesh in stage.py.
        x, y = (np.concatenate([np.split(part, mesh.dp)[at["dp"]] for part in np.split(whole, micro_batches)])
                for whole in (batch, answers))  # fmt: skip
        loss = model.train_batch([paddle.to_tensor(x), paddle.to_tensor(y)], optimiser)
        losses.append(loss.item())
    final = {
        f"{number}.{name}": parameter.numpy()
        for number, block in enumerate(own, start=first)
        for name, parameter in block.named_parameters()
    }
    return losses, final
