"""Task 9: the decoder is the one in the papers, and its answers are those of transformers."""

import json
import subprocess
import sys

import llm
import numpy as np
import paddle
import pytest
from folders import PROJECTS
from llm import decoder as decoders
from llm import exact
from llm.decoder import KVCache, Llama
from test_llm import SMALL, write_folder

from harness.catalogue import entries
from harness.runs.judge import judge_metric


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "m"
    write_folder(folder)
    model = llm.open_model(str(folder))
    return model, Llama(model.config, model.weights)


def in_numpy(config, weights, tokens):
    """The decoder once more in numpy and float64, head by head and token by token: (T, vocabulary)."""
    weights = {name: weight.astype("float64") for name, weight in weights.items()}

    def norm(x, name):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + config.epsilon) * weights[name + ".weight"]

    def turned(x, position):
        half = config.head_dim // 2
        angle = position * config.rope_theta ** (-np.arange(half) / half)
        turn = (x[:half] + 1j * x[half:]) * np.exp(1j * angle)
        return np.concatenate([turn.real, turn.imag])

    x = weights["model.embed_tokens.weight"][tokens]
    for number in range(config.layers):
        prefix = f"model.layers.{number}."
        heads = {}
        for name in "qkv":
            all_heads = norm(x, prefix + "input_layernorm") @ weights[f"{prefix}self_attn.{name}_proj.weight"].T
            heads[name] = all_heads.reshape(len(tokens), -1, config.head_dim)
        mixed = np.zeros_like(heads["q"])
        for t in range(len(tokens)):
            for h in range(config.heads):
                q, kv = turned(heads["q"][t, h], t), h // config.group
                scores = np.array([q @ turned(heads["k"][s, kv], s) for s in range(t + 1)]) / np.sqrt(config.head_dim)
                shares = np.exp(scores - scores.max())
                mixed[t, h] = shares / shares.sum() @ heads["v"][: t + 1, kv]
        x = x + mixed.reshape(len(tokens), -1) @ weights[prefix + "self_attn.o_proj.weight"].T
        y = norm(x, prefix + "post_attention_layernorm")
        gate = y @ weights[prefix + "mlp.gate_proj.weight"].T
        up = y @ weights[prefix + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[prefix + "mlp.down_proj.weight"].T
    return norm(x, "model.norm") @ weights["lm_head.weight"].T


def test_logits_are_those_of_the_formulas(small):
    model, network = small
    tokens = [3, 14, 15, 9, 2, 6]
    expected = in_numpy(model.config, model.weights, tokens)
    truth = exact.logits(model.config, model.weights, np.array([tokens, tokens[::-1]]))
    np.testing.assert_allclose(truth[0], expected, rtol=1e-9)
    logits = network.step(np.array([tokens]), KVCache()).numpy()
    assert exact.error(logits[0], expected) < 1e-5


@pytest.mark.parametrize("cut", [1, 4])
def test_a_text_in_two_steps_gives_the_same_as_in_one(small, cut):
    _, network = small
    tokens, cache = np.array([[3, 14, 15, 9, 2, 6], [5, 3, 5, 8, 9, 7]]), KVCache()  # two texts at once
    whole = network.step(tokens, KVCache()).numpy()
    network.step(tokens[:, :cut], cache)
    parts = network.step(tokens[:, cut:], cache).numpy()
    np.testing.assert_allclose(parts, whole[:, cut:], rtol=1e-3, atol=1e-5)


class Script:
    """A network that says given tokens, whatever it is asked."""

    def __init__(self, says):
        self.says, self.config = says, llm.families.from_hugging_face({**SMALL, "max_position_embeddings": 10})

    def step(self, tokens, cache, last=False):
        place = len(cache.keys)
        cache.keys.append(tokens)
        return paddle.to_tensor(np.eye(48, dtype="float32")[[[self.says[place]]]])


@pytest.mark.parametrize(
    ("says", "limit", "tokens", "stopped"),
    [
        ([5, 6, 1, 7], 8, [5, 6], "stop token"),
        ([5, 6, 7, 8], 3, [5, 6, 7], "length"),
        ([5] * 20, 99, [5] * 7, "context"),
        ([1], 9, [], "stop token"),
    ],
)
def test_an_answer_ends(load, says, limit, tokens, stopped):
    seen = []
    generate = load("09-inference/generation.py").generate
    answer = generate(Script(says), [2, 3, 4], limit, llm.Sampler(), frozenset([1]), seen.append)
    assert (answer.tokens, answer.stopped, seen) == (tokens, stopped, tokens)


@pytest.mark.parametrize(("prompt", "says"), [([], "empty"), ([2] * 10, "the model's context 10")])
def test_a_prompt_without_room_is_refused(load, prompt, says):
    with pytest.raises(llm.ModelError, match=says):
        load("09-inference/generation.py").generate(Script([]), prompt, 4, llm.Sampler(), frozenset())


# What the judge says


PART = entries.load().parts["9"]


def judged(name, **metrics):
    return judge_metric(PART, name, {}, metrics).verdict


def misturned(x, cos, sin):
    """Rotary embedding with the wrong sign."""
    return ROTATE(x, cos, -sin)


def unscaled(q, k, v, mask, scale, cap):
    """Attention whose scores are not divided by the root of the head's size."""
    return ATTEND(q, k, v, mask, 1.0, cap)


def swapped(q, k, v, mask, *more):
    """Attention whose groups of query heads look at each other's keys and values."""
    return ATTEND(q, k.flip([1]), v.flip([1]), mask, *more)


ROTATE, ATTEND = decoders.rotate, decoders.attend
FAULTS = [("rotate", misturned), ("attend", unscaled), ("attend", swapped)]


class LateCache(KVCache):
    """A cache that counts positions one too far after the first step."""

    def admit(self, real, *windows):
        self.position = self.position + 1 if self.real is not None else 0
        return super().admit(real, *windows)


TEXT = [3, 14, 15, 9, 2, 6, 5, 35, 8, 9, 7, 9]


def test_the_logits_pass(load, small):
    accuracy = load("09-inference/accuracy.py").accuracy
    model, network = small
    found = accuracy(network, model, TEXT)
    assert judged("logit_error", logit_error=found.error, rounding_error=found.rounding) == "passed"


@pytest.mark.plants("9", "logit_error")
@pytest.mark.parametrize(("name", "fault"), [*FAULTS, ("KVCache", LateCache)])
def test_logits_of_a_wrong_decoder_fail(load, small, monkeypatch, name, fault):
    accuracy = load("09-inference/accuracy.py").accuracy
    model, network = small
    monkeypatch.setitem(accuracy.__globals__ if name == "KVCache" else vars(decoders), name, fault)
    found = accuracy(network, model, TEXT)
    assert judged("logit_error", logit_error=found.error, rounding_error=found.rounding) == "failed"


def spoken(network, tokenizer, prompts):
    """Greedy answers in the form of reference.json."""
    given = [tokenizer.encode(prompt) for prompt in prompts]
    return [
        {"prompt": prompt, "prompt_tokens": tokens, "tokens": greedy(network, tokens)}
        for prompt, tokens in zip(prompts, given, strict=True)
    ]


def greedy(network, tokens):
    cache, found = KVCache(), []
    logits = network.step(np.array([tokens]), cache)
    for _ in range(6):
        found.append(int(logits[0, -1].argmax()))
        logits = network.step(np.array([found[-1:]]), cache)
    return found


@pytest.mark.plants("9", "greedy_agreement")
@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_greedy_answers_of_a_wrong_decoder_fail(load, small, monkeypatch, name, fault):
    accuracy = load("09-inference/accuracy.py")
    model, network = small
    tokenizer = model.tokenizer
    monkeypatch.setattr(type(tokenizer), "chat", type(tokenizer).encode)
    monkeypatch.setattr(type(tokenizer), "stops", frozenset(), raising=False)
    answers = spoken(network, tokenizer, ["!$%", "()*+", "/,-."])
    close = {"logit_difference": 1e-4, "reference_margin": 0.06}
    share, _ = accuracy.agreement(network, tokenizer, answers)
    assert judged("greedy_agreement", greedy_agreement=share, **close) == "passed"
    monkeypatch.setattr(decoders, name, fault)
    share, _ = accuracy.agreement(network, tokenizer, answers)
    assert judged("greedy_agreement", greedy_agreement=share, **close) == "failed"
    rough = {"logit_difference": 0.05, "reference_margin": 0.06}
    assert judged("greedy_agreement", greedy_agreement=share, **rough) == "not judged"


@pytest.mark.slow
def test_greedy_answers_are_those_of_transformers(run_program):
    out = run_program("09-inference", "--set", "prompt=Name a fruit that is red.", "tokens=4")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["greedy_agreement"] == 1.0
    assert metrics["knows_paris"] is True and metrics["logit_error"] <= 8 * metrics["rounding_error"]
    assert metrics["answer"].startswith("The fruit")


@pytest.mark.slow
def test_what_cannot_be_done_ends_with_2_and_one_line(tmp_path):
    command = [
        sys.executable,
        "-W",
        "ignore",
        str(PROJECTS / "09-inference" / "main.py"),
        "--out",
        str(tmp_path / "out"),
    ]
    done = subprocess.run([*command, "--set", "model=nowhere.gguf"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: there is no model at nowhere.gguf: name a GGUF file, a folder, or smollm2\n"
