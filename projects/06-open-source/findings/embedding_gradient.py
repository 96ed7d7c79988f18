"""embedding's gradient is left on the CPU where a custom device has no kernel embedding_grad

Needs a custom device, a plug-in under CUSTOM_DEVICE_ROOT, without that kernel. Expected: as of every other operator
that the CPU computes in a device's place, the result is copied to the device. Paddle's function for it
(embedding_grad_impl in api_custom_impl.cc) is written by hand and does not: the weight lies on the device, its
gradient on the CPU, and an optimiser that meets both computes there.
"""

import os

os.environ["SIM_MISSING_KERNELS"] = "embedding_grad"  # simulated cards have one; another device takes no notice

import paddle
from verdict import absent, elsewhere, present

kinds = paddle.device.get_all_custom_device_type()
if not kinds:
    elsewhere("there is no custom device here")
if kinds[0] in str(paddle.base.core._get_all_register_op_kernels("phi").get("embedding_grad")):
    elsewhere(f"{kinds[0]} has a kernel of its own")
paddle.set_device(f"{kinds[0]}:0")
table = paddle.ones([3, 2])
table.stop_gradient = False
paddle.nn.functional.embedding(paddle.to_tensor([0, 1]), table).sum().backward()
if str(table.grad.place) != str(table.place):
    present(f"the weight is on {table.place}, its gradient on {table.grad.place}")
absent(f"weight and gradient are on {table.place}")
