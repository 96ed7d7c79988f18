"""One side of the transformer block in bench/compiler.py: a process that says how long it takes, and what of it.

    PYTHON bench/compiler_block.py paddle 2 256 512

The words: the side, sequences, places T, channels C. The block is that of LLaMA (https://arxiv.org/abs/2302.13971) in
float32: RMS norm, one projection to q, k and v, rotary embedding, causal attention over heads of 64, a projection, RMS
norm, SwiGLU, each added to what came in; then norm, a projection to a vocabulary, and the mean cross-entropy of labels.

    paddle          the block by projects/02-compiler's generator, the step by projects/07-new-accelerator's AdamW
    paddle-eager    the same without the generator
    torch           by torch.compile, with fused causal attention and fused AdamW; forward with frozen weights
    torch-autotune  the same with mode="max-autotune"

All begin from the same weights and see the same numbers. Questions, one a line: "forward" (the loss, without a graph)
and "training" (forward, backward, AdamW) are answered with milliseconds, of the processor where there is one thread;
"loss" with the losses of the first steps. Paddle's side also answers "profile", with the milliseconds of each operator,
of AdamW and of all in a training step, and "left", with the operators that the generator left to Paddle, and why.
"""

import gc
import json
import os
import statistics
import sys
import tempfile
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
HEAD, VOCABULARY = 64, 1024
RATE, DECAY, CLIP, EPSILON = 3e-4, 0.05, 1.0, 1e-6
CALLS = 4  # in an answer; the first of them is not counted
# Of one thread it is the processor's time that counts, which others do not change.
CLOCK = time.process_time if os.environ.get("OMP_NUM_THREADS") == "1" else time.perf_counter
Answers = dict[str, Callable[[], Any]]


def shapes(channels: int) -> dict[str, list[int]]:
    """Matrices are (from, to)."""
    hidden = 8 * channels // 3 // 64 * 64
    return {
        "norm1": [channels], "qkv": [channels, 3 * channels], "output": [channels, channels], "norm2": [channels],
        "gate": [channels, hidden], "up": [channels, hidden], "down": [hidden, channels], "norm3": [channels],
        "head": [channels, VOCABULARY],
    }  # fmt: skip


def weight(name: str, shape: list[int]) -> np.ndarray:
    """What the weight of that name begins with on every side."""
    if len(shape) == 1:
        return np.ones(shape, "float32")
    return np.random.default_rng(zlib.crc32(name.encode())).normal(0, 0.02, shape).astype("float32")


def data(batch: int, places: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The block's input (B, T, C), labels (B, T), and cosine and sine of rotary embedding (T, 64)."""
    drawn = np.random.default_rng(0)
    x = drawn.standard_normal((batch, places, channels), dtype="float32")
    labels = drawn.integers(0, VOCABULARY, (batch, places))
    angles = np.arange(places)[:, None] / 10000 ** (np.arange(0, HEAD, 2) / HEAD)
    angles = np.concatenate([angles, angles], -1).astype("float32")
    return x, labels, np.cos(angles), np.sin(angles)


def paddle_side(batch: int, places: int, channels: int, compiled: bool) -> Answers:
    for project in ("02-compiler", "07-new-accelerator"):
        sys.path.insert(0, str(ROOT / "projects" / project))
    import generator
    import measure  # noqa: F401  its settings of Paddle's executor
    import paddle
    import paddle.nn.functional as F
    import tracing
    from optimiser import AdamW

    paddle.set_flags({"FLAGS_use_stride_kernel": False})  # as task 7's trainer does
    x, labels, cosine, sine = map(paddle.to_tensor, data(batch, places, channels))
    mask = paddle.to_tensor(np.triu(np.full((places, places), -1e9, "float32"), 1))

    def norm(x: Any, weight: Any) -> Any:
        return x * paddle.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * weight

    def rotated(x: Any, cosine: Any, sine: Any) -> Any:
        return x * cosine + paddle.concat([-x[..., HEAD // 2 :], x[..., : HEAD // 2]], -1) * sine

    class Block(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            for name, shape in shapes(channels).items():
                start = paddle.nn.initializer.Assign(weight(name, shape))
                setattr(self, name, self.create_parameter(shape, default_initializer=start))

        def attention(self, x: Any, cosine: Any, sine: Any, mask: Any) -> Any:
            heads = paddle.matmul(x, self.qkv).reshape([batch, places, 3 * channels // HEAD, HEAD])
            q, k, v = paddle.split(heads.transpose([0, 2, 1, 3]), 3, 1)  # each (B, H, T, 64)
            q, k = rotated(q, cosine, sine) * HEAD**-0.5, rotated(k, cosine, sine)
            mixed = paddle.matmul(F.softmax(paddle.matmul(q, k, transpose_y=True) + mask), v)
            return paddle.matmul(mixed.transpose([0, 2, 1, 3]).reshape([batch, places, channels]), self.output)

        def forward(self, x: Any, labels: Any, cosine: Any, sine: Any, mask: Any) -> Any:
            x = x + self.attention(norm(x, self.norm1), cosine, sine, mask)
            normed = norm(x, self.norm2)
            inner = F.silu(paddle.matmul(normed, self.gate)) * paddle.matmul(normed, self.up)
            x = norm(x + paddle.matmul(inner, self.down), self.norm3)
            return F.cross_entropy(paddle.matmul(x, self.head), labels.unsqueeze(-1))

    inputs = [x, labels, cosine, sine, mask]
    block, hook = Block(), generator.Generator("block")
    optimiser = AdamW(RATE, block.parameters(), DECAY, CLIP)
    call: Any = tracing.to_static(block.forward, inputs, hook)[0] if compiled else block

    def forward() -> float:
        with paddle.no_grad():
            return float(call(*inputs).item())

    def training() -> float:
        loss = call(*inputs)
        loss.backward()
        started = time.perf_counter()
        optimiser.step()
        optimiser.clear_grad()
        updates.append(1e3 * (time.perf_counter() - started))
        return float(loss.item())

    updates: list[float] = []
    return {
        "forward": forward,
        "training": training,
        "profile": lambda: paddle_profile(training, updates),
        "left": lambda: Counter(f"{name}: {why}" for name, why in hook.report.left),
    }


def paddle_profile(step: Callable[[], Any], updates: list[float]) -> dict[str, float]:
    """Milliseconds of every operator and of each kernel in one of CALLS steps, by Paddle's profiler."""
    from paddle import profiler

    taken: defaultdict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory(prefix="homework-bench-") as folder:
        path = str(Path(folder, "trace.json"))
        here = [profiler.ProfilerTarget.CPU]
        with profiler.Profiler(targets=here, on_trace_ready=lambda watch: watch.export(path)):
            started = time.perf_counter()
            for _ in range(CALLS):
                step()
            taken["step"] = 1e3 * (time.perf_counter() - started) / CALLS
        events = json.loads(Path(path).read_text())["traceEvents"]
    taken["AdamW"] = statistics.mean(updates[-CALLS:])
    for event in events:
        if event.get("cat") == "Operator":
            taken[event["name"].partition("[")[0]] += event["dur"] / 1e3 / CALLS
    return dict(taken)


def torch_side(batch: int, places: int, channels: int, mode: str | None) -> Answers:
    import torch
    import torch.nn.functional as F

    x, labels, cosine, sine = map(torch.from_numpy, data(batch, places, channels))

    def norm(x: Any, weight: Any) -> Any:
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * weight

    def rotated(x: Any) -> Any:
        return x * cosine + torch.cat([-x[..., HEAD // 2 :], x[..., : HEAD // 2]], -1) * sine

    class Block(torch.nn.Module):  # type: ignore[misc]  # torch is not where types are checked
        def __init__(self) -> None:
            super().__init__()
            for name, shape in shapes(channels).items():
                setattr(self, name, torch.nn.Parameter(torch.from_numpy(weight(name, shape))))

        def attention(self, x: Any) -> Any:
            heads = (x @ self.qkv).reshape(batch, places, 3, channels // HEAD, HEAD)
            q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
            mixed = F.scaled_dot_product_attention(rotated(q), rotated(k), v, is_causal=True)
            return mixed.transpose(1, 2).reshape(batch, places, channels) @ self.output

        def forward(self, x: Any, labels: Any) -> Any:
            x = x + self.attention(norm(x, self.norm1))
            normed = norm(x, self.norm2)
            x = x + (F.silu(normed @ self.gate) * (normed @ self.up)) @ self.down
            return F.cross_entropy((norm(x, self.norm3) @ self.head).flatten(0, 1), labels.flatten())

    block, frozen = Block(), Block().requires_grad_(False).eval()
    optimiser = torch.optim.AdamW(block.parameters(), RATE, weight_decay=DECAY, fused=True)
    call: Any = torch.compile(block, dynamic=False, mode=mode)
    inferring: Any = torch.compile(frozen, dynamic=False, mode=mode)

    def forward() -> float:
        with torch.inference_mode(), torch._inductor.config.patch(freezing=True):
            return float(inferring(x, labels).item())

    def training() -> float:
        loss = call(x, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(block.parameters(), CLIP)
        optimiser.step()
        optimiser.zero_grad()
        return float(loss.item())

    return {"forward": forward, "training": training}


def milliseconds(call: Callable[[], Any]) -> float:
    times = []
    for _ in range(CALLS):
        started = CLOCK()
        call()
        times.append(1e3 * (CLOCK() - started))
    return statistics.median(times[1:])


def main() -> None:
    side, *sizes = sys.argv[1:]
    batch, places, channels = map(int, sizes)
    if side.startswith("paddle"):
        answers = paddle_side(batch, places, channels, side == "paddle")
    else:
        answers = torch_side(batch, places, channels, "max-autotune" if side == "torch-autotune" else None)
    losses = [answers["forward"](), *(answers["training"]() for _ in range(3))]
    gc.collect()
    gc.freeze()  # as task 7's trainer does
    print("ready", flush=True)
    for line in sys.stdin:
        what = line.strip()
        timed = what in ("forward", "training")
        answer = milliseconds(answers[what]) if timed else losses if what == "loss" else answers[what]()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
