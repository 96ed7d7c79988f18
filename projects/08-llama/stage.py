"""One stage of Llama's pipeline on its (dp, mp) mesh: by `dist.parallelize`, and with its collectives written out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from hybrid.explicit import ExplicitStage
from hybrid.stage import Stage, shard
from llama import Llama, Section, name_in_whole, piece
from paddle import nn
from sharding import ShardedAdamW

WHOLE = [dist.Replicate(), dist.Replicate()]


def replicated(values: dict[str, np.ndarray], mesh: dist.ProcessMesh) -> dict[str, paddle.Tensor]:
    """The same tensors on every rank of the mesh."""
    return {name: shard(paddle.to_tensor(value), mesh, WHOLE) for name, value in values.items()}


class ParallelizedStage(Stage):
    """A section of Llama that `dist.parallelize` cuts along mp, by PaddleNLP's plan, and shares out along dp.

    Args:
        network: with its weights, of one card.
        plan: names of layers or weights → ColWiseParallel and the like.
        level: of sharding, 0 to 3; beyond 0 the device needs reduce_scatter.
    """

    def __init__(
        self, network: nn.Layer, held: Section, plan: dict[str, Any], mesh: dist.ProcessMesh, rate: float, level: int
    ) -> None:
        self.mesh, self.held = mesh, held
        dist.auto_parallel.set_mesh(mesh)
        optimiser = paddle.optimizer.AdamW(rate, parameters=network.parameters(), weight_decay=0.01)
        config = {"mp_config": {"parallelize_plan": _there(plan, network)}, "dp_config": {"sharding_level": level}}
        self.network, self.optimiser = dist.parallelize(network, optimiser, mesh, config)

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        """Mean cross entropy of a micro-batch's part: to go backward from, and as a number."""
        loss = F.cross_entropy(output, self.place(answers).unsqueeze(-1)) / micro_batches
        loss = dist.reshard(loss, self.mesh, WHOLE)
        return loss, loss._local_value().item()

    def weights(self) -> dict[str, paddle.Tensor]:
        return {name_in_whole(n, self.held): weight._local_value() for n, weight in self.network.named_parameters()}


def _there(plan: dict[str, Any], network: nn.Layer) -> dict[str, Any]:
    """The plan without what other stages hold: `parallelize` warns of each name that it does not find."""
    known = {*dict(network.named_sublayers()), *dict(network.named_parameters())}
    generic = {".".join("*" if word.isdigit() else word for word in name.split(".")) for name in known}
    return {name: how for name, how in plan.items() if name in generic}


class ExplicitLlamaStage(ExplicitStage):
    """The same with plain tensors, this rank's pieces, for devices on which the API has no collectives.

    Along mp, what enters attention, network and head sums its gradient, and what leaves o_proj and down_proj is summed
    (Shoeybi et al., "Megatron-LM", 2019, section 3). Along dp, sharding.py.
    """

    def __init__(
        self,
        network: Llama,
        weights: Mapping[str, np.ndarray],
        mesh: dist.ProcessMesh,
        rate: float,
        level: int,
        own: dict[str, Any],
    ) -> None:
        super().__init__(mesh, own)
        self.network, self.held = network, network.held
        for name in list(dict(network.named_parameters())):
            local = piece(weights[name_in_whole(name, self.held)], name, *self.slices)
            replace_parameter(network, name, local)
        self._talk()
        level = level if mesh.shape[0] > 1 else 0
        self.optimiser = ShardedAdamW(network, rate, level, own["dp"], mesh.shape[0], self.share)
        self.states: dict[str, int] = {}

    def _talk(self) -> None:
        """Let the layers sum along mp."""
        if self.groups["mp"] is None:
            return
        for name, layer in self.network.named_sublayers():
            kind = name.rpartition(".")[2]
            if kind in ("self_attn", "mlp", "lm_head"):
                layer.register_forward_pre_hook(self._sum_gradient)
            elif kind in ("o_proj", "down_proj"):
                layer.register_forward_post_hook(self._sum_output)
            elif kind == "embed_tokens":
                layer.register_forward_post_hook(self._join_columns)

    def _sum_gradient(self, layer: nn.Layer, inputs: tuple[Any, ...]) -> None:
        def add(gradient: paddle.Tensor) -> paddle.Tensor:
            dist.all_reduce(gradient, group=self.groups["mp"])
            return gradient

        if not inputs[0].stop_gradient:
            inputs[0].register_hook(add)

    def _sum_output(self, layer: nn.Layer, inputs: tuple[Any, ...], output: paddle.Tensor) -> paddle.Tensor:
        # In place, which the backward pass does not see: the gradient of a sum is that of each of its terms.
        dist.all_reduce(output, group=self.groups["mp"])
        return output

    def _join_columns(self, layer: nn.Layer, inputs: tuple[Any, ...], output: paddle.Tensor) -> paddle.Tensor:
        """(b, s, h / mp) to (b, s, h): each rank's columns at their place, the others' zero, and the sum of all."""
        parts, own = self.slices
        columns = [output if part == own else paddle.zeros_like(output) for part in range(parts)]
        return self._sum_output(layer, inputs, paddle.concat(columns, axis=-1))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.network(x)

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        """Cross entropy, mean over this rank's share, of logits (b, s, v / mp) that no rank has whole."""
        own = cross_entropy(output, self.place(answers), *self.slices, self.groups["mp"])
        own = own / (micro_batches * self.mesh.shape[0])
        total = own.detach().clone()
        if self.groups["dp"] is not None:
            dist.all_reduce(total, group=self.groups["dp"])
        return own, total.item()

    def sum_gradients(self) -> None:
        """sharding.py does it, in `step`. Here is the moment at which a rank holds all its states."""
        self.states = self.optimiser.held()

    def weights(self) -> dict[str, paddle.Tensor]:
        return {name_in_whole(name, self.held): weight for name, weight in self.network.named_parameters()}


def cross_entropy(logits: paddle.Tensor, answers: paddle.Tensor, parts: int, own: int, group: Any) -> paddle.Tensor:
    """Mean of log Σ exp(z) - z[answer] over tokens, where z (b, s, v / parts) is slice `own` of the logits.

    Sums over the slices are in place: see `_sum_output`.
    """
    width = logits.shape[-1]
    highest = logits.detach().max(-1, keepdim=True)
    if group is not None:
        dist.all_reduce(highest, op=dist.ReduceOp.MAX, group=group)
    shifted = logits - highest
    total = paddle.exp(shifted).sum(-1)
    places = answers - own * width  # of the answer in this slice
    inside = paddle.logical_and(places >= 0, places < width)
    chosen = paddle.take_along_axis(shifted, places.clip(0, width - 1).unsqueeze(-1), -1).squeeze(-1)
    chosen = chosen * inside.astype("float32")
    if group is not None:
        dist.all_reduce(total, group=group)
        dist.all_reduce(chosen, group=group)
    return (paddle.log(total) - chosen).mean()


def replace_parameter(network: nn.Layer, name: str, values: np.ndarray) -> None:
    """Let a layer have another parameter in place of its own of that name."""
    *path, last = name.split(".")
    layer = network
    for word in path:
        layer = getattr(layer, word)
    if list(layer._parameters[last].shape) == list(values.shape):
        layer._parameters[last].set_value(values)
        return
    parameter = layer.create_parameter(list(values.shape))
    parameter.set_value(values)
    layer.add_parameter(last, parameter)
