"""The same training by Paddle's other, older way to 3-D parallelism: `fleet` with its pipeline and parallel layers.

The layers, the pipeline and the collectives are fleet's own. The first weights, the data, the loss and the cutting of
weights into pieces (mesh.py) are those of the other routes: an error in these it would not find. It does not run on
the CPU: there `fleet.init` ends in connections that gloo refuses. On simulated cards it runs with mp=1; with more,
its first broadcast along dp fails.
"""

import time

import numpy as np
import paddle
import paddle.nn.functional as F
from ffn import ACTIVATIONS
from hybrid.ranks import everyone_s
from hybrid.stage import first_gradients
from measures import Report
from one_process import Trained
from paddle import nn
from paddle.distributed import fleet
from paddle.distributed.fleet.meta_parallel import (
    ColumnParallelLinear,
    LayerDesc,
    PipelineLayer,
    RowParallelLinear,
)
from routes import Rank

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


def train(own: Rank, exact: Trained) -> Report:
    """Train with 1F1B, and hold it against the training in float64."""
    mesh, p = own.mesh, own.p
    strategy = fleet.DistributedStrategy()
    strategy.hybrid_configs = {"dp_degree": mesh.dp, "mp_degree": mesh.mp, "pp_degree": mesh.pp, "order": ORDER}
    share = p["batch"] // mesh.dp // p["micro_batches"]
    strategy.pipeline_configs = {"accumulate_steps": p["micro_batches"], "micro_batch_size": share}
    fleet.init(is_collective=True, strategy=strategy)

    topology = fleet.get_hybrid_communicate_group().topology()
    blocks = [LayerDesc(Block, p["hidden"], p["inner"], p["activation"]) for _ in range(p["blocks"])]
    network = PipelineLayer(layers=blocks, num_stages=mesh.pp, loss_fn=F.mse_loss, topology=topology)
    layers = [layer for layer in network.run_function if isinstance(layer, Block)]
    parameters = own.named(  # fleet shares the blocks out evenly, as mesh.py does
        {f"{number}.{name}": weight for number, layer in enumerate(layers) for name, weight in layer.named_parameters()}
    )
    for number in own.blocks:
        first = {f"{number}.{name}": value for name, value in own.problem.weights(number).items()}
        for name, value in own.pieces(first).items():
            parameters[name].set_value(value)
    model = fleet.distributed_model(network)
    optimiser = paddle.optimizer.AdamW(p["learning_rate"], parameters=network.parameters(), weight_decay=0.01)
    optimiser = fleet.distributed_optimizer(optimiser)

    losses, seconds = [], []
    for number, step in enumerate(own.problem.steps()):
        # Each share of dp gets, of every micro-batch, the sequences that it gets from the mesh in stage.py.
        x, y = (np.concatenate([np.split(part, mesh.dp)[own.at["dp"]] for part in np.split(whole, p["micro_batches"])])
                for whole in step)  # fmt: skip
        started = time.perf_counter()
        losses.append(model.train_batch([paddle.to_tensor(x), paddle.to_tensor(y)], optimiser).item())
        seconds.append(time.perf_counter() - started)
        if number == 0:
            gradients = first_gradients(optimiser, parameters)
    losses = np.mean(everyone_s(losses), axis=0)  # of all shares
    weights = {name: weight.numpy() for name, weight in parameters.items()}
    return own.report(Trained(losses, gradients, weights), exact, (), seconds)
