"""Which hardware this is, in its own words."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import paddle


def hardware_model(device: str) -> tuple[str, str]:
    """The model of the hardware behind `device`, a name as "cpu", "gpu:0" or "npu:3", and who says so."""
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return cpu_model()
    if kind == "gpu":
        return paddle.device.cuda.get_device_name(int(index or 0)), "paddle.device.cuda.get_device_name"
    # For every other kind Paddle 3.0 names no model. The driver's own tool does, but that is no matter of
    # Paddle's.
    return f"{kind}, model unknown", "Paddle has no name for this kind of device"


def cpu_model() -> tuple[str, str]:
    """The processor's name and where it was read."""
    try:
        name = model_in_cpuinfo(Path("/proc/cpuinfo").read_text(errors="replace"))
    except OSError:
        name = None
    if name:
        return name, "/proc/cpuinfo"
    # Linux on ARM writes numbers into cpuinfo, lscpu knows the names that belong to them; macOS has sysctl.
    command = ["sysctl", "-n", "machdep.cpu.brand_string"] if sys.platform == "darwin" else ["lscpu"]
    try:
        # LC_ALL=C, because lscpu translates its labels.
        plain = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        output = subprocess.run(command, capture_output=True, text=True, timeout=10, env=plain).stdout.strip()
    except OSError:
        output = ""
    name = output if sys.platform == "darwin" else model_in_cpuinfo(output)
    if name:
        return name, command[0]
    return platform.processor() or platform.machine() or "unknown", "platform"


def model_in_cpuinfo(text: str) -> str | None:
    """The first model name in the text of /proc/cpuinfo or lscpu; None if there is none."""
    found = re.search(r"(?im)^(?:model name|cpu model)[ \t]*:[ \t]*(\S.*?)\s*$", text)
    return found[1] if found else None
