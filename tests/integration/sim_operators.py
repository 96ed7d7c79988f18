"""Started by test_sim.py on two simulated cards: collectives as operators, by the number of their group."""

import numpy as np
import paddle
import paddle.distributed as dist

dist.init_parallel_env()
dist.barrier()  # makes the communicator of group 0
rank = dist.get_rank()
of = [np.arange(4, dtype="float32") + 10 * other for other in range(2)]
x = paddle.to_tensor(of[rank])
assert str(x.place) == f"Place(sim:{rank})"

expected = {
    "all_reduce": (paddle._C_ops.all_reduce(x, 0, 0), of[0] + of[1]),
    "all_reduce, maximum": (paddle._C_ops.all_reduce(x, 0, 1), of[1]),
    "all_gather": (paddle._C_ops.all_gather(x, 0, 2), np.concatenate(of)),
    "reduce_scatter": (paddle._C_ops.reduce_scatter(x, 0, 2), np.split(of[0] + of[1], 2)[rank]),
    "all_to_all": (paddle._C_ops.all_to_all(x, 0), np.concatenate([np.split(array, 2)[rank] for array in of])),
}
for name, (got, wanted) in expected.items():
    np.testing.assert_array_equal(got.numpy(), wanted, err_msg=name)
print("operators equal numpy", flush=True)
