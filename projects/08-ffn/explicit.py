"""One stage of the chain with its collectives written out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist
import paddle.nn.functional as F
from ffn import FFN
from hybrid.explicit import ExplicitStage, SumBackward, SumForward
from pieces import piece


def as_parameter(values: np.ndarray) -> paddle.Tensor:
    parameter = paddle.create_parameter(values.shape, "float32")
    parameter.set_value(values)
    return parameter


class ExplicitFFNStage(ExplicitStage):
    """The blocks of one stage, of each this rank's pieces, with their optimiser."""

    def __init__(self, blocks: Sequence[FFN], mesh: dist.ProcessMesh, rate: float, own: dict[str, Any]) -> None:
        super().__init__(mesh, own)
        self.activation = blocks[0].activation
        self.blocks = [
            {name: as_parameter(piece(weight.numpy(), name, *self.slices)) for name, weight in block.named_parameters()}
            for block in blocks
        ]
        parameters = list(self.weights().values())
        self.optimiser = paddle.optimizer.AdamW(rate, parameters=parameters, weight_decay=0.01)

    def weights(self) -> dict[str, paddle.Tensor]:
        return {f"{number}.{name}": weight for number, own in enumerate(self.blocks) for name, weight in own.items()}

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
