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


def main() -> None:
    program = kit.start(__file__, __doc__)
    numbers = np.random.default_rng(program.seed)
    size = program.parameters["size"]

    # 1. Paddle's own word
    is_well, heard = run_check(program.device, program.cards)
    print(heard.rstrip())

    # 2. What is installed, and how it came here
    package = Path(paddle.__file__).resolve().parent
    distribution = installation.find(package)
    evidence = installation.gather(distribution, package, paddle.version.full_version)
    method, reasons = installation.decide(evidence)
    if distribution is None:
        checked, wrong, record_hash = 0, [], "unknown: no RECORD"
        wheel = installation.Wheel(file=None, sha256=None, reason="not installed from a wheel")
    else:
        record = distribution.read_text("RECORD")
        checked, wrong = installation.verify(package.parent, record)
        record_hash = installation.record_sha256(record.splitlines())
        wheel = installation.identify(record, evidence.direct_url, wrong, PUBLISHED)
    plugins = {
        found.metadata["Name"]: found.version
        for found in distributions()
        if (found.metadata["Name"] or "").lower().replace("_", "-").startswith("paddle-")
    }

    # 3. Where we are, and whether it computes right
    model, source = machine.hardware_model(paddle.get_device())
    product = computation.matmul(numbers, size)
    images = computation.convolution(numbers)
    solution = computation.solve(numbers, size)
    program.used(product.found, images.found, solution.found)

    program.metric("run_check", is_well)
    program.metric("matmul_roundoff", product.roundoff)
    program.metric("matmul_error", product.error)
    program.metric("convolution_roundoff", images.roundoff)
    program.metric("convolution_error", images.error)
    program.metric("solve_error", solution.error)
    program.metric("files_checked", checked)
    program.metric("files_wrong", len(wrong))
    program.metric("paddle_version", paddle.version.full_version)
    program.metric("paddle_commit", paddle.version.commit)
    program.metric("method", method)
    program.metric("wheel_sha256", wheel.sha256 or f"unknown: {wheel.reason}")
    program.metric("record_sha256", record_hash)
    program.metric("hardware_model", model)
    program.trace(product=product.found, images=images.found, solution=solution.found)

    report = {
        "Paddle": f"{paddle.version.full_version}, commit {paddle.version.commit}",
        "distribution": f"{distribution.metadata['Name']} {distribution.version}" if distribution else "none",
        "plug-ins": ", ".join(f"{name} {version}" for name, version in sorted(plugins.items())) or "none",
        "method": f"{method}: {'; '.join(reasons)}",
        "wheel": f"{wheel.file or 'unknown'}: {wheel.reason}",
        "wheel's SHA-256": wheel.sha256 or "unknown",
        "RECORD's SHA-256": record_hash,
        "files": f"{checked} checked, {len(wrong)} wrong {wrong[:5] or ''}".rstrip(),
        "hardware": f"{model} ({source})",
        "device": paddle.get_device(),
        "system": platform.platform(),
        "Python": f"{platform.python_version()} at {sys.prefix}",
        "run_check": "passed" if is_well else "FAILED",
        "matmul error": f"{product.error:.1e}",
        "convolution error": f"{images.error:.1e}",
        "linear system error": f"{solution.error:.1e}",
        "factors rounded to": f"{product.roundoff:.1e}, float32's own roundoff is {computation.U:.1e}",
    }
    width = max(map(len, report))
    print("\n".join(["", *(f"{name:{width}} │ {value}" for name, value in report.items()), ""]))
    program.artefact("install.json").write_text(
        json.dumps(report | {"files_wrong": wrong}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    program.finish()


if __name__ == "__main__":
    main()
