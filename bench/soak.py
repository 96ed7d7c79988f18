"""Task 10's server under mixed, hostile and cancelled requests at once: does it stay awake, and lose nothing?

    ./inv bench --only soak                        # 2 minutes
    SOAK_MINUTES=30 ./inv bench --only soak

One after another asks /health all the time: no answer may take longer than 250 ms. In the end every block of the cache
is free again, no request is open, and memory has not grown beyond what the first quarter took.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from measuring import keep
from serving import ours

STACK = "bench-inference"  # that ./inv bench runs it in

MINUTES = float(os.environ.get("SOAK_MINUTES", "2"))
STALL, GROWTH = 0.25, 1.1  # seconds of /health; memory at the end over that after a quarter of the time
PEOPLE = 12  # that ask at the same time
TEXT = {"prompt": "The sea", "max_tokens": 24}
WISHES: list[dict[str, Any]] = [
    {},
    {"stream": True, "n": 2, "seed": 1},
    {"prompt": "word " * 800_000},
    {"prompt": "a" * 300_000},
    {"prompt": [1] * 500_000},
    {"stop": ["x" * 150_000] * 4},
    {"stop": ["x" * 4_000 + str(number) for number in range(4)]},
    {"temperature": 1e-308},
    {"temperature": 1e400},
    {"logit_bias": {"1": -100, "2": 100}, "repetition_penalty": 1.3, "min_p": 0.1},
    {"echo": True, "logprobs": 5, "max_tokens": 0},
    {"structured_outputs": {"regex": "(a|b)*c{1,1000}" * 20}},
    {"structured_outputs": {"json": {"type": "object", "properties": {str(n): {} for n in range(2000)}}}},
    {"response_format": {"type": "json_object"}},
    {"unknown": 1},
]
BODIES = [b"{" * 1_000_000, b'{"prompt": [' + b"[]," * 1_000_000, b"\xff" * 1000, b"[" + b"{}," * 1_300_000 + b"{}]"]


async def ask(client: httpx.AsyncClient, draw: random.Random) -> None:
    """One request of some kind; some are left in the middle."""
    body: Any = json.dumps({**TEXT, **draw.choice(WISHES)}) if draw.random() < 0.85 else draw.choice(BODIES)
    with contextlib.suppress(httpx.TransportError, httpx.TimeoutException):
        timeout = draw.choice([0.2, 1.0, 60.0, 60.0])
        async with client.stream("POST", "completions", content=body, timeout=timeout) as response:
            if response.status_code not in (200, 400, 408, 413, 429):
                said = (await response.aread()).decode()
                if "the grammar cannot be followed" not in said:  # it grew beyond the library's limits
                    raise RuntimeError(f"{response.status_code}: {said[:300]}")
                return
            async for _ in response.aiter_bytes():
                if draw.random() < 0.02:
                    return


async def half_sent(host: str, port: int, draw: random.Random) -> None:
    """A request of which the rest never comes."""
    _, writer = await asyncio.open_connection(host, port)
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"[: draw.randrange(60)])
    await asyncio.sleep(draw.random() * 5)
    writer.close()


async def watch(client: httpx.AsyncClient, end: float) -> list[float]:
    """Seconds of each /health."""
    waits = []
    while time.monotonic() < end:
        began = time.perf_counter()
        (await client.get("/health", timeout=60)).raise_for_status()
        waits.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return waits


async def soak(address: str, memory: list[float]) -> tuple[list[float], dict[str, Any]]:
    root, draw = address.removesuffix("/v1"), random.Random(0)
    host, _, port = root.removeprefix("http://").rpartition(":")
    begin = time.monotonic()
    end, served = begin + 60 * MINUTES, itertools.count()
    async with httpx.AsyncClient(base_url=address) as client, httpx.AsyncClient(base_url=root) as calm:

        async def person() -> None:
            while time.monotonic() < end:
                await (half_sent(host, int(port), draw) if draw.random() < 0.05 else ask(client, draw))
                next(served)

        async def weigh() -> None:
            for part in (0.25, 1.0):
                await asyncio.sleep(max(begin + part * (end - begin) - time.monotonic(), 0))
                memory.append(resident())

        watching = asyncio.create_task(watch(calm, end))
        await asyncio.gather(watching, weigh(), *(person() for _ in range(PEOPLE)))
        waits = watching.result()
        for _ in range(600):
            state: dict[str, Any] = (await calm.get("/health", timeout=60)).json()
            if state["open"] == 0:
                break
            await asyncio.sleep(0.1)
    print(f"{next(served)} requests in {MINUTES:g} minutes")
    return waits, state


def resident() -> float:
    """Bytes of the servers that this process started."""
    found = 0
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        for child in (task / "children").read_text().split():
            lines = Path(f"/proc/{child}/status").read_text().splitlines()
            found += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    return float(found)


def main() -> None:
    """Soak, and judge."""
    memory: list[float] = []
    with ours("int8") as address:
        waits, state = asyncio.run(soak(address, memory))
    worst, growth = max(waits), memory[1] / memory[0]
    left = state["blocks"] - state["free_blocks"] + state["open"]
    print(f"/health: {len(waits)} times, worst {1000 * worst:.0f} ms (at most {1000 * STALL:.0f})")
    print(f"memory: {memory[0] / 1e6:.0f} MB after a quarter, {memory[1] / 1e6:.0f} MB at the end")
    print(f"open requests and blocks that are not free: {left}")
    keep({"worst_health_seconds": worst, "memory_growth": growth, "left": float(left)})
    if worst > STALL or growth > GROWTH or left:
        sys.exit("failed: see above")


if __name__ == "__main__":
    main()
