"""The boundary between two stages of the pipeline: an activation goes forward over it, its gradient back.

Both kinds do the same for the program. The native one is `dist.reshard` from one stage's mesh to the next one's, the
automatic parallel API's own way. It ends in Paddle's kernel `p_send`. In 3.0.0 those for GPU and XPU send; the one for
the CPU only raises ("Do not support send for cpu kernel now"), and custom devices (Ascend, Cambricon, …) have none.
There each rank sends its piece to the rank with the same share and slice in the other stage.
"""

from collections.abc import Iterable, Mapping
from copy import copy
from itertools import pairwise
from typing import Protocol

import paddle
import paddle.distributed as dist
from paddle.distributed.auto_parallel.api import dtensor_from_local

from .mesh import Mesh
from .ranks import make_group

LAYOUT = [dist.Shard(0), dist.Replicate()]  # of activations on (dp, mp): each share of the batch whole on every slice


class Boundary(Protocol):
    name: str

    def send(self, tensor: paddle.Tensor, stage: int) -> None:
        """Hand a distributed tensor of this stage, laid out as LAYOUT, to a neighbouring stage."""

    def receive(self, stage: int) -> paddle.Tensor:
        """Take what a neighbouring stage sends, as a distributed tensor of this stage."""

    def of_shape(self, shape: list[int]) -> "Boundary":
        """The same for activations of another shape, (sequences, length, hidden), with the same groups."""


class Reshard:
    """The native boundary: `dist.reshard` across meshes."""

    name = "native reshard"

    def __init__(self, mesh: Mesh, rank: int, stages: list[dist.ProcessMesh], shape: list[int]) -> None:
        self.stages, self.shape = stages, shape
        self.own = stages[mesh.coordinates(rank)["pp"]]

    def send(self, tensor: paddle.Tensor, stage: int) -> None:
        dist.reshard(tensor, self.stages[stage], LAYOUT)

    def receive(self, stage: int) -> paddle.Tensor:
        # Both sides call reshard. Here the tensor is a promise: its values lie on the other stage's ranks.
        promised = dist.shard_tensor(paddle.zeros(self.shape), self.stages[stage], LAYOUT)
        return dist.reshard(promised, self.own, LAYOUT).detach()

    def of_shape(self, shape: list[int]) -> "Reshard":
        other = copy(self)
        other.shape = shape
        return other


class Transfer:
    """Each rank's piece by send and receive."""

    name = "send and receive"

    def __init__(self, mesh: Mesh, rank: int, stages: list[dist.ProcessMesh], shape: list[int]) -> None:
        self.mesh, self.rank = mesh, rank
        self.own = stages[mesh.coordinates(rank)["pp"]]
        self.shape = shape
        # Paddle's gloo tells messages apart by a number that each process counts up for itself, in each group. A stage
        # in the middle counts those of both sides, and waits in vain in a group with both its neighbours. Two stages
        # have no middle, and making groups takes seconds.
        self.groups = {}
        for line in mesh.lines("pp") if mesh.pp > 2 else []:
            for pair in pairwise(line):
                group = make_group(list(pair))
                if rank in pair:
                    self.groups[sum(pair) - rank] = group  # by the neighbour's rank

    def send(self, tensor: paddle.Tensor, stage: int) -> None:
        neighbour = self.mesh.neighbour(self.rank, stage)
        dist.send(tensor._local_value().contiguous(), neighbour, group=self.groups.get(neighbour))

    def receive(self, stage: int) -> paddle.Tensor:
        sequences, *rest = self.shape
        piece, neighbour = paddle.zeros([sequences // self.mesh.dp, *rest]), self.mesh.neighbour(self.rank, stage)
        dist.recv(piece, neighbour, group=self.groups.get(neighbour))
        return dtensor_from_local(piece, self.own, LAYOUT)

    def of_shape(self, shape: list[int]) -> "Transfer":
        other = copy(self)
        other.shape = shape
        return other


BOUNDARIES = {"reshard": Reshard, "transfer": Transfer}


def suitable(device: str, kernels: Mapping[str, Iterable[str]]) -> str:
    """The boundary for a device ("gpu:3"), native where Paddle registers a kernel `p_send` that really sends.

    `kernels` is Paddle's list of them: name → lines with "place[Place(gpu:0)]", as in kit/device.py.
    """
    kind = device.partition(":")[0]
    # "cpu:0" is nobody's name, so that the kernel which only raises is not found.
    sends = any(f"place[Place({kind}:0)]" in line for line in kernels.get("p_send", ()))
    return "reshard" if sends else "transfer"


def suitable_here(device: str) -> str:
    """The same with this Paddle's kernels."""
    return suitable(device, paddle.base.core._get_all_register_op_kernels("phi"))
