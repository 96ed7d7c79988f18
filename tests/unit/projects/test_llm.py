"""The library of model files: what it reads is what others wrote, and what is damaged is named, not guessed at."""

import json
import struct
from pathlib import Path

import gguf
import llm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llm import gguf_file, safetensors_file
from llm import tensors as tensors_of

NUMBERS = np.random.default_rng(0)
SMALL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 48,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def write_safetensors(path, tensors, dtype="F32"):
    """The file as its specification says, without the package."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, tensor in tensors.items():
        bits = tensor.astype("<f4").view("<u4")
        raw = tensor.astype("<f4").tobytes() if dtype == "F32" else (bits >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_folder(folder, settings=SMALL, shards=1):
    """A Llama of random weights in Hugging Face's layout, with a tokenizer of single bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**settings, "eos_token_id": 1}))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())[: settings["vocab_size"]]
    tokenizer = Tokenizer(models.BPE(vocab={piece: number for number, piece in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(False), decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    shapes = tensors_of.expected_shapes(llm.families.from_hugging_face(settings))
    numbers = np.random.default_rng(0)
    tensors = {
        # Of a size at which a layer's numbers neither grow nor vanish, as in a trained network.
        name: (numbers.normal(size=shape) / (shape[-1] ** 0.5 if len(shape) == 2 else 1)).astype("float32")
        for name, shape in shapes.items()
    }
    names = [f"model-{number}.safetensors" for number in range(shards)] if shards > 1 else ["model.safetensors"]
    where = {name: names[number % shards] for number, name in enumerate(tensors)}
    for file in names:
        write_safetensors(folder / file, {name: tensors[name] for name in tensors if where[name] == file})
    if shards > 1:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return tensors


def write_gguf(path, tensors, **metadata):
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in metadata.items():
        writer.add_string(name, value)
    writer.add_array("numbers", [1, 2, 3])
    for name, (data, kind) in tensors.items():
        writer.add_tensor(name, gguf.quantize(data, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# GGUF


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q5_1"])
def test_every_type_of_block_is_read_as_the_gguf_package_reads_it(tmp_path, kind):
    kind = gguf.GGMLQuantizationType[kind]
    data = NUMBERS.normal(size=(6, 64)).astype("float32")
    write_gguf(tmp_path / "a.gguf", {"x": (data, kind)})
    expected = gguf.dequantize(gguf.quantize(data, kind), kind)
    np.testing.assert_array_equal(gguf_file.GGUFFile(tmp_path / "a.gguf")["x"], expected)


def test_metadata_come_back(tmp_path):
    write_gguf(tmp_path / "a.gguf", {"x": (np.ones((2, 32), "float32"), gguf.GGMLQuantizationType.F32)}, name="größe")
    metadata = gguf_file.GGUFFile(tmp_path / "a.gguf").metadata
    assert (metadata["name"], metadata["numbers"], metadata["general.architecture"]) == ("größe", [1, 2, 3], "llama")


@pytest.fixture(scope="module")
def whole_gguf(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "whole.gguf"
    write_gguf(path, {"x": (np.ones((4, 64), "float32"), gguf.GGMLQuantizationType.Q8_0)})
    return path.read_bytes()


@given(share=some.floats(0, 0.999))
def test_a_truncated_file_is_called_truncated(tmp_path_factory, whole_gguf, share):
    cut = tmp_path_factory.mktemp("cut") / "cut.gguf"
    cut.write_bytes(whole_gguf[: int(len(whole_gguf.rstrip(b"\0")) * share)])
    with pytest.raises(llm.ModelError, match=r"truncated|not a GGUF file"):
        gguf_file.GGUFFile(cut)


@given(strings=some.lists(some.text()), share=some.floats(0, 1))
def test_strings_are_read_whole_or_called_truncated(strings, share):
    data = b"".join(struct.pack("<Q", len(text.encode())) + text.encode() for text in strings)
    assert gguf_file.Reader(data, Path("a")).strings(len(strings)) == strings
    cut = data[: int(len(data) * share)]
    if cut != data:
        with pytest.raises(llm.ModelError, match="truncated"):
            gguf_file.Reader(cut, Path("a")).strings(len(strings))


def test_another_file_is_not_taken_for_gguf(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"PK" + bytes(100))
    with pytest.raises(llm.ModelError, match="not a GGUF file"):
        llm.open_model(str(tmp_path / "a.gguf"))


def test_rows_return_to_the_order_before_llama_cpp_permuted_them():
    rows = np.arange(16.0).reshape(16, 1)  # two heads of eight
    permuted = rows.reshape(2, 2, 4, 1).swapaxes(1, 2).reshape(16, 1)  # convert_hf_to_gguf.py, LlamaModel.permute
    np.testing.assert_array_equal(permuted[tensors_of.half_a_head_apart(2, 8)], rows)


# safetensors and folders


@pytest.mark.parametrize("shards", [1, 3])
def test_a_folder_gives_its_weights_whole_or_in_shards(tmp_path, shards):
    expected = write_folder(tmp_path / "m", shards=shards)
    found = llm.open_model(str(tmp_path / "m")).weights
    assert set(found) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_bfloat16_is_read(tmp_path):
    values = np.array([1.0, -2.5, 0.15625, 3e38], "float32")  # all are bfloat16 but the last, which is cut
    write_safetensors(tmp_path / "a.safetensors", {"x": values}, "BF16")
    np.testing.assert_allclose(safetensors_file.SafetensorsFile(tmp_path / "a.safetensors")["x"], values, rtol=2**-7)


@given(share=some.floats(0, 0.999))
def test_a_truncated_safetensors_file_is_refused(tmp_path_factory, share):
    folder = tmp_path_factory.mktemp("cut")
    write_safetensors(folder / "a", {"x": np.ones((8, 8), "float32")})
    whole = (folder / "a").read_bytes()
    (folder / "a").write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(llm.ModelError, match="truncated"):
        safetensors_file.SafetensorsFile(folder / "a")


def test_a_missing_shard_is_named(tmp_path):
    write_folder(tmp_path / "m", shards=3)
    (tmp_path / "m" / "model-1.safetensors").unlink()
    with pytest.raises(llm.ModelError, match=r"has no model-1.safetensors"):
        llm.open_model(str(tmp_path / "m"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"architectures": ["MambaForCausalLM"]}, "architecture 'MambaForCausalLM' is unknown"),
        ({"rope_scaling": {"rope_type": "xpos"}}, "rope scaling 'xpos'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "no 'factor' in its rope scaling"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, "rope's 'beta': 1"),
        ({"attention_bias": True}, "no tensor model.layers.0.self_attn.k_proj.bias|self_attn.q_proj.bias"),
        ({"mlp_bias": True}, "no tensor model.layers.0.mlp.gate_proj.bias"),
        ({"hidden_act": "relu2"}, "'hidden_act': 'relu2'"),
        ({"use_sliding_window": True}, "'use_sliding_window': True"),
        ({"sliding_window": 4096}, "'sliding_window': 4096"),
        ({"max_window_layers": 21}, "'max_window_layers': 21"),
        ({"num_local_experts": 8}, "'num_local_experts': 8"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "'partial_rotary_factor': 0.5"),
        ({"quantization_config": {"bits": 4}}, "'quantization_config'"),
        ({"model_type": "qwen2"}, "and 'model_type': 'qwen2'"),
        ({"rope_scaling": {"factor": 2.0}, "rope_parameters": {"factor": 3.0}}, "which differ"),
        ({"hidden_size": 64}, r"is \(48, 32\), its configuration says \(48, 64\)"),
        ({"num_hidden_layers": "2"}, "'num_hidden_layers' is '2', not a whole number"),
        ({"num_attention_heads": 0}, "'num_attention_heads' is 0"),
        ({"num_key_value_heads": 3}, "4 heads do not share 3 keys"),
        ({"rms_norm_eps": float("nan")}, "'rms_norm_eps' is nan"),
        ({"rope_theta": -1}, "'rope_theta' is -1"),
        ({"rope_scaling": 3}, "rope scaling is 3"),
        ({"tie_word_embeddings": "no"}, "'tie_word_embeddings' is 'no'"),
        ({"num_hidden_layers": 3}, "has no tensor model.layers.2"),
    ],
)
def test_a_model_that_is_not_what_is_computed_here_is_refused(tmp_path, change, says):
    write_folder(tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text(json.dumps({**SMALL, **change}))
    with pytest.raises(llm.ModelError, match=says):
        llm.open_model(str(tmp_path / "m"))


def test_an_adapter_beside_the_model_is_refused(tmp_path):
    write_folder(tmp_path / "m")
    (tmp_path / "m" / "adapter_config.json").write_text("{}")
    with pytest.raises(llm.ModelError, match=r"adapter_config\.json"):
        llm.open_model(str(tmp_path / "m"))


def test_a_tensor_in_two_shards_is_refused(tmp_path):
    tensors = write_folder(tmp_path / "m", shards=3)
    path = tmp_path / "m" / "model-1.safetensors"
    first = safetensors_file.SafetensorsFile(path)
    twice = {name: first[name] for name in first} | {"model.embed_tokens.weight": tensors["model.embed_tokens.weight"]}
    write_safetensors(path, twice)
    with pytest.raises(llm.ModelError, match=r"model.embed_tokens.weight in several files"):
        llm.open_model(str(tmp_path / "m"))


def test_what_changes_nothing_is_passed_over(tmp_path):
    write_folder(tmp_path / "m")
    harmless = {"hidden_act": "silu", "attention_bias": False, "sliding_window": None, "rope_scaling": None}
    harmless |= {"use_sliding_window": False, "max_window_layers": 21, "torch_dtype": "bfloat16", "_name_or_path": "x"}
    (tmp_path / "m" / "config.json").write_text(json.dumps({**SMALL, **harmless}))
    assert llm.open_model(str(tmp_path / "m")).config.layers == 2


@pytest.mark.parametrize("name", ["model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.k_norm.weight"])
def test_a_tensor_that_nothing_computes_with_is_refused_by_its_name(tmp_path, name):
    tensors = write_folder(tmp_path / "m")
    write_safetensors(tmp_path / "m" / "model.safetensors", {**tensors, name: np.ones(32, "float32")})
    with pytest.raises(llm.ModelError, match=f"has the tensor {name}"):
        llm.open_model(str(tmp_path / "m"))


def gguf_of(tmp_path, tensors, extra=(), **metadata):
    """A whole small Llama as GGUF, with tensors and metadata beside what it needs."""
    writer, config = gguf.GGUFWriter(tmp_path / "a.gguf", "llama"), llm.families.from_hugging_face(SMALL)
    writer.add_block_count(config.layers)
    writer.add_embedding_length(config.hidden)
    writer.add_feed_forward_length(config.inner)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_context_length(config.context)
    writer.add_layer_norm_rms_eps(config.epsilon)
    writer.add_rope_dimension_count(config.head_dim)
    for name, value in metadata.items():
        key = "llama." + name.replace("__", ".")
        writer.add_uint32(key, value) if isinstance(value, int) else writer.add_float32(key, value)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*(chr(33 + number) for number in range(47)), "!#"])
    writer.add_token_merges(["! #"])
    writer.add_eos_token_id(1)
    names = dict(tensors_of.OUTSIDE)
    for layer in range(config.layers):
        for own, theirs in tensors_of.INSIDE.items():
            names[f"model.layers.{layer}.{own}.weight"] = f"blk.{layer}.{theirs}.weight"
    for name, tensor in tensors.items():
        writer.add_tensor(names[name], tensor)
    for name in extra:
        writer.add_tensor(name, np.ones(32, "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(tmp_path / "a.gguf")


def test_a_whole_gguf_is_opened(tmp_path):
    tensors = write_folder(tmp_path / "m")
    found = llm.open_model(gguf_of(tmp_path, tensors, rope__scale_linear=1.0, expert_count=0))
    assert set(found.weights) == set(tensors) and found.config.layers == 2


@pytest.mark.parametrize(
    ("extra", "metadata", "says"),
    [
        (["rope_freqs.weight"], {}, "rope_freqs.weight is not 4 numbers"),
        (["blk.0.attn_q_norm.weight"], {}, "the tensor blk.0.attn_q_norm.weight"),
        (["blk.0.attn_q.bias"], {}, "no tensor blk.1.attn_q.bias"),
        (["blk.1.attn_k.bias"], {}, "the tensor blk.1.attn_k.bias"),
        ([], {"rope__scaling__attn_factor": 4.0}, "rope.scaling.attn_factor = 4.0"),
        ([], {"expert_count": 8}, "'expert_used_count'"),
        ([], {"expert_count": 8, "expert_used_count": 2}, "the tensor blk.0.ffn_down.weight"),
        ([], {"expert_shared_count": 8}, "llama.expert_shared_count = 8"),
        ([], {"attention__value_length": 16}, "attention.value_length = 16"),
        ([], {"attention__sliding_window": 4096}, "llama.attention.sliding_window = 4096"),
        ([], {"logit_scale": 0.5}, "llama.logit_scale = 0.5"),
    ],
)
def test_what_a_gguf_says_and_nothing_computes_is_refused_by_its_name(tmp_path, extra, metadata, says):
    tensors = write_folder(tmp_path / "m")
    with pytest.raises(llm.ModelError, match=says):
        llm.open_model(gguf_of(tmp_path, tensors, extra, **metadata))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_file_that_is_not_json_is_named(tmp_path, file):
    write_folder(tmp_path / "m")
    (tmp_path / "m" / file).write_text("{")
    with pytest.raises(llm.ModelError, match=file):
        llm.open_model(str(tmp_path / "m"))


def test_a_place_without_a_model_is_named(tmp_path):
    with pytest.raises(llm.ModelError, match="there is no model at"):
        llm.open_model(str(tmp_path / "nothing"))
    with pytest.raises(llm.ModelError, match="0 GGUF files"):
        llm.open_model(str(tmp_path))


# The tokenizer of the real model


@pytest.fixture(scope="module")
def smollm2():
    return llm.open_model("smollm2")


# The model's vocabulary lacks six control characters, and the bytes that begin characters beyond U+3FFFF.
SPOKEN = some.characters(max_codepoint=0x3FFFF, exclude_categories=["Cs"], exclude_characters="\4\6\x13\x14\x16\x1d")


@given(text=some.text(SPOKEN))
def test_text_comes_back_from_tokens(smollm2, text):
    assert smollm2.tokenizer.decode(smollm2.tokenizer.encode(text)) == text or "<" in text  # <...> may be special


def test_the_chat_template_is_the_models_own(smollm2):
    text = smollm2.tokenizer.render([{"role": "user", "content": "Hello"}])
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.endswith("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n")
    assert smollm2.tokenizer.encode("<|im_end|>") == [2]
    assert smollm2.tokenizer.stops == {0, 2}  # <|endoftext|> and <|im_end|>


def test_digits_are_tokens_of_their_own(smollm2):
    assert len(smollm2.tokenizer.encode("2026")) == 4


def test_a_stream_gives_every_character_once_and_whole(smollm2):
    text = "naïve 😀 中文 end"
    stream = llm.Stream(smollm2.tokenizer)
    pieces = [stream.add(token) for token in smollm2.tokenizer.encode(text)]
    assert "".join(pieces) == text and not any("\ufffd" in piece for piece in pieces)
    assert stream.finish() == ""


# Sampling


def test_greedy_takes_the_likeliest():
    assert llm.Sampler().choose(np.array([0.1, 3.0, 2.0])) == 1


def test_top_k_and_top_p_keep_the_likeliest():
    logits = np.log([0.5, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(llm.Sampler(1.0, top_k=2).probabilities(logits), [0.625, 0.375, 0, 0])
    np.testing.assert_allclose(llm.Sampler(1.0, top_p=0.7).probabilities(logits), [0.625, 0.375, 0, 0])
    np.testing.assert_allclose(llm.Sampler(1.0, top_p=0.0).probabilities(logits), [1, 0, 0, 0])


def test_temperature_sharpens_and_flattens():
    logits = np.array([1.0, 0.0])
    cold, warm = (llm.Sampler(temperature).probabilities(logits)[0] for temperature in (0.5, 2.0))
    assert cold == pytest.approx(1 / (1 + np.exp(-2))) and warm == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_a_seed_draws_the_same_again():
    def draw(seed):
        sampler = llm.Sampler(1.0, seed=seed)
        return [sampler.choose(np.zeros(50)) for _ in range(8)]

    assert draw(1) == draw(1) != draw(2)
