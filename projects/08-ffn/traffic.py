"""How many bytes the ranks send each other along each axis of the mesh: counted, and by formula.

Counted where ranks talk over sockets (gloo, on the CPU): the kernel counts what arrives at each of them. A connection
belongs to the axis along which its two ranks differ.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Mapping, Sequence

from mesh import AXES, Mesh

BYTES_RECEIVED = 128  # where it stands in the kernel's struct tcp_info, as a 64-bit number
Ends = tuple[int, int]  # the ports of a connection, the own first


def received() -> dict[Ends, int]:
    """The bytes that came in over each TCP connection of this process. Linux only; elsewhere it is empty."""
    counts = {}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ():
        with contextlib.suppress(OSError, struct.error), socket.socket(fileno=os.dup(int(name))) as connection:
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


def expected(mesh: Mesh, blocks: int, hidden: int, inner: int, tokens: int, micro_batches: int) -> dict[str, float]:
    """Bytes that all ranks together send in one step of float32 training, by axis.

    A ring all-reduce of v bytes over n ranks sends 2 (n - 1) v bytes (Patarasuk and Yuan, 2009).
        pp  In each micro-batch an activation crosses each boundary and its gradient comes back, for each slice of mp.
        mp  In each micro-batch each block sums its output, and in the backward pass the gradient of its input.
        dp  Once a step, each block sums the gradients of its weights.

    Args:
        tokens: of the whole step.
    """
    number = 4  # bytes
    activation = tokens * hidden * number / micro_batches  # all shares of one micro-batch together
    split, whole = (hidden * inner * 2 + inner) * number, hidden * 3 * number  # of a block: cut by mp, or not
    return {
        "pp": micro_batches * 2 * (mesh.pp - 1) * mesh.mp * activation,
        "mp": micro_batches * blocks * 2 * 2 * (mesh.mp - 1) * activation,
        "dp": blocks * 2 * (mesh.dp - 1) * (split + mesh.mp * whole),
    }
