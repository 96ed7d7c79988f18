"""dist.reshard from one process mesh to another fails on the CPU: send and recv have no kernel there

    python -m paddle.distributed.launch --nproc_per_node 2 cross_mesh_reshard.py rank

Expected: rank 1 holds the tensor that rank 0 had, as on GPUs; it is how pipeline stages hand activations on.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from verdict import absent, present

SECONDS = 60
# What 3.0.0 says of it, and the function that 3.3.1 falls in: a process may end by SIGSEGV for another reason.
FAULTS = ("Do not support send for cpu", "Do not support recv for cpu", "SameStatusReshardFunction")


def rank():
    """What each of the two processes does."""
    import paddle
    import paddle.distributed as dist

    dist.init_parallel_env()
    first, second = dist.ProcessMesh([0], ["x"]), dist.ProcessMesh([1], ["x"])
    tensor = dist.shard_tensor(paddle.ones([4]), first, [dist.Replicate()])
    moved = dist.reshard(tensor, second, [dist.Replicate()])
    if dist.get_rank() == 1:
        assert moved._local_value().numpy().tolist() == [1.0] * 4
    print("ARRIVED", flush=True)


def launched():
    """The logs of both ranks, and what the launcher said."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        for name in ("CUSTOM_DEVICE_ROOT", "PADDLE_XCCL_BACKEND"):  # the launcher would take the plug-in's cards
            environment.pop(name, None)
        with subprocess.Popen(
            [*command, __file__, "rank"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                said = f"no end after {SECONDS} s"
        return [path.read_text(errors="replace") for path in sorted(Path(folder).glob("workerlog.*"))], said


def judge(logs, said):
    """End with the verdict that the ranks' logs and the launcher's words give, or with none."""
    if len(logs) == 2 and all("ARRIVED" in log for log in logs):
        absent("the tensor arrived")
    for line in "\n".join([*logs, said]).splitlines():
        if any(fault in line for fault in FAULTS):
            present(line)
    print("\n".join([*logs, said])[-1500:])
    sys.exit("another end than the known one")


if __name__ == "__main__":
    if "rank" in sys.argv:
        rank()
        sys.exit()
    judge(*launched())
