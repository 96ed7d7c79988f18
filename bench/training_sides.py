"""One side of bench/training.py: a process that trains the GPT of task 7 and says how long its steps take.

    OMP_NUM_THREADS=1 PYTHON bench/training_sides.py paddle 64 2 32

The words: the side, channels, layers, sequences in a batch. The sides are

    paddle           projects/07-new-accelerator/transformer.py, and a step as the trainer there does it
    torch            the same model in PyTorch, operator by operator, with the optimiser as torch.optim gives it
    torch, fused     PyTorch with its fused causal attention and its fused AdamW
    torch, compiled  the latter with its forward and backward compiled by torch.compile

All begin from the same weights, see the same letters, and compute in float32. A question is the number of steps to
take, an answer one JSON list for each of them: seconds of forward, backward, optimiser; and the loss. "profile N" is
answered with the milliseconds that each operator took in one of N steps, by the framework's own profiler.
"""

import gc
import json
import pydoc_data.topics
import re
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
CONTEXT, HEADS = 64, 4
RATE, DECAY, CLIP = 0.003, 0.05, 1.0  # as part 7 has them; here the rate stays
Step = Callable[[Any, Any], tuple[float, float, float, float]]
ALPHABET = len(set("\n".join(pydoc_data.topics.topics.values())))


def weight(name: str, shape: list[int]) -> np.ndarray:
    """What the weight of that name begins with on every side; matrices are (from, to)."""
    return np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.02, shape).astype("float32")


def batches(size: int) -> Any:
    """Letters (size, context) and those that follow, without end."""
    for number in range(10**9):
        letters = np.random.default_rng(number).integers(0, ALPHABET, (size, CONTEXT + 1))
        yield letters[:, :-1], letters[:, 1:]


def paddle_side(channels: int, layers: int) -> Step:
    """Part 7's model, and what its trainer does in a step."""
    sys.path.insert(0, str(ROOT / "projects" / "07-new-accelerator"))
    import paddle
    import paddle.nn.functional as F
    from optimiser import AdamW
    from transformer import GPT

    paddle.set_flags({"FLAGS_use_stride_kernel": False})  # as the trainer does
    network = GPT(ALPHABET, CONTEXT, channels, HEADS, layers)
    for name, value in network.named_parameters():
        value.set_value(weight(name, value.shape))
    optimiser = AdamW(RATE, network.parameters(), DECAY, CLIP)

    def step(letters: Any, following: Any) -> tuple[float, float, float, float]:
        started = time.perf_counter()
        loss = F.cross_entropy(network(paddle.to_tensor(letters)), paddle.to_tensor(following))
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        optimiser.step()
        optimiser.clear_grad()
        return forward - started, backward - forward, time.perf_counter() - backward, loss.item()

    return step


def torch_side(channels: int, layers: int, fused: bool, compiled: bool) -> Step:
    """The same model in PyTorch; names of weights are those of part 7."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class Block(nn.Module):  # type: ignore[misc]  # torch is not where types are checked
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.triu(torch.full((CONTEXT, CONTEXT), -1e9), 1), persistent=False)
            self.qkv = nn.Linear(channels, 3 * channels, bias=False)
            self.output = nn.Linear(channels, channels, bias=False)
            self.up = nn.Linear(channels, 4 * channels, bias=False)
            self.down = nn.Linear(4 * channels, channels, bias=False)

        def attention(self, x: Any) -> Any:
            batch, places, _ = x.shape
            heads = self.qkv(x).reshape(batch, places, 3, HEADS, channels // HEADS)
            q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, H, T, C/H)
            if fused:
                mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                scores = q * (channels // HEADS) ** -0.5 @ k.transpose(-1, -2)  # (B, H, T, T)
                mixed = F.softmax(scores + self.mask[:places, :places], -1) @ v
            return self.output(mixed.transpose(1, 2).reshape(batch, places, channels))

        def forward(self, x: Any) -> Any:
            x = x + self.attention(F.layer_norm(x, x.shape[-1:]))
            return x + self.down(F.gelu(self.up(F.layer_norm(x, x.shape[-1:])), approximate="tanh"))

    class GPT(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.places = nn.Embedding(CONTEXT, channels)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.head = nn.Linear(channels, ALPHABET, bias=False)
            self.embedding = nn.Embedding(ALPHABET, channels)

        def forward(self, tokens: Any) -> Any:
            x = self.embedding(tokens) + self.places.weight[: tokens.shape[1]]
            for block in self.blocks:
                x = block(x)
            return self.head(F.layer_norm(x, x.shape[-1:]))

    network = GPT()
    linear = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    with torch.no_grad():
        for name, value in network.named_parameters():
            turned = name in linear  # nn.Linear keeps its matrix as (to, from)
            start = weight(name, list(value.shape)[::-1] if turned else list(value.shape))
            value.copy_(torch.from_numpy(start.T if turned else start))
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY, fused=fused)

    def loss_of(letters: Any, following: Any) -> Any:
        return F.cross_entropy(network(letters).reshape(-1, ALPHABET), following.reshape(-1))

    forward_pass: Any = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step(letters: Any, following: Any) -> tuple[float, float, float, float]:
        started = time.perf_counter()
        loss = forward_pass(torch.tensor(letters), torch.tensor(following))
        forward = time.perf_counter()
        loss.backward()
        backward = time.perf_counter()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()
        return forward - started, backward - forward, time.perf_counter() - backward, loss.item()

    return step


def paddle_profile(step: Step, drawn: list[Any]) -> dict[str, float]:
    """Milliseconds of every operator and generated kernel, forward and backward."""
    import fused
    from paddle import profiler

    taken: defaultdict[str, float] = defaultdict(float)
    run = fused.Kernel.__call__

    def timed(kernel: Any, tensors: Any) -> Any:
        started = time.perf_counter()
        found = run(kernel, tensors)
        taken[kernel.name] += 1e3 * (time.perf_counter() - started)
        return found

    with tempfile.TemporaryDirectory(prefix="homework-bench-") as folder:
        path = str(Path(folder, "trace.json"))
        here = [profiler.ProfilerTarget.CPU]
        watch = profiler.Profiler(targets=here, on_trace_ready=lambda watch: watch.export(path))
        fused.Kernel.__call__ = timed
        with watch:
            for batch in drawn:
                step(*batch)
        fused.Kernel.__call__ = run
        events = json.loads(Path(path).read_text())["traceEvents"]
    for event in events:
        if event.get("cat") == "Operator":  # names carry their time: matmul dygraph[1.2 ms], Global_MatmulGradNode[…]
            taken[re.split(r" dygraph|\[", event["name"])[0]] += event["dur"] / 1e3
    return dict(taken)


def torch_profile(step: Step, drawn: list[Any]) -> dict[str, float]:
    """Milliseconds of every operator, forward and backward, without those it calls."""
    from torch import profiler

    with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as watch:
        for batch in drawn:
            step(*batch)
    return {each.key: each.self_cpu_time_total / 1e3 for each in watch.key_averages()}


def main() -> None:
    side, (channels, layers, batch) = sys.argv[1], map(int, sys.argv[2:])
    if side == "paddle":
        step = paddle_side(channels, layers)
    else:
        step = torch_side(channels, layers, side != "torch", side == "torch, compiled")
    drawn = batches(batch)
    gc.freeze()  # as the trainer does
    print("ready", flush=True)
    for line in sys.stdin:
        if line.startswith("profile"):
            steps = int(line.split()[1])
            profile = paddle_profile if side == "paddle" else torch_profile
            taken = profile(step, [next(drawn) for _ in range(steps)])
            print(json.dumps({name: total / steps for name, total in taken.items()}), flush=True)
            continue
        print(json.dumps([step(*next(drawn)) for _ in range(int(line))]), flush=True)


if __name__ == "__main__":
    main()
