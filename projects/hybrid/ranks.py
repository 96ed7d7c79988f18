"""What ranks have to do with each other: their groups, and what each has to say."""

from typing import Any

import paddle.distributed as dist

from .mesh import Mesh


def make_group(ranks: list[int]) -> Any:
    """A group of these ranks. All ranks must make all groups, in the same order."""
    if len(ranks) == dist.get_world_size():
        return dist.get_group()
    dist.barrier()  # gloo mixes up groups that are made at the same time: "Connection refused"
    return dist.new_group(ranks)


def groups(mesh: Mesh, rank: int) -> dict[str, Any]:
    """This rank's groups along dp and mp; None along an axis of one."""
    own = dict.fromkeys(("dp", "mp"))
    for axis in own:
        for line in mesh.lines(axis):
            if len(line) > 1:
                group = make_group(line)
                own[axis] = group if rank in line else own[axis]
    return own


def everyone_s(thing: Any) -> list[Any]:
    """What each rank has to say, on every rank, in the order of ranks."""
    things: list[Any] = []
    dist.all_gather_object(things, thing)
    return things
