"""Task 9: the decoder is the one in the papers, and its answers are those of transformers."""

import json
import subprocess
import sys

import llm
import numpy as np
import paddle
import pytest
from conftest import PROJECTS
from test_llm import SMALL, write_folder


@pytest.fixture(scope="module")
def small(load, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small") / "m"
    write_folder(folder)
    model = llm.open_model(str(folder))
    return model, load("09-inference/llama.py").Llama(model.config, model.weights)


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
    logits, _ = network.step(paddle.to_tensor([tokens]))
    expected = in_numpy(model.config, model.weights, tokens)[-1]
    np.testing.assert_allclose(logits[0].numpy(), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("cut", [1, 4])
def test_a_text_in_two_steps_gives_the_same_as_in_one(small, cut):
    _, network = small
    tokens = paddle.to_tensor([[3, 14, 15, 9, 2, 6], [5, 3, 5, 8, 9, 7]])  # two texts at once
    whole, _ = network.step(tokens)
    _, cache = network.step(tokens[:, :cut])
    parts, _ = network.step(tokens[:, cut:], cache)
    np.testing.assert_allclose(parts.numpy(), whole.numpy(), rtol=1e-3, atol=1e-3)


class Script:
    """A network that says given tokens, whatever it is asked."""

    def __init__(self, says):
        self.says, self.config = says, llm.config.from_hugging_face({**SMALL, "max_position_embeddings": 10})

    def step(self, tokens, cache=None):
        place = 0 if cache is None else cache
        return paddle.to_tensor(np.eye(48, dtype="float32")[[self.says[place]]]), place + 1


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


@pytest.mark.slow
def test_greedy_answers_are_those_of_transformers(run_program):
    out = run_program("09-inference", "--set", "prompt=Name a fruit that is red.", "tokens=4")
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["greedy_agreement"] == 1.0
    assert metrics["knows_paris"] is True
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
