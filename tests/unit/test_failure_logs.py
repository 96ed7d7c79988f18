"""Logs of failures after public reports: each is explained, by its cause and no other."""

import gzip
from pathlib import Path

import pytest
import yaml

from harness.catalogue import entries, symptoms

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "tests/data/logs"
FAILURES = yaml.safe_load((LOGS / "failures.yaml").read_text(encoding="utf-8"))
HEALTHY = yaml.safe_load((LOGS / "healthy.yaml").read_text(encoding="utf-8"))
KINDS = list(entries.load().hardware)

# What runs that went well have printed, and words that stand beside errors elsewhere.
QUIET = [
    "NCCL INFO NCCL_IB_TIMEOUT set by environment to 22.",
    "I0302 16:55:24 process_group_nccl.cc:132] ProcessGroupNCCL pg_timeout_ 1800000 timeout(ms): 1800000",
    "export ASCEND_TOOLKIT_HOME=/usr/local/Ascend/ascend-toolkit/latest",
    "ASCEND_TOOLKIT_HOME=/usr/local/Ascend/ascend-toolkit/latest HCCL_CONNECT_TIMEOUT=1800",
    "step 507033: loss 0.25, 507008 tokens, 207001 B, 100000 steps, 507899 of 600000",
    "oom_kill 0",
    "I0817 16:45:30.384624  4104 tcp_store.cc:257] receive shutdown event and so quit from MasterDaemon run loop",
    "I0302 16:55:25.152160 custom_device_load.cc:51] Succeed in loading custom runtime in lib: libpaddle-custom-npu.so",
    "I0302 custom_device_load.cc:58] Skipped lib [libpaddle-custom-npu.so]: no custom engine Plugin symbol.",
    "UserWarning: No ccache found. Please be aware that recompiling all source files may be required.",
    "W0923 gpu_resources.cc:114] Please NOTE: device: 0, GPU Compute Capability: 9.0, Driver API Version: 12.2, "
    "Runtime API Version: 12.6",
    "node1:2131:2164 [0] NCCL INFO NCCL version 2.25.1+cuda12.8",
    "NVIDIA_REQUIRE_CUDA=cuda>=12.6 brand=tesla,driver>=535,driver<536 BKCL_TIMEOUT=1800 KMP_DUPLICATE_LIB_OK=TRUE",
    "RuntimeWarning: numpy.dtype size changed, may indicate binary incompatibility. Expected 96, got 88",
    "XPURT /usr/local/lib/python3.10/site-packages/paddle/base/../libs/libxpurt.so loaded",
    "I0302 process_group_bkcl.cc:120] BKCL timeout is 1800000 ms, HCCL_EXEC_TIMEOUT=1836, CNCL_LOG_LEVEL=ERROR",
    "max memory 23.6 GB of 24 GB, no card out of memory; errors: 0; protobuf 6.33.6; setuptools 80.9",
    "Collecting distutils-strtobool; Successfully installed paddlepaddle-3.0.0 numpy-1.26.4 protobuf-6.33.6",
    "WARNING: OMP_NUM_THREADS set to 1, not 8. The computation speed will not be optimized if you use data parallel.",
]


@pytest.mark.parametrize("kinds", ["its kind", "every kind"])
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure["from"])
def test_a_log_is_explained_by_its_cause_and_no_other(failure, kinds):
    """Also where nobody says of which kind it is, as for ./inv doctor --log FILE."""
    asked = [failure["kind"]] if kinds == "its kind" else KINDS
    found = [each.cause for each in symptoms.explain(failure["log"], asked)]
    assert len(found) == len(failure["causes"]), found
    assert all(cause.startswith(words) for cause, words in zip(found, failure["causes"], strict=True)), found


@pytest.mark.parametrize("line", QUIET)
def test_what_runs_print_that_go_well_is_no_symptom(line):
    assert symptoms.explain(line, KINDS) == []


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_log_has_no_symptom(name):
    assert symptoms.explain(HEALTHY[name], KINDS) == []


def test_no_symptom_is_in_the_logs_of_runs_that_passed():
    assert symptoms.explain(gzip.decompress((LOGS / "runs.log.gz").read_bytes()).decode("utf-8"), KINDS) == []
