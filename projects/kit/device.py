"""The proof of where a program computed.

Paddle can quietly compute elsewhere than it was told, in two ways. The device may not be taken at all ("CPU
device will be used by default"): then tensors lie in the wrong place. Or one operator has no kernel for the
device: then Paddle copies its inputs to the CPU, computes there and copies back, and the tensors' places look
right all the same. So the proof has two halves: the places of the tensors used, and whether the device has
kernels of its own.
"""

from collections import Counter
from typing import Any

import numpy as np
import paddle

from .libraries import libraries

# Operators of the probe, forward and backward: PHI's name → the name under which
# `_get_all_register_op_kernels("phi")` lists it. That list translates names back to the older operator
# library: its "sum" is the addition of several tensors (add_n), the sum over an axis is "reduce_sum".
PROBE_OPERATORS = {
    "matmul": "matmul_v2",
    "add": "elementwise_add",
    "tanh": "tanh",
    "sum": "reduce_sum",
    "matmul_grad": "matmul_v2_grad",
    "add_grad": "elementwise_add_grad",
    "tanh_grad": "tanh_grad",
    "sum_grad": "reduce_sum_grad",
}


def take(name: str) -> None:
    """`paddle.set_device(name)`, and float32 that is float32: raises what Paddle raises if it is not there.

    On CUDA, Paddle by default rounds the factors of float32 products to 10 bits (TF32), an error of 1e-3
    where other hardware makes 1e-7. That would drown what runs on different hardware are compared for.
    """
    paddle.set_device(name)
    if paddle.is_compiled_with_cuda():
        for switch in ("set_cublas_switch", "set_cudnn_switch"):  # of products and of convolutions
            getattr(paddle.base.core, switch, lambda _: None)(False)


def places(thing: Any) -> Counter[str]:
    """Count the places of a tensor and its gradient, or of a layer's parameters and buffers."""
    if isinstance(thing, paddle.nn.Layer):
        return sum(map(places, [*thing.parameters(), *thing.buffers()]), Counter())
    if isinstance(thing, paddle.Tensor):
        tensors = [thing] if thing.grad is None else [thing, thing.grad]
        return Counter(str(tensor.place) for tensor in tensors)
    raise TypeError(f"used() takes paddle tensors and layers, not {type(thing).__name__}")


def has_kernel(registered: dict[str, list[str]], operator: str, device: str) -> bool:
    """Whether a float32 kernel of `operator` (PHI's name) is `registered` for `device`, as "cpu" or "gpu:3".

    `registered` maps a name to lines like "{data_type[float]; data_layout[...]; place[Place(cpu)];
    library_type[...]}". Kernels belong to a kind of device, not to one card, and are listed with the index 0:
    "Place(gpu:0)", "Place(xpu:0)", and for a plug-in its own name, "Place(npu:0)"; only the CPU has no index
    (place.cc, DebugString).
    """
    kind = device.partition(":")[0]
    wanted = "place[Place(cpu)]" if kind == "cpu" else f"place[Place({kind}:0)]"
    lines = registered.get(PROBE_OPERATORS[operator]) or registered.get(operator, [])
    return any(wanted in line and "data_type[float]" in line for line in lines)


def probe() -> tuple[Counter[str], float]:
    """Compute sum(tanh(x w + b)) and its gradients on the current device, and the same with numpy in float64.

    Returns the places of all results and the largest absolute difference. Uses no random numbers, so that it
    does not disturb the program's.
    """
    x = np.sin(np.arange(32 * 16).reshape(32, 16))  # (rows, inputs)
    w = np.cos(np.arange(16 * 8).reshape(16, 8)) / 4  # (inputs, outputs)
    b = np.linspace(-1, 1, 8)  # (outputs,)
    activation = np.tanh(x @ w + b)  # (rows, outputs)
    slope = 1 - activation**2
    expected = [activation.sum(), slope @ w.T, x.T @ slope, slope.sum(axis=0)]

    paddle.disable_static()
    leaves = [paddle.to_tensor(array.astype("float32"), stop_gradient=False) for array in (x, w, b)]
    loss = paddle.tanh(paddle.matmul(leaves[0], leaves[1]) + leaves[2]).sum()
    loss.backward()
    results = [loss, *(leaf.grad for leaf in leaves)]
    pairs = zip(results, expected, strict=True)
    error = max(float(np.abs(result.numpy() - array).max()) for result, array in pairs)
    return sum(map(places, [loss, *leaves]), Counter()), error


def visible_cards(kind: str) -> int:
    """How many cards of a kind the runtime shows this process, which numbers them from 0."""
    if kind == "cpu":
        return 1
    if kind == "gpu":
        return int(paddle.device.cuda.device_count())
    if kind == "xpu":
        return int(paddle.base.core.get_xpu_device_count())
    return sum(each.partition(":")[0] == kind for each in paddle.device.get_available_custom_device())


def proof(used: Counter[str]) -> dict[str, Any]:
    """What device.json says of the device; `used` are the places of the program's own tensors."""
    device = paddle.get_device()
    probe_places, probe_error = probe()
    registered = paddle.base.core._get_all_register_op_kernels("phi")
    fallback = "FLAGS_enable_api_kernel_fallback"  # may Paddle compute on the CPU for lack of a kernel?
    return {
        "device": device,
        "visible_cards": visible_cards(device.partition(":")[0]),
        "places": dict(used + probe_places),
        "places_of_the_program": dict(used),  # empty: the program named no tensor, only the probe speaks
        "kernels": {operator: has_kernel(registered, operator, device) for operator in PROBE_OPERATORS},
        "fallback_enabled": bool(paddle.get_flags(fallback)[fallback]),
        "probe_error": probe_error,
        "libraries": libraries(),
    }
