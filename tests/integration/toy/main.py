"""A program that keeps the contract, or breaks it in the way that `mode` names. It needs no Paddle."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
mode = next(word for word in sys.argv if word.startswith("mode=")).removeprefix("mode=")
out = Path(words["--out"])
print("the toy's mode is", mode, flush=True)

if mode == "crash":
    raise SystemExit(3)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode in ("hang", "stubborn"):
    subprocess.Popen(["sleep", "61.5"])
    time.sleep(60)
if mode == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if mode == "flood":
    for _ in range(1024):
        sys.stdout.write("x" * 2**20)
if mode == "offspring":
    subprocess.Popen(["sleep", "61.5"])
if mode == "full":
    (out / "large").write_bytes(bytes(64 * 2**20))

metrics: dict[str, float] = {"error": float("nan") if mode == "nan" else 0.01}
if mode == "undeclared":
    metrics["surprise"] = 1.0
if mode != "silent":
    (out / "metrics.json").write_text(json.dumps(metrics))
device = "gpu:0" if mode == "elsewhere" else "cpu"
(out / "device.json").write_text(
    json.dumps({"device": device, "places": {"Place(cpu)": 3}, "kernels": {"matmul": True}})
)
