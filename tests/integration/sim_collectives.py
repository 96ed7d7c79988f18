"""Started by test_sim.py: collectives over forked ranks, against numpy; or with a rank that is killed."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[2] / "hardware" / "sim"))
import ranks
from ranks import OPERATIONS, TYPES, pointer, size

PLUGIN = ranks.Plugin(ranks.built())
FOLDS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "avg": np.mean}
COUNTS = (0, 1, 13, 400_003)


def values(kind, count, rank):
    """What a rank brings along: small whole numbers, exact in every type."""
    numbers = np.random.default_rng(rank).integers(0 if kind == "bool" else 1, 3, count)
    if kind == "bfloat16":  # numpy has none: the upper half of a float32's bits
        return (numbers.astype("float32").view("uint32") >> 16).astype("uint16")
    return numbers.astype(kind)


def read(kind, array):
    return (array.astype("uint32") << 16).view("float32") if kind == "bfloat16" else array


def expected(kind, operation, arrays):
    folded = FOLDS[operation](np.stack([read(kind, array).astype("complex128") for array in arrays]).real, axis=0)
    if kind == "bool":
        return folded > (0.999 if operation == "prod" else 0)
    return np.floor(folded).astype("int64").astype(kind) if "int" in kind else folded  # integers wrap around


def check(kind, operation, got, arrays):
    wanted = expected(kind, operation, arrays)
    tolerance = {"float16": 1e-3, "bfloat16": 8e-3}.get(kind, 1e-6)
    np.testing.assert_allclose(read(kind, got).astype("complex128").real, wanted, rtol=tolerance, err_msg=operation)


def everything(number):
    def work(c, rank):
        def call(name, *arguments):
            getattr(PLUGIN, f"xccl_{name}")(*arguments, c, None)

        for code, kind in list(enumerate(TYPES))[1:]:
            for operation in OPERATIONS:
                if kind.startswith("complex") and operation in ("max", "min"):
                    continue
                for count in COUNTS if (kind, operation) == ("float32", "sum") else COUNTS[:3]:
                    arrays = [values(kind, count, other) for other in range(number)]
                    mine, op = arrays[rank].copy(), OPERATIONS.index(operation)
                    call("all_reduce", pointer(mine), pointer(mine), size(count), code, op)
                    check(kind, operation, mine, arrays)
                    mine, out = arrays[rank].copy(), np.zeros_like(arrays[rank])
                    call("reduce", pointer(mine), pointer(out), size(count), code, op, size(number - 1))
                    if rank == number - 1:
                        check(kind, operation, out, arrays)
                    blocks = [values(kind, count * number, 50 + other) for other in range(number)]
                    call("reduce_scatter", pointer(blocks[rank]), pointer(out), size(count), code, op)
                    check(kind, operation, out, [block[rank * count : (rank + 1) * count] for block in blocks])
            for count in COUNTS if kind == "float32" else COUNTS[:3]:
                arrays = [values(kind, count, other) for other in range(number)]
                out = np.zeros(count * number, arrays[0].dtype)
                call("all_gather", pointer(arrays[rank]), pointer(out), size(count), code)
                np.testing.assert_array_equal(out, np.concatenate(arrays))
                mine = arrays[rank].copy()
                call("broadcast", pointer(mine), size(count), code, size(1))
                np.testing.assert_array_equal(mine, arrays[1])
                # Around the ring, once outside a group (a send does not wait) and once inside one.
                for grouped in (False, True):
                    mine, before = np.zeros_like(arrays[0]), (rank - 1) % number
                    if grouped:
                        PLUGIN.xccl_group_start()
                    call("send", pointer(arrays[rank]), size(count), code, size((rank + 1) % number))
                    call("recv", pointer(mine), size(count), code, size(before))
                    if grouped:
                        PLUGIN.xccl_group_end()
                    np.testing.assert_array_equal(mine, arrays[before])
        all_to_all(c, rank, number)

    assert ranks.run(PLUGIN, number, work) == [0] * number


def all_to_all(c, rank, number):
    """Blocks of different lengths: rank r sends 1000 r + s numbers to rank s."""
    import ctypes

    out = [np.full(1000 * rank + other, 100 * rank + other, "float32") for other in range(number)]
    into = [np.zeros(1000 * other + rank, "float32") for other in range(number)]

    def table(arrays):
        addresses = (ctypes.c_void_p * number)(*(array.ctypes.data for array in arrays))
        counts = (ctypes.c_size_t * number)(*(array.size for array in arrays))
        return addresses, counts, (ctypes.c_int * number)(*[TYPES.index("float32")] * number)

    PLUGIN.xccl_all_to_all(*table(out), *table(into), size(rank), size(number), c, None)
    for other, array in enumerate(into):
        assert (array == 100 * other + rank).all()


def on_cards(number):
    """Large tensors in the memory of cards, which the ranks read and write where they lie; some on the host beside."""
    count = 400_003

    def work(c, rank):
        def call(name, *arguments):
            getattr(PLUGIN, f"xccl_{name}")(*arguments, c, None)

        code, total = TYPES.index("float32"), OPERATIONS.index("sum")
        arrays = [values("float32", count, other) for other in range(number)]
        for host in (None, 1):  # where one rank's numbers lie on the host, all take the other way
            place = (lambda array: array.copy()) if rank == host else (lambda array: PLUGIN.on_card(rank, array))
            mine, out = place(arrays[rank]), place(np.zeros(count, "float32"))
            call("all_reduce", pointer(mine), pointer(out), size(count), code, total)
            check("float32", "sum", out, arrays)
            np.testing.assert_array_equal(mine, arrays[rank])
            call("all_reduce", pointer(mine), pointer(mine), size(count), code, OPERATIONS.index("max"))
            check("float32", "max", mine, arrays)
            mine, out = place(arrays[rank]), place(np.zeros(count, "float32"))
            call("reduce", pointer(mine), pointer(out), size(count), code, total, size(1))
            check("float32", "sum", out, arrays) if rank == 1 else np.testing.assert_array_equal(out, 0)
            blocks = [values("float32", count * number, 50 + other) for other in range(number)]
            mine = place(blocks[rank])
            call("reduce_scatter", pointer(mine), pointer(out), size(count), code, total)
            check("float32", "sum", out, [block[rank * count : (rank + 1) * count] for block in blocks])
            mine, gathered = place(arrays[rank]), place(np.zeros(count * number, "float32"))
            call("all_gather", pointer(mine), pointer(gathered), size(count), code)
            np.testing.assert_array_equal(gathered, np.concatenate(arrays))
            call("broadcast", pointer(mine), size(count), code, size(1))
            np.testing.assert_array_equal(mine, arrays[1])

    assert ranks.run(PLUGIN, number, work) == [0] * number


def in_a_forked_child():
    """What a data loader's worker writes changes its own copy of the card, not its parent's."""
    numbers = PLUGIN.on_card(0, np.zeros(1000, "float32"))
    child = os.fork()
    if child == 0:
        numbers += 1
        more = PLUGIN.on_card(0, np.ones(1000, "float32"))
        os._exit(0 if numbers.sum() == more.sum() == 1000 else 1)
    assert os.waitpid(child, 0)[1] == 0
    after = PLUGIN.on_card(0, np.full(1000, 2, "float32"))
    assert numbers.sum() == 0 and after.sum() == 2000


def disagreeing():
    """Ranks that bring different numbers of bytes are told so, and do not wait for each other."""

    def work(c, rank):
        data = np.ones(10 + rank, "float32")
        PLUGIN.xccl_all_reduce(pointer(data), pointer(data), size(10 + rank), TYPES.index("float32"), 0, c, None)

    assert ranks.run(PLUGIN, 2, work) == [1, 1]


def killed(how):
    """Three ranks, of which the middle one is killed while the others wait for it."""
    if how == "join":
        real = PLUGIN.join

        def join(identity, number, rank):
            if rank == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(identity, number, rank)

        PLUGIN.join = join

    def work(c, rank):
        data = np.ones(10, "float32")
        if rank == 1:
            time.sleep(0.5)
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "recv":
            PLUGIN.xccl_recv(pointer(data), size(10), TYPES.index("float32"), size(1), c, None)
        PLUGIN.xccl_all_reduce(pointer(data), pointer(data), size(10), TYPES.index("float32"), 0, c, None)

    print(json.dumps(ranks.run(PLUGIN, 3, work)))


if __name__ == "__main__":
    if sys.argv[1] == "all":
        for number in (2, 3, 8):
            everything(number)
        on_cards(3)
        disagreeing()
        in_a_forked_child()
    else:
        killed(sys.argv[1])
