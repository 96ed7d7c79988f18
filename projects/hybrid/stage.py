"""One stage of the pipeline on its (dp, mp) mesh, by Paddle's automatic parallel API: all but what it computes."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
from paddle import nn
from paddle.base.framework import EagerParamBase
from paddle.distributed.auto_parallel.api import dtensor_from_local

from .boundary import LAYOUT, Boundary
from .schedule import Action

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


class Stage:
    """What one rank trains: a network of distributed tensors on its stage's mesh, with an optimiser."""

    mesh: dist.ProcessMesh
    network: nn.Layer
    optimiser: Any

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
        """(sequences, length, hidden), or what the first stage gets, to the same, laid out as LAYOUT."""
        return dist.reshard(self.network(x), self.mesh, LAYOUT)

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        """A micro-batch's part of the loss: to go backward from, and as a number."""
        raise NotImplementedError("each program has its own")

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
        """What this rank holds of every weight, by its name in this stage."""
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
