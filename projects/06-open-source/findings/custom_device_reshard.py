"""reshard from replicated to sharded is refused on custom devices: "only supported on CPU for now"

Needs a custom device, a plug-in under CUSTOM_DEVICE_ROOT. Expected: the local shard, as on a GPU.
"""

import paddle
import paddle.distributed as dist
from verdict import absent, elsewhere, present

kinds = paddle.device.get_all_custom_device_type()
if not kinds:
    elsewhere("there is no custom device here")
paddle.set_device(f"{kinds[0]}:0")
mesh = dist.ProcessMesh([0], ["x"])
try:
    tensor = dist.shard_tensor(paddle.ones([4, 4]), mesh, [dist.Replicate()])
    sharded = dist.reshard(tensor, mesh, [dist.Shard(0)])
except Exception as error:
    lines = [line for line in str(error).splitlines() if "only supported" in line]
    if not lines:
        raise
    present(f"{kinds[0]}: {lines[0]}")
absent(f"it is sharded on {kinds[0]}: {sharded._local_value().shape}")
