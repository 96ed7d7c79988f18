"""The stage once more, with its collectives written out: what the automatic parallel API does between the lines.

Custom devices (Ascend, Cambricon, …, and the simulated cards) need it. In Paddle 3.0.0 every reshard inside an operator
ends there in "The AllReduce in reshard only supported on CPU for now", and every backward pass to a distributed weight
in "DistTensor doesn't support custom device". So the weights are plain tensors here, this rank's pieces. The functions
at the two ends of a block are f and g in Shoeybi et al., "Megatron-LM", 2019, section 3.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from boundary import LAYOUT, make_group
from ffn import FFN
from mesh import Mesh, piece
from paddle.autograd import PyLayer
from paddle.distributed.auto_parallel.api import dtensor_from_local
from stage import Stage


class SumBackward(PyLayer):  # f
    """The input as it is; backward, the sum of the gradients that the slices have."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, group: Any) -> paddle.Tensor:
        ctx.group = group
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        total = gradient.clone()
        dist.all_reduce(total, group=ctx.group)
        return total


class SumForward(PyLayer):  # g
    """The sum of what the slices have; backward, the gradient as it is."""

    @staticmethod
    def forward(ctx: Any, x: paddle.Tensor, group: Any) -> paddle.Tensor:
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: paddle.Tensor) -> paddle.Tensor:
        return gradient.clone()


def groups(mesh: Mesh, rank: int) -> dict[str, Any]:
    """This rank's groups along dp and mp; None along an axis of one."""
    own = dict.fromkeys(("dp", "mp"))
    for axis in own:
        for line in mesh.lines(axis):
            if len(line) > 1:
                group = make_group(line)
                own[axis] = group if rank in line else own[axis]
    return own


def as_parameter(values: np.ndarray) -> paddle.Tensor:
    parameter = paddle.create_parameter(values.shape, "float32")
    parameter.set_value(values)
    return parameter


class ExplicitStage(Stage):
    """A stage whose ranks talk only where this file says so; its weights are plain tensors, this rank's pieces."""

    def __init__(self, blocks: Sequence[FFN], mesh: dist.ProcessMesh, rate: float, own: dict[str, Any]) -> None:
        self.mesh, self.groups, self.activation = mesh, own, blocks[0].activation
        here = np.argwhere(np.array(mesh.process_ids).reshape(mesh.shape) == dist.get_rank())[0]
        self.share, slices = int(here[0]), (mesh.shape[1], int(here[1]))
        self.blocks = [
            {name: as_parameter(piece(weight.numpy(), name, *slices)) for name, weight in block.named_parameters()}
            for block in blocks
        ]
        parameters = list(self.weights().values())
        self.optimiser = paddle.optimizer.AdamW(rate, parameters=parameters, weight_decay=0.01)

    def weights(self) -> dict[str, paddle.Tensor]:
        return {f"{number}.{name}": weight for number, own in enumerate(self.blocks) for name, weight in own.items()}

    def parameters(self) -> dict[str, paddle.Tensor]:
        return self.weights()

    def place(self, whole: np.ndarray) -> paddle.Tensor:
        return paddle.to_tensor(np.split(whole, self.mesh.shape[0])[self.share])

    def accept(self, received: paddle.Tensor) -> paddle.Tensor:
        return received._local_value().detach()

    def hand_over(self, tensor: paddle.Tensor) -> paddle.Tensor:
        return dtensor_from_local(tensor.detach(), self.mesh, LAYOUT)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """One share, (sequences, length, hidden), to the same."""
        for own in self.blocks:
            h = F.layer_norm(x, x.shape[-1:], own["norm.weight"], own["norm.bias"], 1e-5)
            h = self._along("mp", SumBackward, h)
            h = self.activation(F.linear(h, own["up.weight"], own["up.bias"]))  # (sequences, length, inner / mp)
            h = self._along("mp", SumForward, paddle.matmul(h, own["down.weight"]))
            x = x + h + own["down.bias"]
        return x

    def loss(self, output: paddle.Tensor, answers: np.ndarray, micro_batches: int) -> tuple[paddle.Tensor, float]:
        own = F.mse_loss(output, self.place(answers)) / (micro_batches * self.mesh.shape[0])
        return own, self._along("dp", SumForward, own).item()

    def sum_gradients(self) -> None:
        for weight in self.weights().values():
            if self.groups["dp"] is not None:
                dist.all_reduce(weight.grad, group=self.groups["dp"])

    def _along(self, axis: str, function: type[PyLayer], x: paddle.Tensor) -> paddle.Tensor:
        return x if self.groups[axis] is None else function.apply(x, self.groups[axis])
