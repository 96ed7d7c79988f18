"""Every judged metric has a test that plants a fault for it: a check that nothing can fail says nothing.

Such a test is marked `@pytest.mark.plants("8-2", "gradient_error_1f1b")`: it makes the program wrong, takes the metric
from the program's own code, and sees `judge_metric` fail it.
"""

import ast
from collections import defaultdict
from pathlib import Path

from harness import catalogue

TESTS = Path(__file__).resolve().parents[1]

# FOR NOW ONLY: metrics whose faults are still to be planted. It may shrink, and shall be empty.
STILL_TO_PLANT = {
    "1": "run_check matmul_error convolution_error solve_error files_wrong",
    "2-1": "kernels proven forward_error gradient_error forward_error_bfloat16 gradient_error_bfloat16",
    "2-2": """
        matches_python matches_cpp false_matches_python false_matches_cpp same_program operators_after
        proven forward_error gradient_error
    """,
    "2-3": "speedup_default speedup_tuned forward_error gradient_error",
    "3": """
        operators_after traffic_after python_calls cpp_calls same_operators restored proven forward_error
        gradient_error forward_speedup forward_speedup_compiled
    """,
    "4": """
        relative_l2 moments_relative_l2 estimated_error equilibrium_error energy_error ritz_energy_lowered
        pinn_loss_ratio
    """,
    "5": """
        gradient_error discretisation_in_noise misfit_in_noise constant_misfit_in_noise error_in_deviations
        error_over_bound loss_error_in_deviations within_three_deviations coverage loss_coverage
        conductivity_relative_error loss_relative_error advice_gain advice_gain_measured
    """,
    "6": "present without_verdict",
    "7": "digits_accuracy text_held_out_loss",
    "8-2": "gradient_error_fleet loss_error_fleet",
    "9": "greedy_agreement knows_paris answer_tokens",
    "10": """
        answered same_answers divergence_float32 divergence_bfloat16 divergence_int8 divergence_int4
        divergence_float8 divergence_kv8
    """,
    "11": """
        llama32_same_weights llama32_prefill_error llama32_decode_error llama32_equal_tokens
        qwen2_vl_same_weights qwen2_vl_prefill_error qwen2_vl_decode_error qwen2_vl_equal_tokens image_error
        image_sizes_equal qwen3_same_weights qwen3_prefill_error qwen3_decode_error qwen3_equal_tokens
    """,
    "13-1": "open_after ran functions functions_executed",
    "13-2": """
        float32_equal float64_equal float64_output float64_gradient float64_loss float64_trained
        initialised_otherwise batches_same
    """,
}


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
        for name, part in catalogue.load().parts.items()
    }


def test_every_judged_metric_has_a_planted_fault():
    faults = planted()
    missing = {
        part: sorted(metrics - faults[part] - set(STILL_TO_PLANT.get(part, "").split()))
        for part, metrics in judged().items()
    }
    assert {part: metrics for part, metrics in missing.items() if metrics} == {}


def test_a_fault_is_planted_for_a_metric_that_there_is():
    there = judged()
    unknown = {part: sorted(metrics - there.get(part, set())) for part, metrics in planted().items()}
    assert {part: metrics for part, metrics in unknown.items() if metrics} == {}
