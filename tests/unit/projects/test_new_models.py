"""Task 11: the networks are those of transformers, and a checkpoint that cannot be used is refused in words."""

import json
import subprocess
import sys

import llm
import numpy as np
import pytest
import tokenizers
from folders import PROJECTS
from llm.decoder import KVCache
from PIL import Image

from harness.catalogue import entries
from harness.runs.judge import judge_metric

PART = entries.load().parts["11"]
ARCHITECTURES = ["llama32", "qwen2_vl", "qwen3"]
TEMPLATE = (
    "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for part in m.content %}"
    "{% if part.type == 'image' %}<start> <image> <end> {% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def comparison(load):
    return load("11-new-model/comparison.py")


@pytest.fixture(scope="module")
def qwen2_vl(load):
    return load("11-new-model/qwen2_vl.py")


@pytest.fixture(scope="module")
def reference(comparison):
    return comparison.read_reference("stored", None)


@pytest.fixture
def checkpoint(comparison, tmp_path):
    """Writes a tiny checkpoint in three shards, its config.json changed as asked; returns the folder."""

    def write(architecture, **changes):
        config = comparison.tiny.CONFIGS[architecture]
        shapes = comparison.NETWORKS[config["architectures"][0]].shapes(config)
        comparison.tiny.write(tmp_path / "model", architecture, shapes, shards=3)
        (tmp_path / "model" / "config.json").write_text(json.dumps(config | changes))
        return tmp_path / "model"

    return write


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_and_greedy_tokens_are_those_of_transformers(comparison, reference, architecture, tmp_path):
    found, used = comparison.compare(architecture, tmp_path, reference)
    assert found.same_weights and found.equal_tokens == 1.0
    assert max(found.prefill, found.decode) <= 1e-5
    assert found.by_layer.shape == (4,) and found.by_layer.max() <= 2e-5
    assert used


# ---- the networks


@pytest.mark.parametrize("changes", [{"mrope_section": [8, 0, 0]}, {"mrope_section": [2, 2, 4]}])
def test_an_image_whose_axes_turn_other_pairs_is_seen_otherwise(comparison, reference, checkpoint, changes):
    network = comparison.open_network(checkpoint("qwen2_vl", rope_scaling={"type": "mrope", **changes}))
    tokens, real = comparison.tiny.batch("qwen2_vl")
    images = [Image.fromarray(image) for image in comparison.tiny.images()]
    pictures = [comparison.preprocess(image, comparison.tiny.PREPROCESSOR) for image in images]
    logits = network.step(tokens, KVCache(), real, pictures=pictures).numpy()[real]
    assert comparison.relative(logits, reference["qwen2_vl.prefill"]).max() > 1e-3


def test_padding_changes_nothing(comparison, checkpoint):
    network = comparison.open_network(checkpoint("llama32"))
    tokens, real = comparison.tiny.batch("llama32")
    together = network.step(tokens, KVCache(), real).numpy()
    alone = network.step(tokens[2:, real[2]], KVCache(), last=True)
    np.testing.assert_allclose(alone[0, 0].numpy(), together[2, -1], atol=1e-5)


def test_llama3_scaling_keeps_fast_pairs_and_stretches_slow_ones(load, comparison):
    config = comparison.tiny.CONFIGS["llama32"]
    llama32 = load("11-new-model/llama32.py")
    ratio = llama32.frequencies(config | {"rope_scaling": None}) / llama32.frequencies(config)
    assert ratio[0] == 1 and 1 < ratio[1] < 8
    np.testing.assert_allclose(ratio[2:], 8)
    with pytest.raises(llm.ModelError, match="yarn"):
        llama32.frequencies(config | {"rope_scaling": {"rope_type": "yarn"}})


# ---- images


def test_images_are_resized_as_transformers_does(comparison, reference):
    assert len(reference["sizes"]) >= 8 and comparison.equal_sizes(reference) == 1.0
    with pytest.raises(llm.ModelError, match="200 times"):
        comparison.smart_resize(5, 1001, *comparison.OFFICIAL)


def test_patches_of_a_merged_square_follow_each_other(comparison, qwen2_vl):
    settings = comparison.tiny.PREPROCESSOR | {"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}
    image = comparison.tiny.images()[0]  # 24 x 40: 6 x 10 patches of 4 x 4, not resized
    patches, grid = qwen2_vl.preprocess(Image.fromarray(image), settings)
    assert grid == (6, 10) and patches.shape == (60, 3 * 2 * 4 * 4)
    third = patches[2].reshape(3, 2, 4, 4)  # the lower left of the first square
    np.testing.assert_allclose(third[:, 0], image[4:8, 0:4].transpose(2, 0, 1) / 255, atol=1e-6)
    np.testing.assert_array_equal(third[:, 0], third[:, 1])


def test_text_goes_on_behind_the_longer_side_of_an_image(qwen2_vl):
    tokens = np.array([[0, 7, 9, 9, 9, 9, 9, 9, 8]])  # padding, a word, an image of 2 x 3, a word
    found, after = qwen2_vl.positions(tokens, tokens > 0, 9, [(2, 3)])
    assert found[0, 0, 1:].tolist() == [0, 1, 1, 1, 1, 1, 1, 4]  # time
    assert found[1, 0, 1:].tolist() == [0, 1, 1, 1, 2, 2, 2, 4]  # row
    assert found[2, 0, 1:].tolist() == [0, 1, 2, 3, 1, 2, 3, 4]  # column
    assert after.tolist() == [5]


def test_patches_that_attend_in_parts_see_the_same(comparison, checkpoint, monkeypatch):
    network = comparison.open_network(checkpoint("qwen2_vl"))
    picture = comparison.preprocess(Image.fromarray(comparison.tiny.images()[0]), comparison.tiny.PREPROCESSOR)
    whole = network.visual(picture).numpy()
    monkeypatch.setattr(llm.vision, "SCORES", 2 * len(picture[0]) * 16)  # of two heads
    np.testing.assert_allclose(network.visual(picture).numpy(), whole, atol=1e-5)


def test_image_tokens_have_to_fit_the_images(comparison, checkpoint):
    network = comparison.open_network(checkpoint("qwen2_vl"))
    with pytest.raises(llm.ModelError, match="3 image tokens for images of 0"):
        network.step(np.array([[1, 92, 92, 92]]), KVCache())
    picture = comparison.preprocess(Image.fromarray(comparison.tiny.images()[1]), comparison.tiny.PREPROCESSOR)
    with pytest.raises(llm.ModelError, match="an image of 2 x 3 tokens"):
        network.step(np.array([[1, 92, 92, 92], [92, 92, 92, 1]]), KVCache(), pictures=[picture])


# ---- checkpoints


def test_names_of_later_versions_are_read(comparison, checkpoint):
    folder = checkpoint("qwen2_vl")
    expected = comparison.open_network(folder).step(np.array([[1, 2]]), KVCache()).numpy()
    rename = {"visual.": "model.visual.", "model.": "model.language_model."}
    for path in folder.glob("*.safetensors"):
        file = llm.safetensors_file.SafetensorsFile(path)
        start = {name: next((s for s in rename if name.startswith(s)), None) for name in file}
        renamed = {rename[s] + name[len(s) :] if s else name: file[name] for name, s in start.items()}
        comparison.tiny.write_safetensors(path, renamed)
    config = comparison.tiny.CONFIGS["qwen2_vl"]
    outside = {name: config[name] for name in config if name.startswith(("arch", "vision", "image", "tie"))}
    (folder / "config.json").write_text(json.dumps(outside | {"text_config": config | {"tie_word_embeddings": True}}))
    found = comparison.open_network(folder).step(np.array([[1, 2]]), KVCache()).numpy()
    np.testing.assert_array_equal(found, expected)


def _without_a_shard(folder):
    (folder / "model-00002-of-00003.safetensors").unlink()


def _truncated(folder):
    path = folder / "model-00002-of-00003.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _without_a_config(folder):
    (folder / "config.json").unlink()


def _with_a_damaged_config(folder):
    (folder / "config.json").write_text("[1")


@pytest.mark.parametrize(
    ("harm", "changes", "words"),
    [
        (_without_a_shard, {}, "has no model-00002-of-00003.safetensors: .* fetch"),
        (_truncated, {}, "truncated: .* fetch"),
        (_without_a_config, {}, "there is no .*config.json: name a whole folder"),
        (_with_a_damaged_config, {}, "damaged.* fetch"),
        (None, {"architectures": ["GPT2LMHeadModel"]}, "GPT2LMHeadModel.* unknown here; there is LlamaForCausalLM"),
        (None, {"intermediate_size": 80}, r"is \(96, 64\), config.json says \(80, 64\)"),
        (None, {"num_hidden_layers": 4}, "no tensor model.layers.3"),
        (None, {"num_hidden_layers": 2}, "model.layers.2.* is not computed with"),
        (None, {"hidden_act": "gelu"}, "'hidden_act': 'gelu'"),
        (None, {"use_sliding_window": True}, "'use_sliding_window': True"),
        (None, {"max_window_layers": 2}, "'max_window_layers': 2"),
        (None, {"num_experts": 8}, "'num_experts': 8"),
        (None, {"rope_scaling": {"rope_type": "default", "factor": 8.0}}, "rope's 'factor': 8.0"),
        (None, {"rope_scaling": {"rope_type": "yarn"}}, "rope scaling 'yarn'"),
        (None, {"rope_scaling": {"rope_type": "llama3"}}, "config.json has no 'low_freq_factor'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(comparison, checkpoint, harm, changes, words):
    folder = checkpoint("llama32", **changes)
    if harm:
        harm(folder)
    with pytest.raises(llm.ModelError, match=words):
        comparison.open_network(folder)


def test_a_python_without_transformers_is_refused_in_words(comparison, tmp_path):
    with pytest.raises(llm.ModelError, match="cannot be started"):
        comparison.read_reference(str(tmp_path / "python"), tmp_path)
    with pytest.raises(llm.ModelError, match="needs torch, transformers, pillow"):
        comparison.read_reference(sys.executable, tmp_path)


# ---- answers


@pytest.fixture
def speaking(checkpoint):
    """A tiny Qwen2-VL with a tokenizer of 96 words and a chat template."""
    folder = checkpoint("qwen2_vl")
    words = {f"w{number}": number for number in range(90)} | {"<start>": 90, "<end>": 91, "<image>": 92}
    words |= {"w93": 93, "w94": 94, "w95": 95}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    Image.fromarray(np.full((24, 40, 3), 200, np.uint8)).save(folder / "a.png")
    return folder


def test_a_checkpoint_answers_for_text_and_images(load, speaking, capsys):
    generation = load("11-new-model/generation.py")
    text = generation.answer(speaking, "w1 w2", "", 4)
    image = generation.answer(speaking, "w1 w2", f"{speaking / 'a.png'},{speaking / 'a.png'}", 4)
    assert text.tokens == image.tokens == 4 and text.text != image.text
    assert image.text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "value"), [("do_normalize", False), ("rescale_factor", 0.1), ("resample", 2), ("do_resize", False)]
)
def test_another_way_to_prepare_images_is_refused_by_its_name(comparison, name, value):
    settings = comparison.tiny.PREPROCESSOR | {"do_normalize": True, "resample": 3, name: value}
    with pytest.raises(llm.ModelError, match=f"preprocessor_config.json has '{name}': {value}"):
        comparison.preprocess(Image.fromarray(comparison.tiny.images()[0]), settings)


def test_another_vision_tower_is_refused_by_its_name(comparison, checkpoint):
    vision = comparison.tiny.VISION | {"fullatt_block_indexes": [7]}
    with pytest.raises(llm.ModelError, match="vision_config has 'fullatt_block_indexes'"):
        comparison.open_network(checkpoint("qwen2_vl", vision_config=vision))


def test_images_that_cannot_be_shown_are_refused_in_words(load, speaking, checkpoint):
    answer = load("11-new-model/generation.py").answer
    with pytest.raises(llm.ModelError, match=r"no image at .*b.png: name a file"):
        answer(speaking, "w1", str(speaking / "b.png"), 4)
    (speaking / "b.png").write_bytes((speaking / "a.png").read_bytes()[:60])
    with pytest.raises(llm.ModelError, match="cannot be read as an image"):
        answer(speaking, "w1", str(speaking / "b.png"), 4)
    with pytest.raises(llm.ModelError, match="600 tokens, the context 512"):
        answer(speaking, "w1 " * 600, "", 4)
    (speaking / "chat_template.jinja").write_text("w1")
    with pytest.raises(llm.ModelError, match="0 image tokens for 1 images"):
        answer(speaking, "w1", str(speaking / "a.png"), 4)


# ---- the program


def test_program(run_program):
    out = run_program("11-new-model", "--part", "11")
    metrics = json.loads((out / "metrics.json").read_text())
    assert all(judge_metric(PART, name, {}, metrics).verdict == "passed" for name in PART.metrics)
    assert "noise" in metrics["answer"]
    assert (out / "differences.png").stat().st_size > 10_000


def test_program_names_a_model_that_is_not_there(tmp_path):
    words = ["--part", "11", "--out", str(tmp_path), "--set", "architecture=qwen3", "model=/nowhere"]
    program = [sys.executable, str(PROJECTS / "11-new-model" / "main.py")]
    done = subprocess.run([*program, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: there is no folder /nowhere: name one")


def test_lines_of_code_leave_out_blanks_comments_and_docstrings(load, tmp_path):
    (tmp_path / "a.py").write_text('"""Words."""\n\n# more\nx = 1  # one\ny = """a\nb"""\n')
    assert load("11-new-model/checkpoint.py").lines_of_code(tmp_path / "a.py") == 3


@pytest.mark.slow
def test_real_weights_give_the_answer_of_transformers(load):
    model, llama32 = llm.open_model("smollm2"), load("11-new-model/llama32.py")
    c = model.config
    config = {
        "num_hidden_layers": c.layers,
        "hidden_size": c.hidden,
        "intermediate_size": c.inner,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "vocab_size": c.vocabulary,
        "rms_norm_eps": c.epsilon,
        "rope_theta": c.rope_theta,
        "max_position_embeddings": c.context,
        "tie_word_embeddings": c.tied,
    }
    network = llama32.Llama32(config, model.weights)
    stored = json.loads((PROJECTS / "09-inference" / "reference.json").read_text(encoding="utf-8"))["answers"][0]
    cache = KVCache()
    logits = network.step(np.array([stored["prompt_tokens"]]), cache, last=True)
    found = [int(logits[0, -1].argmax())]
    while len(found) < len(stored["tokens"]):
        logits = network.step(np.array([[found[-1]]]), cache)
        found.append(int(logits[0, -1].argmax()))
    assert found == stored["tokens"]
