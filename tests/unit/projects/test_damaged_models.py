"""Damaged and hostile model files end in a ModelError of one line, never in a traceback, and never in an answer."""

import json
import random
import shutil

import llm
import numpy as np
import pytest
from test_families import cases, gguf_files, shapes_of
from test_llm import write_folder

WRONG = [None, True, -1, 0, 1.5, 2**70, 1e400, float("nan"), "", "x", [], [1], {}, {"a": 1}, [[]], "\ud800"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "m"
    write_folder(path, shards=2)
    (path / "tokenizer_config.json").write_text(json.dumps({"eos_token": '"', "chat_template": "{{ messages }}"}))
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": [1]}))
    return path


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "m.gguf"
    gguf_files.write(path, "gemma3", cases.weights(shapes_of("gemma3")), "Q8_0")
    return path


def opened_or_refused(path):
    """Whether the model opens and all its weights can be read; anything but a ModelError of one line is a failure."""
    try:
        model = llm.open_model(str(path))
        for name in model.weights:
            model.weights[name]
        model.tokenizer.encode("a b")
    except llm.ModelError as error:
        assert 10 < len(str(error)) < 600
        return False
    return True


def bytes_changed(whole, numbers):
    data = bytearray(whole)
    for _ in range(numbers.randint(1, 8)):
        place = numbers.randrange(min(len(data), numbers.choice([64, 512, 4096, len(data)])))
        data[place] = numbers.choice([0, 1, 0x7F, 0xFF, numbers.randrange(256)])
    return bytes(data) if numbers.random() < 0.8 else bytes(data[: numbers.randrange(len(data))])


@pytest.mark.parametrize("seed", range(4))
def test_a_gguf_with_changed_bytes(gguf_file, tmp_path, seed):
    numbers, whole = random.Random(seed), gguf_file.read_bytes()
    for _ in range(100):
        (tmp_path / "m.gguf").write_bytes(bytes_changed(whole, numbers))
        opened_or_refused(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    "name", ["model-0.safetensors", "model.safetensors.index.json", "tokenizer.json", "config.json"]
)
def test_a_folder_with_changed_bytes(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "m")
    numbers, whole = random.Random(name), (folder / name).read_bytes()
    for _ in range(60):
        (tmp_path / "m" / name).write_bytes(bytes_changed(whole, numbers))
        opened_or_refused(tmp_path / "m")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "generation_config.json"])
def test_values_of_wrong_types(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "m")
    says = json.loads((folder / name).read_text())
    for key in [*says, "rope_scaling", "rope_parameters", "layer_types", "added_tokens_decoder", "bos_token"]:
        for value in WRONG:
            (tmp_path / "m" / name).write_text(json.dumps({**says, key: value}))
            opened_or_refused(tmp_path / "m")
    for value in WRONG:
        (tmp_path / "m" / name).write_text(json.dumps(value))
        assert not opened_or_refused(tmp_path / "m") or isinstance(value, dict)


@pytest.mark.parametrize(
    "case", ["gemma3-stretched", "phi3-longrope", "phi3-part", "smollm3-window", "qwen3-moe-some", "llama-yarn"]
)
def test_values_of_wrong_types_in_every_family(tmp_path, case):
    config = cases.CASES[case]
    cases.write_folder(tmp_path / "m", config, shapes_of(case))
    for key in config:
        for value in WRONG:
            (tmp_path / "m" / "config.json").write_text(json.dumps({**config, key: value}))
            opened_or_refused(tmp_path / "m")
    for key in config.get("rope_scaling", {}):
        for value in WRONG:
            rope = {**config["rope_scaling"], key: value}
            (tmp_path / "m" / "config.json").write_text(json.dumps({**config, "rope_scaling": rope}))
            opened_or_refused(tmp_path / "m")


@pytest.mark.parametrize("case", list(cases.CASES))
@pytest.mark.parametrize("key", ["attention_multiplier", "num_shared_experts", "qk_layernorm", "rope_interleave"])
def test_a_key_that_no_family_knows_is_refused_by_its_name(tmp_path, case, key):
    config = {**cases.CASES[case], key: 0.5}
    cases.write_folder(tmp_path / "m", config, shapes_of(case))
    with pytest.raises(llm.ModelError, match=f"'{key}': 0.5"):
        llm.open_model(str(tmp_path / "m"))


def test_a_tensor_of_another_family_is_refused_by_its_name(tmp_path):
    config, shapes = cases.CASES["qwen3"], shapes_of("qwen3")
    extra = "model.layers.0.self_attn.sinks"
    cases.write_folder(tmp_path / "m", config, {**shapes, extra: (4,)})
    with pytest.raises(llm.ModelError, match=extra):
        llm.open_model(str(tmp_path / "m"))
    assert np.prod(shapes["model.norm.weight"]) == 64


def test_a_tokenizer_without_the_piece_for_what_it_does_not_know(tmp_path):
    cases.write_folder(tmp_path / "m", cases.CASES["llama"], shapes_of("llama"))
    path = tmp_path / "m" / "tokenizer.json"
    path.write_text(path.read_text().replace('"unk_token": "w0"', '"unk_token": "?"'))
    with pytest.raises(llm.ModelError, match="has no tokens for 'a'"):
        llm.open_model(str(tmp_path / "m"))


def moved(one, other):
    one[:] = other  # both are the same bytes now, of the right size


def with_a_gap(one, other):
    one[:] = [one[0] + 4, one[1] + 4]


@pytest.mark.parametrize("change", [moved, with_a_gap])
def test_tensors_of_safetensors_lie_one_behind_the_other(tmp_path, change):
    cases.write_folder(tmp_path / "m", cases.CASES["llama"], shapes_of("llama"))
    path = tmp_path / "m" / "model.safetensors"
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    change(*(entries[f"model.layers.{layer}.input_layernorm.weight"]["data_offsets"] for layer in (0, 1)))
    text = json.dumps(entries).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(llm.ModelError, match="begins at"):
        llm.open_model(str(tmp_path / "m"))


def test_bytes_behind_the_last_tensor(tmp_path):
    cases.write_folder(tmp_path / "m", cases.CASES["llama"], shapes_of("llama"))
    with (tmp_path / "m" / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(llm.ModelError, match="goes on behind"):
        llm.open_model(str(tmp_path / "m"))


def test_a_gguf_whose_tensors_lie_on_each_other(gguf_file, tmp_path):
    data, name = gguf_file.read_bytes(), b"blk.1.ffn_norm.weight"
    place = data.index(name) + len(name) + 4 + 8 + 4  # axes, one of them, the type; then the offset
    (tmp_path / "m.gguf").write_bytes(data[:place] + bytes(8) + data[place + 8 :])
    with pytest.raises(llm.ModelError, match=r"blk\.1\.ffn_norm\.weight begins at 0"):
        llm.open_model(str(tmp_path / "m.gguf"))


def test_a_key_that_a_gguf_has_twice(gguf_file, tmp_path):
    twice, other, whole = b"gemma3.attention.key_length", b"gemma3.attention.value_length", gguf_file.read_bytes()
    same = whole.replace(len(other).to_bytes(8, "little") + other, len(twice).to_bytes(8, "little") + twice, 1)
    (tmp_path / "m.gguf").write_bytes(same)
    with pytest.raises(llm.ModelError, match="key_length' is there twice"):
        llm.open_model(str(tmp_path / "m.gguf"))
