"""to_static's gradient of concat reads inputs that were freed, where a custom device has no kernel concat_grad

Needs a custom device, a plug-in under CUSTOM_DEVICE_ROOT, without that kernel. Expected: the gradient of concat, which
the CPU computes in the device's place. It needs the shapes of concat's inputs and not their numbers, so the forward
program frees them (no_need_buffer); in the backward program all inputs of an operator without a kernel are copied to
the host, those too: "Tensor holds no memory". Eagerly it computes, and with FLAGS_eager_delete_tensor_gb=-1, where
nothing is freed, as well.
"""

import os

os.environ["SIM_MISSING_KERNELS"] = "concat_grad"  # simulated cards have one; another device takes no notice

import paddle
from verdict import absent, elsewhere, present

kinds = paddle.device.get_all_custom_device_type()
if not kinds:
    elsewhere("there is no custom device here")
if kinds[0] in str(paddle.base.core._get_all_register_op_kernels("phi").get("concat_grad")):
    elsewhere(f"{kinds[0]} has a kernel of its own")
paddle.set_device(f"{kinds[0]}:0")


@paddle.jit.to_static(full_graph=True)
def turned(x):
    return paddle.concat([-x[:, 1:], x[:, :1]], axis=-1)


x = paddle.ones([2, 2])
x.stop_gradient = False
try:
    turned(x).sum().backward()
except RuntimeError as error:
    if "holds no memory" not in str(error):
        raise
    present("the gradient of concat ends with: Tensor holds no memory")
absent(f"the gradient is computed: {x.grad.numpy().tolist()}")
