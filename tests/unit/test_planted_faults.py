"""Every judged metric has a test that plants a fault for it: a check that nothing can fail says nothing.

Such a test is marked `@pytest.mark.plants("8-2", "gradient_error_1f1b")`: it makes the program wrong, takes the metric
from the program's own code, and sees `judge_metric` fail it; projects/conftest.py watches that it did.
"""

import ast
from collections import defaultdict
from pathlib import Path

from harness.catalogue import entries

TESTS = Path(__file__).resolve().parents[1]


def planted():
    """The metrics that tests under tests/ are marked to plant faults for, by part."""
    found = defaultdict(set)
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.plants":
                part, *metrics = map(ast.literal_eval, node.args)
                found[part].update(metrics)
    return found


def judged():
    return {
        name: {metric.name for metric in part.metrics.values() if metric.bounded}
        for name, part in entries.load().parts.items()
    }


def test_every_judged_metric_has_a_planted_fault():
    faults = planted()
    missing = {part: sorted(metrics - faults[part]) for part, metrics in judged().items()}
    assert {part: metrics for part, metrics in missing.items() if metrics} == {}


def test_a_fault_is_planted_for_a_metric_that_there_is():
    there = judged()
    unknown = {part: sorted(metrics - there.get(part, set())) for part, metrics in planted().items()}
    assert {part: metrics for part, metrics in unknown.items() if metrics} == {}
