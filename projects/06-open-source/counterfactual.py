"""The same Paddle with a fault mended, or where it has none planted: a reproducer has to tell them apart.

    ./inv python projects/06-open-source/counterfactual.py one_thread      # absent: nothing sets OMP_NUM_THREADS

`python counterfactual.py NAME [words]` changes one thing, from outside, and runs findings/NAME.py. `EXPECTED` is what
that must say. A reproducer that says the same either way proves nothing about Paddle.
"""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

FINDINGS = Path(__file__).resolve().parent / "findings"
Change = Callable[[], Any]


def register_decomp() -> None:
    """decompose asks the rules that were registered from Python."""
    import paddle
    from paddle import pir
    from paddle.decomposition import decomp, register

    def decompose(program: Any, _: Any) -> None:
        block = program.global_block()
        for op in list(block.ops):
            if rule := register._decomposition_ops.lookup(op.name()):
                pir.set_insertion_point(op)
                split = rule(*(operand.source() for operand in op.operands()), op.attrs()["axis"])
                op.result(0).replace_all_uses_with(split)
                block.remove_op(op)

    decomp.decompose = decompose
    paddle.enable_static()


def causal_attention() -> None:
    """The function does what its formula says, in plain operators."""
    import paddle

    def attention(query: Any, key: Any, value: Any, is_causal: bool) -> Any:
        scores = paddle.einsum("bqhw,bkhw->bhqk", query, key) * query.shape[-1] ** -0.5
        mask = paddle.triu(paddle.full(scores.shape[-2:], -1e30), 1)
        return paddle.einsum("bhqk,bkhw->bqhw", paddle.nn.functional.softmax(scores + mask), value)

    paddle.nn.functional.scaled_dot_product_attention = attention


def after_infer() -> None:
    """Planted: what comes out is the original's, whatever was rewritten."""
    import paddle

    Static = type(paddle.jit.to_static(lambda x: x, full_graph=True, backend=None))
    whole = Static.__call__

    def call(self: Any, *inputs: Any) -> Any:
        whole(self, *inputs)
        return self.dygraph_function(*inputs)

    Static.__call__ = call


def page_faults() -> None:
    """The allocator keeps what it has: all processes get its three variables."""
    _in_all_processes(
        MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="8589934592", MALLOC_TOP_PAD_="1073741824"
    )


def layer_norm_gradient() -> None:
    """layer_norm is computed by instance_norm, which is the same there."""
    import paddle.nn.functional as F

    F.layer_norm = lambda x, shape: F.instance_norm(x)


def max_gradient() -> None:
    """max is the mean of what equals the largest, which is found without a gradient."""
    import paddle

    largest = paddle.max

    def reduce(x: Any, axis: int) -> Any:
        equal = (x == largest(x.detach(), axis=axis, keepdim=True)).astype(x.dtype)
        return (x * equal).sum(axis) / equal.sum(axis)

    paddle.max = reduce


def setitem_gradient() -> None:
    """A number is written as a tensor, whose gradient is right."""
    import paddle

    Value = paddle.pir.Value
    write = Value.__setitem__
    Value.__setitem__ = lambda self, where, number: write(self, where, paddle.full([], number, self.dtype))


def inplace_to_static() -> None:
    """The sum is written over the whole tensor."""
    import paddle

    def add_(self: Any, other: Any) -> Any:
        self[:] = self + other
        return self

    paddle.pir.Value.add_ = add_


def ignore_index_mean() -> None:
    """The sum is divided by how many labels are not ignored."""
    import paddle.nn.functional as F

    true = F.cross_entropy

    def cross_entropy(logits: Any, labels: Any, reduction: str = "mean", **more: Any) -> Any:
        if reduction != "mean" or "weight" in more:
            return true(logits, labels, reduction=reduction, **more)
        return true(logits, labels, reduction="sum", **more) / (labels != -100).sum()

    F.cross_entropy = cross_entropy


def half_truncated() -> None:
    """NumPy casts, which rounds."""
    import paddle

    paddle.Tensor.astype = lambda self, kind: paddle.to_tensor(self.numpy().astype(kind))


def group_norm_gradient() -> None:
    """A weight of ones is given where there is none."""
    import paddle
    import paddle.nn.functional as F

    true = F.group_norm
    F.group_norm = lambda x, num_groups, weight=None: true(
        x, num_groups, weight=paddle.ones(x.shape[1:2], x.dtype) if weight is None else weight
    )


def put_gradient() -> None:
    """scatter_ writes the rows, and its gradient is right."""
    import paddle

    paddle.Tensor.__setitem__ = lambda self, places, rows: self.scatter_(places, rows)


def mkl_on_amd() -> None:
    """MKL is told which code to take in any case."""
    avx512 = "avx512vl" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    _in_all_processes(MKL_DEBUG_CPU_TYPE="7" if avx512 else "5")


def one_thread() -> None:
    """The import is over before: it sets nothing any more."""
    import paddle  # noqa: F401


def silent_cinn() -> None:
    """Planted: to_static takes the word CINN and leaves it out."""
    import paddle

    true = paddle.jit.to_static
    paddle.jit.to_static = lambda function, backend, full_graph: true(function, backend=None, full_graph=full_graph)


def protobuf_7() -> None:
    """Planted, where an older protobuf is installed: it calls itself 7, and what Paddle calls of it fails."""
    import google.protobuf

    google.protobuf.__version__ = "7.0"
    from paddle.distributed import fleet

    fleet.DistributedStrategy = _fails


def custom_device_reshard() -> None:
    """The shard, on a mesh of one card all of it, is handed over as it is."""
    import paddle.distributed as dist

    dist.reshard = lambda tensor, mesh, placements: SimpleNamespace(_local_value=tensor._local_value)


def embedding_gradient() -> None:
    """A row is taken by a product, whose gradient the device computes itself."""
    import paddle
    import paddle.nn.functional as F

    F.embedding = lambda rows, table: paddle.matmul(F.one_hot(rows, table.shape[0]), table)


def freed_input() -> None:
    """Nothing is freed."""
    os.environ.update(FLAGS_eager_delete_tensor_gb="-1")


def cross_mesh_reshard() -> None:
    """In both processes the tensor goes by send and recv."""
    import paddle
    import paddle.distributed as dist

    def reshard(tensor: Any, mesh: Any, placements: Any) -> Any:
        local = paddle.empty([4])
        if dist.get_rank() == 0:
            dist.send(tensor._local_value(), 1)
        else:
            dist.recv(local, 0)
        return SimpleNamespace(_local_value=lambda: local)

    dist.reshard = reshard
    _instead(str(FINDINGS / "cross_mesh_reshard.py"), __file__, "cross_mesh_reshard")


EXPECTED: dict[str, tuple[Change, str]] = {
    "register_decomp": (register_decomp, "absent"),
    "causal_attention": (causal_attention, "absent"),
    "after_infer": (after_infer, "present"),
    "page_faults": (page_faults, "absent"),
    "layer_norm_gradient": (layer_norm_gradient, "absent"),
    "max_gradient": (max_gradient, "absent"),
    "setitem_gradient": (setitem_gradient, "absent"),
    "inplace_to_static": (inplace_to_static, "absent"),
    "ignore_index_mean": (ignore_index_mean, "absent"),
    "half_truncated": (half_truncated, "absent"),
    "group_norm_gradient": (group_norm_gradient, "absent"),
    "put_gradient": (put_gradient, "absent"),
    "mkl_on_amd": (mkl_on_amd, "absent"),
    "one_thread": (one_thread, "absent"),
    "silent_cinn": (silent_cinn, "present"),
    "protobuf_7": (protobuf_7, "present"),
    "custom_device_reshard": (custom_device_reshard, "absent"),
    "embedding_gradient": (embedding_gradient, "absent"),
    "freed_input": (freed_input, "absent"),
    "cross_mesh_reshard": (cross_mesh_reshard, "absent"),
}


def _fails() -> None:
    raise TypeError("as with protobuf 7")


def _in_all_processes(**variables: str) -> None:
    """The variables win over what a process is started with."""

    class Told(subprocess.Popen):
        def __init__(self, command: list[str], env: dict[str, str], **more: Any) -> None:
            super().__init__(command, env={**env, **variables}, **more)

    subprocess.Popen = Told  # type: ignore[misc]  # which subprocess.run uses as well


def _instead(word: str, *words: str) -> None:
    """Processes are started with other words in place of one."""

    class Changed(subprocess.Popen):
        def __init__(self, command: list[str], **more: Any) -> None:
            super().__init__([new for old in command for new in (words if old == word else [old])], **more)

    subprocess.Popen = Changed  # type: ignore[misc]


if __name__ == "__main__":
    name = sys.argv.pop(1)
    EXPECTED[name][0]()
    sys.path.insert(0, str(FINDINGS))
    runpy.run_path(str(FINDINGS / f"{name}.py"), run_name="__main__")
