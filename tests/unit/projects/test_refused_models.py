"""What a model's file says and programs read differently, or would pass over, is refused by its name."""

import json
import re
from pathlib import Path

import llm
import numpy as np
import pytest
from llm.pictures import Preparation
from test_families import cases, gguf_files, shapes_of

import vision_cases  # isort: skip

FULL = ["full_attention"] * 4
GONE = object()


def changed(config, changes):
    config = {**config, **changes}
    return {name: value for name, value in config.items() if value is not GONE}


@pytest.mark.parametrize(
    ("case", "changes", "named"),
    [
        ("mistral-window", {"layer_types": FULL}, "'layer_types'"),
        ("mistral", {"layer_types": FULL, "sliding_window": GONE}, "'layer_types'"),  # 4096 where it is not said
        ("mixtral", {"layer_types": FULL, "sliding_window": 8}, "'layer_types'"),
        ("phi3-window", {"layer_types": FULL}, "'layer_types'"),
        ("qwen3-moe", {"layer_types": FULL, "sliding_window": 8, "use_sliding_window": True}, "'layer_types'"),
        ("gemma3", {"rope_scaling": {"type": "linear", "factor": 2}}, "'type' and no 'rope_type'"),
        ("gemma3", {"attn_logit_softcapping": 5.0}, "'attn_logit_softcapping': 5.0"),
        ("llama", {"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 2.0}}, "'type': 'linear'"),
        ("phi3-longrope", {"rope_scaling": {**cases.LONGROPE, "rope_type": "default"}}, "'type': 'longrope'"),
        (
            "phi3-part",
            {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}},
            "two 'partial_rotary_factor'",
        ),
        ("mixtral", {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}, "head_dim": GONE}, "no 'head_dim'"),
        ("gemma2", {"tie_word_embeddings": None}, "'tie_word_embeddings': None"),
        ("smollm3", {"tie_word_embeddings": None}, "'tie_word_embeddings': None"),
    ],
)
def test_what_programs_read_differently(case, changes, named):
    with pytest.raises(llm.ModelError, match=re.escape(named)):
        llm.families.from_hugging_face(changed(cases.CASES[case], changes))


# For each model the keys that transformers 5.23 takes as null, of all that it reads: any other ends it with an error.
MAY_BE_NULL = {
    "llama-biases": "num_key_value_heads head_dim",
    "mistral-window": "head_dim sliding_window",
    "mixtral": "head_dim sliding_window",
    "qwen2-window": "sliding_window",
    "qwen3-moe": "sliding_window mlp_only_layers",
    "gemma2": "hidden_act attn_logit_softcapping final_logit_softcapping use_bidirectional_attention",
    "gemma3": "hidden_act attn_logit_softcapping final_logit_softcapping use_bidirectional_attention",
    "phi3-part": "num_key_value_heads sliding_window",
    "smollm3-window": "num_key_value_heads sliding_window max_window_layers no_rope_layers",
}
EVERY = ("rope_scaling", "rope_parameters", "layer_types")


@pytest.mark.parametrize("case", list(MAY_BE_NULL))
def test_a_key_is_null_only_where_transformers_takes_it_so(case):
    config = cases.CASES[case]
    read = {*llm.unknown.READ.split(), *llm.families.family_of(config)[1].keys.split()}
    for name in sorted(read - {"architectures"}):
        empty = {**config, name: None}
        if name in (*EVERY, *MAY_BE_NULL[case].split()):
            llm.families.from_hugging_face(empty)
        else:
            with pytest.raises(llm.ModelError, match=f"'{name}'"):
                llm.families.from_hugging_face(empty)


@pytest.mark.parametrize(
    ("case", "changes", "named"),
    [
        ("llama", {"rope_scaling": {"rope_type": "default", "rope_theta": None}}, "'rope_theta': None"),
        (
            "llama-yarn",
            {"rope_scaling": {**cases.CASES["llama-yarn"]["rope_scaling"], "original_max_position_embeddings": None}},
            "'original_max_position_embeddings': None",
        ),
        ("llama-yarn", {"rope_theta": 1.0}, "cannot be computed with {'rope_theta': 1.0"),
        ("phi3-longrope", {"original_max_position_embeddings": 1}, "'longrope' cannot be computed"),
    ],
)
def test_numbers_of_a_rope_that_give_no_frequencies(case, changes, named):
    config = {**cases.CASES[case], **changes}
    with pytest.raises(llm.ModelError, match=re.escape(named)):
        llm.families.from_hugging_face(config)


def test_a_whole_number_beyond_64_bits_stretches_like_any_other():
    rope = {**cases.CASES["llama-yarn"]["rope_scaling"], "factor": 10**25}
    (found,) = llm.families.from_hugging_face({**cases.CASES["llama-yarn"], "rope_scaling": rope}).ropes
    assert found.turns()[0].dtype == "float64"


@pytest.mark.parametrize("case", ["llama", "mistral", "qwen3", "qwen3-moe", "smollm3"])
def test_layers_that_are_all_full_change_nothing_without_a_window(case):
    config = cases.CASES[case]
    plain = llm.families.from_hugging_face(config)
    assert llm.families.from_hugging_face({**config, "layer_types": FULL}) == plain


def test_and_a_third_which_transformers_computes_no_more():
    config = {**cases.CASES["phi3-longrope"], "rope_scaling": {**cases.LONGROPE, "type": "su"}}
    with pytest.raises(llm.ModelError, match="'su' is called longrope now"):
        llm.families.from_hugging_face(config)


@pytest.mark.parametrize("name", ["type", "rope_type"])
@pytest.mark.parametrize("kind", ["longrope", "yarn"])
def test_phi3_has_two_names_for_one_scaling(name, kind):
    rope = {**cases.LONGROPE, "type": GONE, name: kind}
    config = {**cases.CASES["phi3-longrope"], "rope_scaling": changed(rope, {})}
    assert llm.families.from_hugging_face(config) == llm.families.from_hugging_face(cases.CASES["phi3-longrope"])


# Tensors


def folder_of(path, case, change):
    """The model's folder whose tensors `change` has changed."""
    tensors = cases.write_folder(path, cases.CASES[case], shapes_of(case))
    change(tensors)
    cases.write_safetensors(path / "model.safetensors", tensors)
    return str(path)


def test_an_output_layer_that_is_not_the_tied_embedding(tmp_path):
    def of_its_own(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + np.float32(1)

    def saved_twice(tensors):
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]

    with pytest.raises(llm.ModelError, match=r"'tie_word_embeddings' is true, and lm_head\.weight is not"):
        llm.open_model(folder_of(tmp_path / "m", "llama", of_its_own))
    assert llm.open_model(folder_of(tmp_path / "n", "llama", saved_twice)).config.tied


def test_numbers_of_a_type_that_is_not_read_are_refused_as_the_model_is_opened(tmp_path):
    path = tmp_path / "m"
    tensors = cases.write_folder(path, cases.CASES["llama"], shapes_of("llama"))
    data, name = (path / "model.safetensors").read_bytes(), "model.layers.1.mlp.up_proj.weight"
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header[name]["dtype"] = "F8_E4M3"
    header[name]["shape"] = [tensors[name].nbytes // 64, 64]
    text = json.dumps(header).encode()
    (path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(llm.ModelError, match=rf"{name} is F8_E4M3"):
        llm.open_model(str(path))


@pytest.mark.parametrize("shape", [(4, 16, 64), (64, 64, 1), (64 * 64,)])
def test_a_tensor_of_as_many_numbers_in_another_shape(tmp_path, shape):
    name = "model.layers.0.self_attn.q_proj.weight"

    def reshaped(tensors):
        tensors[name] = tensors[name].reshape(shape)

    with pytest.raises(llm.ModelError, match=f"{name} is"):
        llm.open_model(folder_of(tmp_path / "m", "llama", reshaped))


# The files beside config.json: each key and what it may not say, as transformers 5.23 has an error for it, or another
# answer.

OTHER = (None, True, 0, "", "x", [], {}, 1.5)
BESIDE = {
    "tokenizer_config.json": {
        "split_special_tokens": (None, True, 0, "x", []),
        "padding_side": OTHER,
        "truncation_side": OTHER,
        "model_max_length": ("", "x", [], {}),
        "added_tokens_decoder": (None, False, 0, "", [], {"1": {"content": "w1", "lstrip": True}}),
        "extra_special_tokens": (True, 0, "", {"a": 1}, ["none of them"]),
        "additional_special_tokens": (True, 0, "", {"a": 1}, [{"content": "w1"}], ["none of them"]),
        "bos_token": (False, 0, [], {}, {"content": "w1"}, "none of them"),
        "mask_token": (False, 0, [], {}, {"content": "w1"}, "none of them"),
        "image_token": ("none of them",),
        "model_input_names": (None, True, 0, 1.5),
        "tokenizer_class": (True, 0, [], {}),
        "auto_map": (None, True, 0, "x", []),
        "add_prefix_space": (0, "x", []),
    },
    "generation_config.json": {
        "eos_token_id": (True, "x", {}, 1.5, ["x"]),
        "pad_token_id": (True, "x", [1], 1.5),
        "repetition_penalty": (True, 0, 2, "x", -0.5),
        "max_new_tokens": (True, 0, "x", 1.5),
        "cache_implementation": (True, "", "x", []),
        "num_beams": (2, True, "x"),
        "min_new_tokens": (5, "x"),
        "suppress_tokens": ([1], "x", []),
        "bad_words_ids": ([[1]], "x"),
        "forced_eos_token_id": (1, "x"),
        "no_repeat_ngram_size": (3, "x"),
        "guidance_scale": (1.5, "x"),
        "an unknown one": (1, "x"),
    },
    "preprocessor_config.json": {
        **dict.fromkeys(("patch_size", "merge_size", "temporal_patch_size"), (None, True, 0, 4.0, "x", [])),
        **dict.fromkeys(("image_mean", "image_std"), (None, True, 0, "x", [], [0.5, 0.5], ["x"] * 3)),
        **dict.fromkeys(("do_resize", "do_rescale", "do_normalize"), (None, False, 0, "x")),
        "rescale_factor": (None, 1, 0.5, "x"),
        "resample": (None, 0, 2, "x"),
        "size": (0, "x", [], {"height": 4, "width": 4}),
        "do_center_crop": (True, 1, "x"),
        "an unknown one": (1, "x"),
    },
}


@pytest.mark.parametrize(("file", "key"), [(file, key) for file, keys in BESIDE.items() for key in keys])
def test_a_key_beside_config_json(tmp_path, file, key):
    plain = {} if file != "preprocessor_config.json" else vision_cases.PREPROCESSOR
    cases.write_folder(tmp_path / "m", cases.CASES["llama"], shapes_of("llama"))
    tokenizer = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    flags = dict.fromkeys(("special", "normalized", "single_word", "lstrip", "rstrip"), False)
    tokenizer["added_tokens"] = [{"id": 1, "content": "w1", **flags}]
    (tmp_path / "m" / "tokenizer.json").write_text(json.dumps(tokenizer))

    def opened(says):
        if file == "preprocessor_config.json":
            return Preparation.of(says)
        (tmp_path / "m" / file).write_text(json.dumps(says))
        return llm.open_model(str(tmp_path / "m"))

    opened(plain)
    for value in BESIDE[file][key]:
        with pytest.raises(llm.ModelError, match=f"{key}|has 'lstrip'"):
            opened({**plain, key: value})


def test_a_special_token_that_tokenizer_json_has_as_a_plain_one_is_not_shown(tmp_path):
    cases.write_folder(tmp_path / "m", cases.CASES["llama"], shapes_of("llama"))
    (tmp_path / "m" / "tokenizer_config.json").write_text(json.dumps({"extra_special_tokens": ["w7"]}))
    tokenizer = llm.open_model(str(tmp_path / "m")).tokenizer
    assert tokenizer.decode(tokenizer.encode("w6 w7 w8")).split() == ["w6", "w8"]


# GGUF


def gguf_of(path, monkeypatch, case="llama", tensors=None, **more):
    """The case's GGUF file with more of the tokenizer's metadata."""
    plain = gguf_files.add_tokenizer

    def add(writer, vocabulary):
        plain(writer, vocabulary)
        for key, value in more.items():
            key = f"tokenizer.{key.replace('__', '.')}"
            writer.add_bool(key, value) if isinstance(value, bool) else writer.add_string(key, value)

    monkeypatch.setattr(gguf_files, "add_tokenizer", add)
    gguf_files.write(path, case, tensors or cases.weights(shapes_of(case)))
    return str(path)


@pytest.mark.parametrize("key", ["add_eos_token", "add_sep_token", "remove_extra_whitespaces", "lowercase"])
def test_a_key_that_changes_the_tokens_of_a_text(tmp_path, monkeypatch, key):
    file = gguf_of(tmp_path / "m.gguf", monkeypatch, **{f"ggml__{key}": True})
    with pytest.raises(llm.ModelError, match=rf"tokenizer\.ggml\.{key} = True"):
        llm.open_model(file)


def test_named_templates_of_a_gguf_file(tmp_path, monkeypatch):
    file = gguf_of(tmp_path / "m.gguf", monkeypatch, chat_template="plain", chat_template__tool_use="with tools")
    tokenizer = llm.open_model(file).tokenizer
    assert tokenizer.render([]) == "plain"
    assert tokenizer.render([], tools=[{"type": "function"}]) == "with tools"


OTHERS = {  # that llama.cpp loads in none of these
    "qwen2": ("blk.0.attn_output.bias", (64,)),
    "qwen3": ("blk.0.ffn_up.bias", (96,)),
    "gemma2": ("output.weight", (96, 64)),
    "smollm3": ("rope_freqs.weight", (8,)),
}


@pytest.mark.parametrize("case", list(OTHERS))
def test_a_tensor_that_llama_cpp_has_in_no_such_file(tmp_path, monkeypatch, case):
    (name, shape), plain = OTHERS[case], gguf_files.tensors_of
    more = {name: np.ones(shape, "float32")}
    monkeypatch.setattr(gguf_files, "tensors_of", lambda config, tensors: {**plain(config, tensors), **more})
    with pytest.raises(llm.ModelError, match=re.escape(f"has the tensor {name}")):
        llm.open_model(gguf_of(tmp_path / "m.gguf", monkeypatch, case))


@pytest.mark.parametrize("key", ["yarn_beta_fast", "yarn_beta_slow", "yarn_attn_factor", "yarn_ext_factor"])
def test_what_llama_cpp_reads_for_other_architectures(key):
    metadata = {"general.architecture": "llama", f"llama.rope.scaling.{key}": 8.0, "llama.rope.scaling.factor": 4.0}
    metadata |= {f"llama.{name}": 2 for name in ("block_count", "attention.head_count", "context_length")}
    metadata |= {"llama.embedding_length": 64, "llama.feed_forward_length": 64, "tokenizer.ggml.tokens": ["a"]}
    metadata |= {"llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.scaling.type": "yarn"}
    with pytest.raises(llm.ModelError, match=rf"rope\.scaling\.{key} = 8\.0"):
        llm.gguf_config.from_gguf(metadata, {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.rope.freq_base", 10000),
        ("llama.attention.layer_norm_rms_epsilon", 1),
        ("llama.rope.freq_base", 0.5),
        ("llama.rope.dimension_count", 8),
        ("llama.rope.scaling.factor", 2),
        ("llama.rope.scaling.original_context_length", 32.0),
        ("llama.rope.scaling.original_context_length", True),
        ("llama.rope.scaling.original_context_length", -1),
        ("llama.rope.scaling.type", 1),
        ("llama.attention.causal", 1),
        ("llama.block_count", 4.0),
        ("llama.expert_used_count", 2),
        ("split.count", 2),
        ("general.type", "adapter"),
        ("llama.attention.clamp_kqv", 8.0),
        ("llama.attention.scale", 0.5),
        ("llama.unknown", 0),
    ],
)
def test_metadata_that_llama_cpp_refuses_or_computes_with(tmp_path, monkeypatch, key, value):
    file = llm.gguf_file.GGUFFile(Path(gguf_of(tmp_path / "m.gguf", monkeypatch)))
    llm.gguf_config.from_gguf(file.metadata, file)
    with pytest.raises(
        llm.ModelError,
        match={"split.count": "one of 2: join", "general.type": "'adapter'"}.get(key, key.removeprefix("llama.")),
    ):
        llm.gguf_config.from_gguf({**file.metadata, key: value}, file)


def test_experts_whose_axes_lie_otherwise(tmp_path, monkeypatch):
    def turned(config, tensors, plain=gguf_files.tensors_of):
        found = plain(config, tensors)
        name = "blk.2.ffn_up_exps.weight"
        return {**found, name: found[name].swapaxes(0, 1)}

    monkeypatch.setattr(gguf_files, "tensors_of", turned)
    with pytest.raises(llm.ModelError, match=r"blk\.2\.ffn_up_exps\.weight is"):
        llm.open_model(gguf_of(tmp_path / "m.gguf", monkeypatch, "qwen3-moe"))
