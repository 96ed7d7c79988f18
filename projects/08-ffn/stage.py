"""One stage of the pipeline on its (dp, mp) mesh, by Paddle's automatic parallel API."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from boundary import LAYOUT, Boundary
from ffn import FFN
from mesh import CUT_BY_MP
from paddle import nn
from paddle.base.framework import EagerParamBase
from paddle.distributed.auto_parallel.api import dtensor_from_local, dtensor_to_local
from schedule import Action

Event = tuple[str, int, float, float]  # of an action: its kind, micro-batch, start and end


def shard(tensor: paddle.Tensor, mesh: dist.ProcessMesh, placements: Sequence[dist.Placement]) -> paddle.Tensor:
    """`dist.shard_tensor`, also where a device cannot cut.

    On custom devices its cut ends in "The Split in reshard only supported on CPU for now" (3.0.0). There the piece is
    cut on the host, and the same distributed tensor made from it.
    """
    if not is_custom(paddle.get_device()):
        return dist.shard_tensor(tensor, mesh, placements)
    piece = tensor.numpy()
    places = np.argwhere(np.array(mesh.process_ids).reshape(mesh.shape) == dist.get_rank())[0]
    for placement, parts, place in zip(placements, mesh.shape, places, strict=True):
        if placement.is_shard():
            piece = np.split(piece, parts, axis=placement.get_dim())[place]
    made = dtensor_from_local(paddle.to_tensor(piece.copy()), mesh, placements)
    if isinstance(tensor, EagerParamBase):
        made = EagerParamBase.from_tensor(made, trainable=tensor.trainable)
    made.stop_gradient = tensor.stop_gradient
    return made


def is_custom(device: str) -> bool:
    """Whether a device ("npu:3") belongs to a plug-in."""
    return device.partition(":")[0] in paddle.device.get_all_custom_device_type()


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


class Stage:
    """The blocks of one stage, with their optimiser."""

    def __init__(self, blocks: Sequence[FFN], mesh: dist.ProcessMesh, learning_rate: float) -> None:
        self.mesh = mesh
        for block in blocks:
            block.activation = on_pieces(block.activation)
        self.network = dist.shard_layer(nn.Sequential(*blocks), mesh, shard_weights)
        optimiser = paddle.optimizer.AdamW(learning_rate, parameters=self.network.parameters(), weight_decay=0.01)
        self.optimiser = dist.shard_optimizer(optimiser)

    def place(self, whole: np.ndarray) -> paddle.Tensor:
        """A micro-batch, (sequences, length, hidden), shared out along dp."""
        return shard(paddle.to_tensor(whole), self.mesh, LAYOUT)

    def accept(self, received: paddle.Tensor) -> paddle.Tensor:
        """What this stage computes with, of a distributed tensor that came over the boundary."""
        return received

    def hand_over(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """The distributed tensor that goes over the boundary, laid out as LAYOUT."""
        return dist.reshard(tensor, self.mesh, LAYOUT)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(sequences, length, hidden) to the same, laid out alike."""
        return dist.reshard(self.network(x), self.mesh, LAYOUT)

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        """A micro-batch's part of the loss: to go backward from, and as a number."""
        loss = F.mse_loss(output, self.place(answers)) / micro_batches
        loss = dist.reshard(loss, self.mesh, [dist.Replicate(), dist.Replicate()])
        return loss, loss._local_value().item()

    def sum_gradients(self) -> None:
        """Along dp: the API does it by itself, in `step` of the optimiser."""

    def step(
        self, actions: Sequence[Action], batch: Sequence[np.ndarray], answers: Sequence[np.ndarray], boundary: Boundary
    ) -> tuple[float, list[Event]]:
        """One step of training: do the actions of this stage's schedule, then let the optimiser step.

        Args:
            batch: the micro-batches, for the first stage.
            answers: what the last stage compares with.

        Returns:
            The loss, 0 but on the last stage, and when each action was done.
        """
        inputs: dict[int, paddle.Tensor] = {}
        outputs: dict[int, paddle.Tensor] = {}
        gradients: dict[int, paddle.Tensor] = {}
        total, events = 0.0, []
        last = not any(action.kind == "send F" for action in actions)
        for kind, number, peer in actions:
            started = time.monotonic()
            if kind == "receive F":
                inputs[number] = self.accept(boundary.receive(peer))
                inputs[number].stop_gradient = False
            elif kind == "F":
                outputs[number] = self.forward(inputs[number] if number in inputs else self.place(batch[number]))
                if last:
                    outputs[number], value = self.loss(outputs[number], answers[number], len(answers))
                    total += value
            elif kind == "send F":
                boundary.send(self.hand_over(outputs[number]), peer)
            elif kind == "receive B":
                gradients[number] = self.accept(boundary.receive(peer))
            elif kind == "B":
                outputs.pop(number).backward(gradients.pop(number, None))
            else:
                boundary.send(self.hand_over(inputs.pop(number).grad), peer)
            events.append((kind, number, started, time.monotonic()))
        self.sum_gradients()
        self.optimiser.step()
        self.optimiser.clear_grad()
        return total, events

    def weights(self) -> dict[str, paddle.Tensor]:
        """What this rank holds of every weight, by the block's number in this stage: "0.up.weight"."""
        return {name: weight._local_value() for name, weight in self.network.named_parameters()}

    def parameters(self) -> dict[str, paddle.Tensor]:
        """What the optimiser trains, by the same names."""
        return dict(self.network.named_parameters())

    def first_gradients(self) -> dict[str, np.ndarray]:
        """This rank's pieces of the gradients that the optimiser made its first step with."""
        return first_gradients(self.optimiser, self.parameters())


def first_gradients(optimiser: Any, parameters: Mapping[str, paddle.Tensor]) -> dict[str, np.ndarray]:
    """The gradients that AdamW made its first step with: its first moment is then (1 - beta1) of them.

    So nothing that happens to a gradient on its way, and be it in the optimiser, goes unseen.
    """
    while hasattr(optimiser, "_inner_opt"):  # what distributes the step stands around it
        optimiser = optimiser._inner_opt
    moments, found = optimiser._accumulators["moment1"], {}
    for name, parameter in parameters.items():
        moment = moments[parameter.name]
        local = moment._local_value() if moment.is_dist() else moment
        found[name] = local.numpy() / (np.float32(1) - np.float32(0.9))
    return found
