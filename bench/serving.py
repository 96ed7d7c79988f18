"""Task 10's server beside llama.cpp's: 32 conversations at the same time, of one model with the same weights.

    ./inv bench --only serving

People's turns come from ShareGPT, the answers from the server, so that a second turn brings the first one back: both
servers keep what they computed of it. Each round has other conversations, the same for all, which take turns while the
others wait. llama.cpp gets a slot for each conversation, flash attention, no mmap, huge pages, and every form that it
has with weights of these bits (inference.py): what counts is the best of them.
"""

import asyncio
import contextlib
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from inference import HUGE, PEERS, packaged
from inference_sides import PROJECTS, THREADS, llama_file
from measuring import goal, keep
from tabulate import tabulate

STACK = "bench-inference"  # that ./inv bench runs it in

CONVERSATIONS, TURNS, ANSWER = 32, 2, 64  # at the same time; human turns of each; the most tokens of an answer
QUESTION = 200  # words of a turn, at most
CONTEXT = 1024  # tokens of a conversation
ROUNDS = 2
GOALS = {"bfloat16": 2.0, "int8": 3.0, "int4": 3.0}  # times the best form's tokens a second
KINDS = ("bfloat16", "int8", "int4")
FORMS = {kind: PEERS[kind]["llama.cpp"] for kind in KINDS}
PLACE = Path(sysconfig.get_path("purelib"))  # where the wheel of llama-cpp-python has bin/ and lib/
START_SECONDS = 300


@dataclass(frozen=True)
class Exchange:
    """A turn and its answer as the client saw them, times in seconds."""

    sent: float
    first: float
    last: float
    read: int  # tokens of the prompt
    made: int  # tokens of the answer


@contextlib.contextmanager
def ours(kind: str) -> Iterator[str]:
    """The address of task 10's server."""
    server = PROJECTS / "10-optimised-inference" / "server.py"
    blocks = CONVERSATIONS * CONTEXT // 16
    command = [sys.executable, "-W", "ignore", str(server), "--port=0", f"--weights={kind}", f"--batch={CONVERSATIONS}"]
    with subprocess.Popen([*command, f"--blocks={blocks}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            ready = next((line for line in process.stdout if line.startswith("ready: ")), None)
            if ready is None:
                raise RuntimeError(f"the server ended with exit code {process.wait()}; see its output above")
            yield ready.split()[1]
        finally:
            process.kill()


@contextlib.contextmanager
def llama_cpp(form: str) -> Iterator[str]:
    """The address of llama.cpp's llama-server, which pyproject.toml has compiled into the wheel of llama-cpp-python."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**os.environ, **HUGE, "LD_LIBRARY_PATH": str(PLACE / "lib")}
    with tempfile.TemporaryDirectory() as folder:
        program = PLACE / "bin" / "llama-server"
        if not program.exists():
            sys.exit("the stack has no llama-server: remove .stacks/bench-inference, and call again")
        command = [str(program), "--model", str(llama_file(form, packaged(), Path(folder)))]
        command += ["--alias", "smollm2", "--parallel", str(CONVERSATIONS), "--port", str(port)]
        command += ["--ctx-size", str(CONVERSATIONS * CONTEXT), "--threads", str(THREADS)]
        command += ["--flash-attn", "on", "--load-mode", "none"]
        log = Path(folder) / "log.txt"
        with (
            log.open("w") as file,
            subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment) as process,
        ):
            try:
                wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
                yield f"http://127.0.0.1:{port}/v1"
            finally:
                process.kill()


def wait_until_healthy(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(address).status_code == 200:
                return
        time.sleep(0.2)
    raise RuntimeError(f"llama-server did not start:\n{log.read_text()[-2000:]}")


def people() -> Iterator[list[str]]:
    """The human turns of each conversation that has enough of them, and none too long."""
    sys.path[:0] = [str(PROJECTS / "10-optimised-inference")]
    import conversations

    for record in conversations.records(conversations.packaged()):
        said = [turn["value"] for turn in record.get("conversations", []) if turn.get("from") == "human"][:TURNS]
        if len(said) == TURNS and all(0 < len(text.split()) <= QUESTION and len(text) < 6 * QUESTION for text in said):
            yield said


async def talk(client: httpx.AsyncClient, said: list[str]) -> list[Exchange]:
    """One conversation: every turn is sent when the answer before it is complete."""
    messages, exchanges = [], []
    for text in said:
        messages.append({"role": "user", "content": text})
        order = {"model": "smollm2", "messages": messages, "max_tokens": ANSWER, "temperature": 0, "stream": True}
        order["stream_options"] = {"include_usage": True}
        sent, times, pieces = time.perf_counter(), [], []
        usage: dict[str, int] = {}
        async with client.stream("POST", "/chat/completions", json=order) as response:
            if response.status_code != 200:
                raise RuntimeError(f"{client.base_url}: {response.status_code} {(await response.aread()).decode()}")
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                usage = event.get("usage") or usage
                piece = event["choices"][0]["delta"].get("content") if event["choices"] else None
                if piece:
                    times.append(time.perf_counter())
                    pieces.append(piece)
        last = time.perf_counter()
        exchanges.append(
            Exchange(sent, times[0] if times else last, last, usage["prompt_tokens"], usage["completion_tokens"])
        )
        messages.append({"role": "assistant", "content": "".join(pieces)})
    return exchanges


async def measure(address: str, everybody: list[list[str]]) -> tuple[list[Exchange], float]:
    """All conversations at the same time; their exchanges, and the seconds until the last had ended."""
    limits = httpx.Limits(max_keepalive_connections=0)  # one for each turn: servers close kept ones as they like
    async with httpx.AsyncClient(base_url=address, timeout=None, limits=limits) as client:
        started = time.perf_counter()
        found = await asyncio.gather(*(talk(client, said) for said in everybody))
        return [exchange for each in found for exchange in each], time.perf_counter() - started


@dataclass
class Tally:
    """What a server did in all rounds."""

    exchanges: list[Exchange]
    rates: list[float]  # tokens a second, of each round

    def row(self) -> tuple[float, ...]:
        waits = sorted(1000 * (each.first - each.sent) for each in self.exchanges)
        gaps = [1000 * (each.last - each.first) / (each.made - 1) for each in self.exchanges if each.made > 1]
        read = statistics.mean(each.read for each in self.exchanges)
        most = waits[int(0.99 * (len(waits) - 1))]
        return statistics.median(self.rates), statistics.median(waits), most, statistics.median(gaps), read


def compare(kind: str) -> dict[str, Tally]:
    """All servers with weights of this kind, in turn."""
    with contextlib.ExitStack() as servers:
        addresses = {"ours": servers.enter_context(ours(kind))}
        addresses |= {f"llama.cpp {form}": servers.enter_context(llama_cpp(form)) for form in FORMS[kind]}
        tallies = {name: Tally([], []) for name in addresses}
        everybody = people()
        for number in range(1 + ROUNDS):
            said = list(itertools.islice(everybody, CONVERSATIONS if number else 2))
            for name in tallies if number % 2 else reversed(tallies):
                exchanges, seconds = asyncio.run(measure(addresses[name], said))
                if number:  # the first fills caches
                    tallies[name].exchanges += exchanges
                    tallies[name].rates.append(sum(each.made for each in exchanges) / seconds)
    return tallies


def main() -> None:
    """Measure, and print tables and goals."""
    rows, goals, numbers = [], [], {}
    for kind in KINDS:
        tallies = compare(kind)
        rows += [(kind, name, *tally.row()) for name, tally in tallies.items()]
        own = tallies.pop("ours").rates
        best = max(tallies, key=lambda name: statistics.median(tallies[name].rates))
        ratio = statistics.median(mine / theirs for mine, theirs in zip(own, tallies[best].rates, strict=True))
        numbers[f"{kind}_over_best"] = ratio
        what = f"{kind}, {CONVERSATIONS} conversations, tokens a second over {best}"
        goals.append(goal(what, ratio, at_least=GOALS[kind], unit=""))
        print(goals[-1], flush=True)
    headers = ("weights", "server", "tokens/s", "median TTFT (ms)", "P99 TTFT (ms)", "median TPOT (ms)", "mean prompt")
    print(f"\n{CONVERSATIONS} conversations of {TURNS} turns at the same time, answers of at most {ANSWER} tokens")
    print(tabulate(rows, headers, floatfmt=".0f") + "\n")
    print("\n".join(goals))
    keep(numbers)


if __name__ == "__main__":
    main()
