"""The options of server.py, and nothing that takes time to import: so ./inv serve --help has them at once.

./inv serve --help
"""

import argparse
import json
import os
import re
from pathlib import Path

from formats import CACHES, KINDS

KEY = "PADDLEHOMEWORK_API_KEY"
ISAS = ("best", "avx512", "avx2", "portable", "none")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MOST = {"port": 65535, "threads": 1024}
POOLING = {"mean": "the mean of a text's tokens", "last": "a text's last token"}
DEVICE = re.compile(r"[a-z][a-z0-9_]*(:\d{1,3})?")
ORIGIN = re.compile(r"https?://[^/\s]+")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


def what_lacks(model: Path) -> str:
    """What keeps a file or folder from being a model at first sight; "" where nothing does."""
    try:
        if model.is_dir() and (model / "config.json").is_file():
            config = json.loads((model / "config.json").read_text(encoding="utf-8"))
            if not isinstance(config, dict) or not (config.get("architectures") or config.get("model_type")):
                return f"{model / 'config.json'} names no architecture"
            there = [path for path in WEIGHTS if (model / path).is_file()]
            return "" if there else f"{model} has neither {' nor '.join(WEIGHTS)}"
        if model.is_dir():
            found = sorted(model.glob("*.gguf"))
            if len(found) != 1:
                return f"{model} has no config.json and {len(found)} GGUF files"
            model = found[0]
        if not model.is_file():
            return f"there is no model at {model}"
        with model.open("rb") as file:
            return "" if file.read(4) == b"GGUF" else f"{model} is no GGUF file"
    except OSError as error:
        return f"{error.filename or model} cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return f"{model / 'config.json'} is not JSON"


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The options among `words`, by default the process's own; where they mean nothing it ends with exit code 2."""
    parser = argparse.ArgumentParser(
        "server.py", description="An HTTP server that speaks OpenAI's API.", allow_abbrev=False
    )
    parser.add_argument(
        "--model", default="smollm2", help="smollm2, a GGUF file, or a folder in Hugging Face's layout [%(default)s]"
    )
    parser.add_argument("--name", default="", help="what requests call the model; else as --model ends")
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen; another than loopback wants a key [%(default)s]"
    )
    parser.add_argument("--port", type=int, default=8000, help="0: one that is free, which is printed [%(default)s]")
    parser.add_argument("--weights", default="bfloat16", choices=list(KINDS), help="the kind of weights [%(default)s]")
    parser.add_argument("--cache", default="float16", choices=CACHES, help="keys and values [%(default)s]")
    parser.add_argument("--blocks", type=int, default=512, help="blocks of 16 positions in the cache [%(default)s]")
    parser.add_argument(
        "--batch", type=int, default=32, help="requests that are answered at the same time [%(default)s]"
    )
    parser.add_argument("--chunk", type=int, default=128, help="the most tokens computed in a step [%(default)s]")
    parser.add_argument(
        "--queue", type=int, default=256, help="requests that may wait beside these; then it is 429 [%(default)s]"
    )
    parser.add_argument("--device", default="cpu", help="Paddle's name of the device [%(default)s]")
    parser.add_argument(
        "--isa", default="best", choices=ISAS, help="the kernels' instructions; none: plain operators [%(default)s]"
    )
    parser.add_argument(
        "--threads", type=int, default=0, help="threads that compute; 0: one for each core [%(default)s]"
    )
    parser.add_argument(
        "--pooling",
        default="mean",
        choices=list(POOLING),
        help="what /v1/embeddings makes of a text's tokens [%(default)s]",
    )
    parser.add_argument(
        "--cors",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web page's origin that may ask from a browser, as https://a.example; * for all; may be repeated",
    )
    chosen = parser.parse_args(words)
    for name, least in {"port": 0, "blocks": 4, "batch": 1, "chunk": 1, "queue": 0, "threads": 0}.items():
        if not least <= getattr(chosen, name) <= MOST.get(name, 2**20):
            parser.error(f"--{name} must be {least} to {MOST.get(name, 2**20)}")
    if chosen.model != "smollm2" and (lacks := what_lacks(Path(chosen.model).expanduser())):
        parser.error(f"{lacks}: name a GGUF file, a folder in Hugging Face's layout, or smollm2")
    if not DEVICE.fullmatch(chosen.device):
        parser.error(f"--device {chosen.device} is no device: name one as Paddle does, cpu, gpu:0 or npu:1")
    if chosen.host not in LOOPBACK and not os.environ.get(KEY):
        parser.error(
            f"--host {chosen.host} lets others in: set a key, or several with commas, in the environment variable {KEY}"
        )
    for origin in chosen.cors:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            parser.error(f"--cors {origin} is no origin: name one as https://a.example or http://localhost:3000, or *")
    return chosen


if __name__ == "__main__":
    arguments()
