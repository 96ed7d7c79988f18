"""Task 8-3: the Llama of llama.py and its pieces; the program on real ranks, against PaddleNLP and its own plan."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import PROJECTS

from harness.catalogue import entries
from harness.catalogue.cells import settled
from harness.errors import UsageError
from harness.runs.judge import judge_metric

FOLDER = PROJECTS / "08-llama"
PART = entries.load().parts["8-3"]
JUDGED = [name for name, metric in PART.metrics.items() if metric.bounded]


@pytest.fixture(scope="module")
def llama(load):
    return load("08-llama/llama.py")


@pytest.fixture(scope="module")
def sizes(llama):
    return llama.Sizes(hidden=16, inner=24, layers=4, heads=2, vocabulary=32)


def section_of(llama, sizes, stage, stages, recomputing=False):
    import paddle

    held = llama.section(sizes, stage, stages)
    given = {name: paddle.to_tensor(value) for name, value in llama.constants(5, 8).items()}
    network = llama.Llama(sizes, held, given, recomputing)
    llama.fill(network, held, llama.FirstWeights(sizes, 0))
    return network


def reference(weights, sizes, tokens):
    """Logits by numpy in float64, with complex numbers for the rotary embedding."""
    w = {name: value.astype(float) for name, value in weights.items()}
    length, head = tokens.shape[1], sizes.hidden // sizes.heads
    turns = np.exp(1j * np.outer(np.arange(length), 10000.0 ** (-np.arange(0, head, 2) / head)))[:, None]

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}.weight"]

    def rotate(x):  # the pairs (i, i + head/2)
        turned = (x[..., : head // 2] + 1j * x[..., head // 2 :]) * turns
        return np.concatenate([turned.real, turned.imag], -1)

    x = w["llama.embed_tokens.weight"][tokens]
    for number in range(sizes.layers):
        at = f"llama.layers.{number}"
        h = norm(x, f"{at}.input_layernorm")
        q, k, v = ((h @ w[f"{at}.self_attn.{name}_proj.weight"]).reshape(*h.shape[:2], -1, head) for name in "qkv")
        scores = np.einsum("bsnd,btnd->bnst", rotate(q), rotate(k)) / np.sqrt(head)
        scores = np.exp(np.where(np.tri(length, dtype=bool), scores, -np.inf))
        mixed = np.einsum("bnst,btnd->bsnd", scores / scores.sum(-1, keepdims=True), v).reshape(h.shape)
        x = x + mixed @ w[f"{at}.self_attn.o_proj.weight"]
        h = norm(x, f"{at}.post_attention_layernorm")
        gate = h @ w[f"{at}.mlp.gate_proj.weight"]
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w[f"{at}.mlp.up_proj.weight"])) @ w[f"{at}.mlp.down_proj.weight"]
    return norm(x, "llama.norm") @ w["lm_head.weight"]


TOKENS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


@pytest.mark.parametrize("stages", [1, 2, 4])
def test_stages_one_after_another_compute_what_the_formulas_say(llama, sizes, stages):
    import paddle

    x = paddle.to_tensor(TOKENS)
    for stage in range(stages):
        x = section_of(llama, sizes, stage, stages)(x)
    # Weights of 0.02 make all but equal logits: their differences are what counts.
    expected = reference(llama.FirstWeights(sizes, 0), sizes, TOKENS)
    assert np.linalg.norm(x.numpy() - expected) < 1e-5 * np.linalg.norm(expected)


def test_recomputing_changes_no_gradient(llama, sizes):
    import paddle

    found = []
    for recomputing in (False, True):
        network = section_of(llama, sizes, 0, 1, recomputing)
        network(paddle.to_tensor(TOKENS)).square().mean().backward()
        found.append({name: weight.grad.numpy() for name, weight in network.named_parameters()})
    assert all(np.array_equal(gradient, found[1][name]) for name, gradient in found[0].items())


def test_the_weights_have_the_names_and_shapes_of_the_network_and_each_seed_its_own(llama, sizes):
    network = section_of(llama, sizes, 0, 1)
    assert {name: tuple(weight.shape) for name, weight in network.named_parameters()} == llama.shapes(sizes)
    one, again, other = (llama.FirstWeights(sizes, seed)["lm_head.weight"] for seed in (0, 0, 1))
    assert np.array_equal(one, again) and not np.allclose(one, other)


def test_pieces_are_cut_as_the_plan_says(llama, sizes):
    import paddle.distributed as dist

    plan = llama.plan(dist)
    for name, whole in llama.FirstWeights(sizes, 0).items():
        words = ["*" if word.isdigit() else word for word in name.split(".")]
        how = plan.get(".".join(words)) or plan.get(".".join(words[:-1]))
        axis = {dist.ColWiseParallel: 1, dist.RowWiseParallel: 0, type(None): None}[type(how)]
        assert llama.cut_axis(name) == axis
        pieces = [llama.piece(whole, name, 2, index) for index in (0, 1)]
        assert np.array_equal(pieces[0] if axis is None else np.concatenate(pieces, axis), whole)


def test_the_cross_entropy_of_one_slice_is_paddle_s(load):
    import paddle
    import paddle.nn.functional as F

    stage = load("08-llama/stage.py")
    logits = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 5, 32)).astype("float32"))
    answers = paddle.to_tensor(TOKENS)
    found, expected = stage.cross_entropy(logits, answers, 1, 0, None), F.cross_entropy(logits, answers.unsqueeze(-1))
    assert abs(found.item() / expected.item() - 1) < 1e-6


def run(out, *settings, cards=4):
    """The program on ranks, without PaddleNLP, which the tests' packages lack."""
    words = ["--part", "8-3", "--device", "cpu", "--cards", str(cards), "--seed", "0", "--out", str(out)]
    words += ["--set", "compare=false", "steps=2", *settings]
    command = [sys.executable, str(PROJECTS / "kit" / "launch.py"), str(FOLDER / "main.py"), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
    return subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)


def loss_alone(llama, load, program, steps):
    """The losses of one process, by llama.py."""
    import paddle
    import paddle.nn.functional as F

    p = {name: parameter.default for name, parameter in PART.parameters.items()} | {"steps": steps}
    sizes = llama.Sizes(*(p[name] for name in ("hidden", "inner", "layers", "heads", "vocabulary")))
    given = llama.constants(p["length"], sizes.hidden // sizes.heads)
    network = llama.Llama(sizes, llama.section(sizes, 0, 1), {n: paddle.to_tensor(v) for n, v in given.items()})
    llama.fill(network, network.held, llama.FirstWeights(sizes, 0))
    adam, losses = paddle.optimizer.AdamW(p["learning_rate"], parameters=network.parameters(), weight_decay=0.01), []
    for batch, answers in program.text(p, 0):
        loss = F.cross_entropy(network(paddle.to_tensor(batch)), paddle.to_tensor(answers).unsqueeze(-1))
        loss.backward()
        adam.step()
        adam.clear_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.slow
def test_ranks_come_to_the_losses_of_one_process_and_to_the_memory_that_was_planned(tmp_path, llama, load):
    done = run(tmp_path, "pp=1")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    expected = loss_alone(llama, load, load("08-llama/problem.py"), 2)
    with np.load(tmp_path / "trace.npz") as trace:
        assert np.allclose(trace["loss"], expected, rtol=1e-6)
        assert np.allclose(trace["loss_measured"], expected, rtol=1e-6)  # of every setting that was measured
    assert metrics["pieces_right"] is True and metrics["route"] == "dist.parallelize"
    assert failed(metrics, compare=False) == set()
    assert "does NOT fit into 64 GiB" in (tmp_path / "memory-plan.txt").read_text()


def failed(metrics, **parameters):
    checks = {n: judge_metric(PART, n, parameters, metrics) for n in JUDGED if n in metrics}
    return {name for name, check in checks.items() if check.verdict == "failed"}


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """The metrics of the program with each fault, all from one start of two ranks."""
    out = tmp_path_factory.mktemp("faults")
    words = ["--part", "8-3", "--cards", "2", "--out", str(out)]
    words += ["--set", "pp=1", "dp=1", "mp=2", "steps=2", "layers=2", "micro_batches=2"]
    script = Path(__file__).with_name("faulty_llama.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOG_minloglevel": "2"}
    command = [sys.executable, str(PROJECTS / "kit" / "launch.py"), str(script), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("*/metrics.json")}


@pytest.mark.slow
class TestFaults:
    def test_the_right_program_has_none(self, faults):
        assert set(JUDGED) <= faults["none"].keys() and failed(faults["none"]) == set()

    @pytest.mark.plants("8-3", "pieces_right")
    def test_weights_that_nobody_cut(self, faults):
        assert failed(faults["uncut"]) == {"pieces_right"}

    @pytest.mark.plants("8-3", "loss_difference", "loss_difference_explicit")
    def test_a_stale_micro_batch(self, faults):
        assert failed(faults["stale"]) == {"loss_difference", "loss_difference_explicit"}

    @pytest.mark.plants("8-3", "planner_error")
    def test_a_plan_that_forgets_half_of_what_a_layer_keeps(self, faults):
        assert failed(faults["half the activations"]) == {"planner_error"}

    @pytest.mark.plants("8-3", "planner_error_states")
    def test_a_plan_that_knows_of_one_moment(self, faults):
        assert "planner_error_states" in failed(faults["one moment"])


@pytest.mark.parametrize(
    "settings",
    [
        ["pp=4"], ["layers=3"], ["batch=12"], ["micro_batches=5", "batch=5", "dp=1", "mp=4"], ["heads=1"],
        ["inner=5"], ["vocabulary=257"], ["hidden=20"], ["model=paddlenlp", "recompute=true"], ["hidden=16384"],
        ["batch=4096", "length=4096"],
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_a_run(settings):
    settled(PART, None, [], 8)
    with pytest.raises(UsageError, match="8-3 cannot run"):
        settled(PART, None, settings, 8)


@pytest.mark.slow
def test_a_run_that_does_not_fit_is_refused_before_anything_starts(tmp_path):
    done = run(tmp_path, "pp=1", "dp=1", "mp=2", "memory=0.002", cards=2)
    assert done.returncode == 2 and "this run does not fit its cards" in done.stdout
    assert "GiB in all" in done.stdout and "Traceback" not in done.stdout
