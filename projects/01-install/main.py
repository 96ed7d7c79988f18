"""Task 1: PaddlePaddle is installed, and really computes on this device.

    ./inv python projects/01-install/main.py --part 1 --device cpu

A screenshot shows that something was printed. This program shows what is installed (version, commit, wheel),
how it came here, that its files are still the wheel's, which hardware this is, and that the device computes
right. All of it ends in `install.json` too.
"""

import contextlib
import io
import json
import platform
import re
import sys
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

import computation
import installation
import machine
import numpy as np
import paddle

sys.path.append(str(Path(__file__).resolve().parents[1]))  # so that it runs by hand from a plain checkout
import kit

PUBLISHED = Path(__file__).resolve().parents[2] / "docker" / "locks" / "paddle-wheels.json"


def run_check(device: str, cards: int) -> tuple[bool, str]:
    """Paddle's own check: whether it ended well on the kind of `device`, and all that it printed.

    Paddle chooses the device of this check itself, and takes the CPU if it finds no card: so its words are
    read.
    """
    heard = io.StringIO()
    try:
        with contextlib.redirect_stdout(heard):
            paddle.utils.run_check()
    except Exception as error:  # whatever it is, it is this check's result and belongs into the log
        heard.write(f"{type(error).__name__}: {error}\n")
    finally:
        paddle.disable_static()
        paddle.set_device(device)  # the check leaves another one behind
    return worked(heard.getvalue(), device, cards), heard.getvalue()


def worked(heard: str, device: str, cards: int = 1) -> bool:
    """Whether the words of `run_check` say that it ended well, and on `device`.

    A Paddle for cards checks a card even where the CPU is asked for, which says all the more. It goes on
    to all visible cards together, which does not count where one was asked for ("ONLY for single GPU").
    """
    kind = device.partition(":")[0]
    on = re.search(r"works well on 1 (\w+)\.", heard)
    is_right_kind = on is not None and (kind == "cpu" or on[1].lower() == kind)
    wanted = "is installed successfully" if cards == 1 else "is installed successfully!"
    return is_right_kind and wanted in heard


@dataclass(frozen=True)
class Installed:
    """What is installed, how it came here, and whether its files are still the wheel's."""

    name: str
    method: str
    reasons: list[str]
    checked: int
    wrong: list[str]
    record_hash: str
    wheel: installation.Wheel


def look(package: Path) -> Installed:
    """Look at the Paddle that was imported from the folder `package`."""
    distribution = installation.find(package)
    method, reasons = installation.decide(installation.gather(distribution, package, paddle.version.full_version))
    if distribution is None:
        wheel = installation.Wheel(file=None, sha256=None, reason="not installed from a wheel")
        return Installed("none", method, reasons, 0, [], "unknown: no RECORD", wheel)
    record = distribution.read_text("RECORD")
    checked, wrong = installation.verify(package.parent, record)
    name = f"{distribution.metadata['Name']} {distribution.version}"
    record_hash = installation.record_sha256(record.splitlines())
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    wheel = installation.identify(record, origin, wrong, PUBLISHED)
    return Installed(name, method, reasons, checked, wrong, record_hash, wheel)


def plugins() -> str:
    """The installed plug-ins of Paddle with their versions."""
    named = {found.metadata["Name"] or "": found.version for found in distributions()}
    ours = {name: version for name, version in named.items() if name.lower().replace("_", "-").startswith("paddle-")}
    return ", ".join(f"{name} {version}" for name, version in sorted(ours.items())) or "none"


def main() -> None:
    program = kit.start(__file__, __doc__)
    numbers = np.random.default_rng(program.seed)

    # 1. Paddle's own word
    is_well, heard = run_check(program.device, program.cards)
    print(heard.rstrip())

    # 2. What is installed, and how it came here
    found = look(Path(paddle.__file__).resolve().parent)

    # 3. Where we are, and whether it computes right
    model, source = machine.hardware_model(paddle.get_device())
    product = computation.matmul(numbers, program.parameters["size"])
    images = computation.convolution(numbers)
    solution = computation.solve(numbers, program.parameters["size"])
    program.used(product.found, images.found, solution.found)

    program.metric("run_check", is_well)
    program.metric("matmul_roundoff", product.roundoff)
    program.metric("matmul_error", product.error)
    program.metric("convolution_roundoff", images.roundoff)
    program.metric("convolution_error", images.error)
    program.metric("solve_error", solution.error)
    program.metric("files_checked", found.checked)
    program.metric("files_wrong", len(found.wrong))
    program.metric("paddle_version", paddle.version.full_version)
    program.metric("paddle_commit", paddle.version.commit)
    program.metric("method", found.method)
    program.metric("wheel_sha256", found.wheel.sha256 or f"unknown: {found.wheel.reason}")
    program.metric("record_sha256", found.record_hash)
    program.metric("hardware_model", model)
    program.trace(product=product.found, images=images.found, solution=solution.found)
    computed = {"matmul": product, "convolution": images, "linear system": solution}
    lines = report(found, computed) | {
        "hardware": f"{model} ({source})",
        "run_check": "passed" if is_well else "FAILED",
    }
    width = max(map(len, lines))
    print("\n".join(["", *(f"{name:{width}} │ {value}" for name, value in lines.items()), ""]))
    program.artefact("install.json").write_text(
        json.dumps(lines | {"files_wrong": found.wrong}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    program.finish()


def report(found: Installed, computed: dict[str, computation.Result]) -> dict[str, str]:
    """The table for a person, line by line."""
    return {
        "Paddle": f"{paddle.version.full_version}, commit {paddle.version.commit}",
        "distribution": found.name,
        "plug-ins": plugins(),
        "method": f"{found.method}: {'; '.join(found.reasons)}",
        "wheel": f"{found.wheel.file or 'unknown'}: {found.wheel.reason}",
        "wheel's SHA-256": found.wheel.sha256 or "unknown",
        "RECORD's SHA-256": found.record_hash,
        "files": f"{found.checked} checked, {len(found.wrong)} wrong {found.wrong[:5] or ''}".rstrip(),
        "device": paddle.get_device(),
        "system": platform.platform(),
        "Python": f"{platform.python_version()} at {sys.prefix}",
        **{f"{name} error": f"{result.error:.1e}" for name, result in computed.items()},
        "factors rounded to": f"{computed['matmul'].roundoff:.1e}; float32's own roundoff is {computation.U:.1e}",
    }


if __name__ == "__main__":
    main()
