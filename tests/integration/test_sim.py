"""The simulated cards: the plug-in is built for real, and Paddle and the ranks run on it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SIM = ROOT / "hardware" / "sim"
sys.path.append(str(SIM))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def plugin_folder() -> Path:
    done = subprocess.run([sys.executable, SIM / "build.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.split()[-1])


def python(plugin_folder: Path, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUSTOM_DEVICE_ROOT": str(plugin_folder), "GLOG_minloglevel": "2", **settings}
    command = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def say(plugin_folder: Path, code: str, **settings: str) -> str:
    done = python(plugin_folder, code, **settings)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def segments() -> list[str]:
    return [path.name for path in Path("/dev/shm").glob("paddle-sim-*")]


def test_kernels_equal_numpy_on_every_shape(plugin_folder: Path) -> None:
    environment = {**os.environ, "CUSTOM_DEVICE_ROOT": str(plugin_folder), "GLOG_minloglevel": "2"}
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "integration" / "sim_kernels.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_too_much_memory_is_an_error_that_a_program_survives(plugin_folder: Path) -> None:
    code = """
import ctypes, os, paddle
paddle.set_device("sim:1")
try:
    paddle.zeros([64 * 2**20], "float32")
    print("no error")
except MemoryError as error:
    print("Out of memory" in str(error))
x = paddle.ones([2**20])
print(float((x + x).mean()), paddle.device.get_available_custom_device())
library = ctypes.CDLL(os.environ["CUSTOM_DEVICE_ROOT"] + "/libpaddle-sim.so")
library.sim_memory_used.restype = library.sim_memory_peak.restype = ctypes.c_size_t
print(2**22 <= library.sim_memory_used(1) <= library.sim_memory_peak(1) <= 2**26, library.sim_memory_used(0))
"""
    lines = say(plugin_folder, code, SIM_MEMORY="64M", SIM_CARDS="2").splitlines()
    assert lines == ["True", "2.0 ['sim:0', 'sim:1']", "True 0"]


def test_streams_events_and_statistics_through_paddle(plugin_folder: Path) -> None:
    code = """
import paddle
from paddle.base import core
paddle.set_device("sim:0")
stream, event = paddle.device.Stream("sim:0"), paddle.device.Event("sim:0")
with paddle.device.stream_guard(stream):
    x = paddle.ones([2**20])
    event.record(stream)
stream.wait_event(event)
stream.wait_stream(paddle.device.current_stream())
event.synchronize()
paddle.device.synchronize()
print(stream.query(), event.query(), float((x + x).mean()))
allocated = core.device_memory_stat_current_value("Allocated", 0)
print(2**22 <= allocated <= core.device_memory_stat_peak_value("Allocated", 0) < 2**25)
del x
print(core.device_memory_stat_current_value("Allocated", 0) <= allocated - 2**22)
"""
    assert say(plugin_folder, code).splitlines() == ["True True 2.0", "True", "True"]


def test_a_setting_that_cannot_be_read_is_refused(plugin_folder: Path) -> None:
    done = python(plugin_folder, "import paddle", SIM_MEMORY="plenty")
    assert done.returncode == 2 and "SIM_MEMORY=plenty" in done.stderr


def test_the_runtime_shows_the_chosen_cards_alone_and_numbers_them_from_0(plugin_folder: Path) -> None:
    code = "import paddle; print(*paddle.device.get_available_custom_device())"
    assert say(plugin_folder, code, SIM_RUNTIME_VISIBLE_DEVICES="4,5").split() == ["sim:0", "sim:1"]
    assert len(say(plugin_folder, code, SIM_VISIBLE_DEVICES="4,5").split()) == 8, "the launcher's is not the runtime's"
    for named in ("8", "1,1", "a", "0,,1", "-1"):
        done = python(plugin_folder, "import paddle", SIM_RUNTIME_VISIBLE_DEVICES=named)
        assert done.returncode == 2 and f"SIM_RUNTIME_VISIBLE_DEVICES={named}" in done.stderr, named


def test_a_card_without_float64_refuses_it_and_keeps_float32(plugin_folder: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "projects")!r})
import paddle
from kit import choose_dtype
paddle.set_device("sim:0")
print(choose_dtype())
x = paddle.ones([4, 4], "float64")
print(x.place, float(x.T.contiguous().numpy().sum()), float((x.astype("float32") @ x.astype("float32")).sum()))
"""
    chosen, kept = say(plugin_folder, code, SIM_LACKS="float64").splitlines()
    assert chosen.startswith("('float32', 'sim:0 refuses float64") and kept == "Place(sim:0) 16.0 64.0"
    assert say(plugin_folder, code).startswith("('float64', 'sim:0 computes in float64')")
    done = python(plugin_folder, "import paddle", SIM_LACKS="float8")
    assert done.returncode == 2 and "SIM_LACKS=float8: expected float64" in done.stderr


def test_the_plate_runs_on_a_card_without_float64(plugin_folder: Path, tmp_path: Path) -> None:
    from harness.catalogue import entries
    from harness.runs import judge

    command = [sys.executable, "-W", "ignore", ROOT / "projects/04-plate/main.py", "--part", "4", "--device", "sim"]
    settings = {"CUSTOM_DEVICE_ROOT": str(plugin_folder), "GLOG_minloglevel": "2", "MPLCONFIGDIR": str(tmp_path)}
    subprocess.run(
        list(map(str, [*command, "--out", tmp_path])),
        env={**os.environ, **settings, "SIM_LACKS": "float64"},
        check=True,
        capture_output=True,
    )
    part, metrics = entries.load().parts["4"], json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["compute_dtype"] == "float32"
    checks = [judge.judge_metric(part, name, {}, metrics, category="simulated") for name in metrics]
    assert [f"{check.name}: {check.why}" for check in checks if check.verdict == "failed"] == []


def test_training_equals_the_cpu(plugin_folder: Path) -> None:
    code = """
import numpy as np, paddle
losses = {}
for device in ("cpu", "sim:0"):
    paddle.set_device(device)
    numbers = np.random.default_rng(0)
    layers = paddle.nn.Linear(16, 32), paddle.nn.GELU(), paddle.nn.LayerNorm(32), paddle.nn.Linear(32, 4)
    network = paddle.nn.Sequential(*layers)
    for weight in network.parameters():
        weight.set_value(numbers.normal(size=weight.shape).astype("float32") / 4)
    optimiser = paddle.optimizer.AdamW(1e-2, parameters=network.parameters())
    x = paddle.to_tensor(numbers.normal(size=(64, 16)).astype("float32"))
    y = paddle.to_tensor(numbers.integers(0, 4, 64))
    losses[device] = []
    for _ in range(20):
        loss = paddle.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimiser.step()
        optimiser.clear_grad()
        losses[device].append(loss.item())
assert losses["sim:0"][-1] < losses["sim:0"][0]
print(max(abs(a - b) / a for a, b in zip(losses["cpu"], losses["sim:0"])))
"""
    assert float(say(plugin_folder, code)) < 1e-4


def test_a_missing_kernel_fails_the_cell_as_a_silent_fall_back(plugin_folder: Path, tmp_path: Path) -> None:
    from harness.catalogue import entries
    from harness.runs import judge, processes

    command = [sys.executable, "-W", "ignore", ROOT / "projects/08-ffn/main.py", "--part", "8-1", "--device", "sim"]
    command += ["--out", tmp_path, "--set", "steps=20", "hidden=8", "inner=8"]
    settings = {"CUSTOM_DEVICE_ROOT": str(plugin_folder), "GLOG_minloglevel": "2", "MPLCONFIGDIR": str(tmp_path)}
    book = entries.load()
    for missing, verdict in (("tanh,matmul_grad", False), ("", True)):
        environment = {**os.environ, **settings, "SIM_MISSING_KERNELS": missing}
        subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True)
        proof = json.loads((tmp_path / "device.json").read_text())
        assert set(proof["places"]) == {"Place(sim:0)"}
        ending = processes.Ending(reason="finished", code=0, signal=None, seconds=1.0, output_bytes=0, left_out_bytes=0)
        measured = judge.read_measurements(tmp_path)
        checks = judge.judge(book.parts["8-1"], book.hardware["sim"], {}, ending, measured)
        (check,) = (check for check in checks if check.name == "device")
        assert check.passed is verdict
        assert verdict or check.why == "no kernel there for tanh, matmul_grad"


def test_collectives_on_2_3_and_8_ranks_in_every_type(plugin_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "integration" / "sim_collectives.py"), "all"],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "GLOG_minloglevel": "2"},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert segments() == []


def test_collectives_as_operators_on_2_cards(plugin_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    command += ["--devices", "0,1", "--log_dir", str(tmp_path)]
    command += [str(ROOT / "tests" / "integration" / "sim_operators.py")]
    settings = {"CUSTOM_DEVICE_ROOT": str(plugin_folder), "PADDLE_XCCL_BACKEND": "sim", "GLOG_minloglevel": "2"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **settings})
    logs = [path.read_text() for path in sorted(tmp_path.glob("workerlog.*"))]
    assert done.returncode == 0 and len(logs) == 2, "".join(logs)[-3000:]
    assert all("operators equal numpy" in log for log in logs)


@pytest.mark.parametrize("how", ["all_reduce", "recv", "join"])
def test_a_killed_rank_stops_the_others_and_leaves_nothing(plugin_folder: Path, how: str) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "integration" / "sim_collectives.py"), how],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "GLOG_minloglevel": "2", "SIM_TIMEOUT": "5"},
    )
    assert time.monotonic() - started < 30
    codes = json.loads(done.stdout.splitlines()[-1])
    assert codes[1] == -signal.SIGKILL and codes[0] == codes[2] == 1
    assert "rank 1 has ended" in done.stderr or "the others did not come within 5 s" in done.stderr
    assert segments() == []


def test_two_builds_at_the_same_moment_and_a_missing_compiler(plugin_folder: Path) -> None:
    builds = [subprocess.Popen([sys.executable, SIM / "build.py"], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {build.communicate()[0].strip() for build in builds} == {str(plugin_folder)}
    environment = {**os.environ, "CXX": "no-such-compiler"}
    done = subprocess.run([sys.executable, SIM / "build.py"], env=environment, capture_output=True, text=True)
    assert done.returncode == 5 and "apt-get install g++" in done.stderr
