"""One process alone trains PaddleNLP's Llama, in float32 and in float64: what all ranks are held against.

It runs beside the ranks, in a process of its own: importing PaddleNLP takes ten seconds of a core.
"""

import concurrent.futures
import multiprocessing
from typing import Any

import paddle
import paddle.nn.functional as F
from llama import FirstWeights, Sizes
from problem import Steps


def train(device: str, sizes: Sizes, seed: int, steps: Steps, rate: float) -> dict[str, list[float]]:
    """The losses of all steps: "float32" on the device, "float64" on the host, which has it always."""
    found = {}
    for dtype, place in (("float32", device), ("float64", "cpu")):
        paddle.set_device(place)
        paddle.set_default_dtype(dtype)
        if place.partition(":")[0] in paddle.device.get_all_custom_device_type():
            # Its rotary embedding takes slices, whose gradients need kernels ("fill") that plug-ins do not have.
            paddle.set_flags({"FLAGS_use_stride_kernel": False})
        found[dtype] = train_in(dtype, sizes, seed, steps, rate)
    return found


def train_in(dtype: str, sizes: Sizes, seed: int, steps: Steps, rate: float) -> list[float]:
    """The losses of all steps, on the device that is set."""
    import paddlenlp_llama  # here, so that who only starts the process does not import PaddleNLP

    network = paddlenlp_llama.whole(sizes, steps[0][0].shape[1], FirstWeights(sizes, seed), dtype)
    optimiser = paddle.optimizer.AdamW(rate, parameters=network.parameters(), weight_decay=0.01)
    losses = []
    for batch, answers in steps:
        loss = F.cross_entropy(network(paddle.to_tensor(batch)), paddle.to_tensor(answers).unsqueeze(-1))
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses.append(loss.item())
    return losses


def start(*arguments: Any) -> "concurrent.futures.Future[dict[str, list[float]]]":
    """`train` in a new process."""
    context = multiprocessing.get_context("spawn")  # Paddle does not survive a fork
    return concurrent.futures.ProcessPoolExecutor(1, mp_context=context).submit(train, *arguments)
