"""Every type of a GGUF file's numbers: the bits are GGML's own, whole or some rows of them; other types are refused."""

import json

import gguf
import llm
import numpy as np
import pytest
from llm import exact
from llm.decoder import KVCache, Llama
from llm.gguf_file import GGUFFile, dequantise
from test_families import ALLOWED, FAMILIES, cases, gguf_files, relative, shapes_of

GGML = json.loads((FAMILIES / "ggml.json").read_text())["blocks"]
READ = [*GGML, "F32", "F16", "BF16"]


def number(kind):
    return gguf.GGMLQuantizationType[kind]


@pytest.mark.parametrize("kind", GGML)
@pytest.mark.filterwarnings("ignore:.*encountered in")  # scales of random bits: some are no numbers
def test_random_blocks_become_the_numbers_that_ggmls_own_code_makes_of_them(kind):
    raw, count = cases.blocks(*gguf.GGML_QUANT_SIZES[number(kind)])
    assert cases.digest(dequantise(raw, int(number(kind)), (count,))) == GGML[kind]


@pytest.mark.parametrize(("kind", "bits"), [("F16", np.float16), ("BF16", None), ("F32", np.float32)])
def test_numbers_of_16_and_32_bits(kind, bits):
    raw = np.random.default_rng(5).integers(0, 256, 4096, np.uint8)
    halves = raw.view(np.uint16).astype(np.uint32) << 16
    expected = halves.view(np.float32) if bits is None else raw.view(bits).astype(np.float32)
    assert cases.digest(dequantise(raw, int(number(kind)), expected.shape)) == cases.digest(expected)


@pytest.mark.parametrize("kind", READ)
def test_some_rows_are_those_of_the_whole(tmp_path, kind):
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "llama")
    block, size = gguf.GGML_QUANT_SIZES[number(kind)]
    raw = np.random.default_rng(7).integers(0, 30, (6, 8 * size), np.uint8)
    writer.add_tensor("t", raw if block > 1 or kind == "BF16" else raw.view(f"f{size}"), raw_dtype=number(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GGUFFile(tmp_path / "m.gguf")
    pieces = [file.rows("t", 0, 1), file.rows("t", 1, 4), file.rows("t", 4, 6)]
    np.testing.assert_array_equal(np.concatenate(pieces), file["t"])


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "BF16"])  # that the package writes
def test_a_quantised_model_is_as_near_to_float64_as_one_in_float32(tmp_path, kind):
    gguf_files.write(tmp_path / "m.gguf", "llama", cases.weights(shapes_of("llama")), kind)
    opened, tokens = llm.open_model(str(tmp_path / "m.gguf")), cases.prompts()[0][:1]
    found = Llama(opened.config, opened.weights).step(tokens, KVCache()).numpy()
    assert relative(found, exact.logits(opened.config, opened.weights, tokens)).max() < ALLOWED


@pytest.mark.parametrize("kind", [kind for kind in gguf.GGMLQuantizationType if kind.name not in READ])
def test_a_type_that_nothing_here_reads_is_refused_as_the_file_is_opened(tmp_path, kind):
    file = tmp_path / "m.gguf"
    gguf_files.write(file, "llama", cases.weights(shapes_of("llama")), "Q8_0")
    data, name = file.read_bytes(), b"token_embd.weight"
    place = data.index(name) + len(name) + 4 + 2 * 8  # the number of axes, two of them, and then the type
    assert data[place] == 8
    file.write_bytes(data[:place] + bytes([kind]) + data[place + 1 :])
    with pytest.raises(llm.ModelError, match=f"tensors of type {int(kind)}"):
        llm.open_model(str(file))
