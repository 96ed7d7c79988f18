"""A program that keeps the contract on whatever card it is given, after a while. It needs no Paddle."""

import json
import sys
import time
from pathlib import Path

words = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
settings = dict(word.split("=", 1) for word in sys.argv if word.startswith(("seconds=", "fails_once=")))
out = Path(words["--out"])
print(f"sleeping {settings['seconds']} s", flush=True)
time.sleep(float(settings["seconds"]))
mark = Path(".cache") / f"ran-{words['--seed']}-{words['--part']}"
if settings["fails_once"] == "true" and words["--part"] == "2" and not mark.exists():
    mark.touch()
    raise SystemExit(3)
(out / "metrics.json").write_text(json.dumps({"error": 0.01}))
device = words["--device"]
proof = {"device": f"{device}:0", "places": {f"Place({device}:0)": 3}, "kernels": {"matmul": True}}
(out / "device.json").write_text(json.dumps(proof))
