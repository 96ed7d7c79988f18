"""How many bytes the ranks send each other along each axis of the mesh: counted, and by formula.

Counted where ranks talk over sockets (gloo, on the CPU): the kernel counts what arrives at each of them. A connection
belongs to the axis along which its two ranks differ. A message costs more than its numbers: how much is measured in the
same run, by sending a few alone.
"""

import contextlib
import os
import socket
import stat
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import paddle.distributed as dist
from hybrid.mesh import AXES, Mesh
from pieces import CUT_BY_MP

BYTES_RECEIVED = 128  # where it stands in the kernel's struct tcp_info, as a 64-bit number
FLOAT = 4  # bytes of a number
SHORT = 64  # numbers
QUIET = 0.4  # seconds; twice that by which one rank may come out of a barrier after another
Ends = tuple[int, int]  # the ports of a connection, the own first
Counts = dict[Ends, int]


def received() -> Counts:
    """The bytes that came in over each TCP connection of this process. Linux only; elsewhere it is empty."""
    counts = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        # No duplicate is made of what is no socket: none would close it.
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    own, other = connection.getsockname()[1], connection.getpeername()[1]
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    counts[own, other] = struct.unpack_from("Q", info, BYTES_RECEIVED)[0]
    return counts


def by_axis(counts: Sequence[Mapping[Ends, int]], mesh: Mesh) -> dict[str, int]:
    """Sum the bytes that came in at every rank by the axis they came along.

    Args:
        counts: of every rank, between two calls of `received`.
    """
    owner = {ends: rank for rank, connections in enumerate(counts) for ends in connections}
    totals = dict.fromkeys(AXES, 0)
    for rank, connections in enumerate(counts):
        for (own, other), count in connections.items():
            peer = owner.get((other, own))
            axis = mesh.axis_between(rank, peer) if peer is not None else None
            if axis:
                totals[axis] += count
    return totals


def counted(*works: Callable[[], object]) -> list[Counts]:
    """What came in while all ranks did each of these, with nothing else on its way but two barriers.

    All ranks must call it.
    """
    found, before = [], _quiet()
    for work in works:
        dist.barrier()
        work()
        after = _quiet()
        found.append({ends: count - before.get(ends, 0) for ends, count in after.items()})
        before = after
    return found


def _quiet() -> Counts:
    """The counts at a moment when no rank sends: the last of a barrier has come in, and nobody goes on yet."""
    dist.barrier()
    time.sleep(QUIET / 2)
    counts = received()
    time.sleep(QUIET / 2)
    return counts


@dataclass(frozen=True)
class Message:
    """A sum over the ranks of a line along an axis, or along pp a tensor from one rank to the next: `numbers` long."""

    axis: str
    numbers: int

    def bytes(self, ranks: int) -> int:
        """What all ranks of a line send for it, of float32: for a sum over n ranks 2 (n - 1) times its numbers."""
        return FLOAT * self.numbers * (1 if self.axis == "pp" else 2 * (ranks - 1))


def messages(mesh: Mesh, blocks: int, hidden: int, inner: int, tokens: int, micro_batches: int) -> dict[Message, int]:
    """The messages of one step of training, all lines together, and how many of each there are.

    A sum is a ring all-reduce (Patarasuk and Yuan, 2009).
        pp  In each micro-batch an activation crosses each boundary and its gradient comes back.
        mp  In each micro-batch each block sums its output, and in the backward pass the gradient of its input.
        dp  Once a step, each block sums the gradients of its weights; and in each micro-batch the loss is summed.

    Args:
        tokens: of the whole step.
    """
    found: Counter[Message] = Counter()
    activation = tokens // (micro_batches * mesh.dp) * hidden  # of a share of a micro-batch
    if mesh.pp > 1:
        found[Message("pp", activation)] += micro_batches * 2 * (mesh.pp - 1) * mesh.dp * mesh.mp
    if mesh.mp > 1:
        found[Message("mp", activation)] += micro_batches * 2 * blocks * mesh.dp
    if mesh.dp > 1:
        shapes = {"norm.weight": hidden, "up.weight": hidden * inner, "up.bias": inner, "down.weight": inner * hidden}
        shapes |= {"norm.bias": hidden, "down.bias": hidden}
        for name, size in shapes.items():
            piece = size if CUT_BY_MP[name] is None else size // mesh.mp
            found[Message("dp", piece)] += blocks * mesh.mp
        found[Message("dp", 1)] += micro_batches * mesh.mp
    return found


def expected(step: Mapping[Message, int], mesh: Mesh) -> dict[str, int]:
    """The bytes of these messages by axis, without what each costs besides."""
    totals = dict.fromkeys(AXES, 0)
    for message, number in step.items():
        totals[message.axis] += number * message.bytes(getattr(mesh, message.axis))
    return totals


def short(message: Message) -> Message:
    """A message that costs as much besides its numbers, which are too few to hide an error of the formula."""
    return Message(message.axis, min(message.numbers, SHORT))


def headers(step: Mapping[Message, int], alone: Mapping[Message, int], mesh: Mesh) -> dict[str, int]:
    """What the messages of a step cost besides their numbers, by axis.

    Args:
        alone: bytes of one `short` message each along every line of the mesh.
    """
    totals = dict.fromkeys(AXES, 0)
    for message, number in step.items():
        ranks = getattr(mesh, message.axis)
        hops = mesh.size // ranks * (ranks - 1 if message.axis == "pp" else 1)  # so many of them were sent
        totals[message.axis] += round(number * (alone[short(message)] / hops - short(message).bytes(ranks)))
    return totals
