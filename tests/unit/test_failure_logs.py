"""Logs of failures after public reports: each is explained, by its cause and no other."""

import gzip
from pathlib import Path

import pytest
import yaml

from harness.catalogue import entries, symptoms

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / "tests/data/logs"
FAILURES = yaml.safe_load((LOGS / "failures.yaml").read_text(encoding="utf-8"))
KINDS = sorted(entries.load().hardware)

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
    "WARNING: OMP_NUM_THREADS set to 1, not 8. The computation speed will not be optimized if you use data parallel.",
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure["from"])
def test_a_log_is_explained_by_its_cause_and_no_other(failure):
    found = [each.cause for each in symptoms.explain(failure["log"], [failure["kind"]])]
    assert len(found) == len(failure["causes"]), found
    assert all(cause.startswith(words) for cause, words in zip(found, failure["causes"], strict=True)), found


@pytest.mark.parametrize("line", QUIET)
def test_what_runs_print_that_go_well_is_no_symptom(line):
    assert symptoms.explain(line, KINDS) == []


def test_no_symptom_is_in_the_logs_of_runs_that_passed():
    assert symptoms.explain(gzip.decompress((LOGS / "runs.log.gz").read_bytes()).decode("utf-8"), KINDS) == []
