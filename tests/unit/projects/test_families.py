"""Every family of models: logits and greedy tokens are transformers', from Hugging Face's files."""

import itertools
import json
import shutil
import sys
from pathlib import Path

import llm
import numpy as np
import pytest
from llm import exact
from llm.decoder import KVCache, Llama

FAMILIES = Path(__file__).resolve().parent / "families"
sys.path.insert(0, str(FAMILIES))
import cases  # noqa: E402
import gguf_files  # noqa: E402

REFERENCE = np.load(FAMILIES / "reference.npz")
# Two programs' roundings of the longest sum and of the angles, 6 branches deep; soft caps pass errors on as they are.
ALLOWED = 4 * 2**-24 * (cases.LONG + cases.STEPS + (8 * 96) ** 0.5)


def shapes_of(case):
    return {name: tuple(shape) for name, shape in json.loads(str(REFERENCE[f"{case}.shapes"])).items()}


@pytest.fixture
def model(request, tmp_path):
    case = request.param
    cases.write_folder(tmp_path / "m", cases.CASES[case], shapes_of(case))
    return case, llm.open_model(str(tmp_path / "m"))


def relative(found, expected):
    """How far each token's logits (..., V) are from those expected, over their length."""
    off = np.linalg.norm(found.astype("float64") - expected, axis=-1)
    return off / np.linalg.norm(expected.astype("float64"), axis=-1)


def each_case(function):
    return pytest.mark.parametrize("model", list(cases.CASES), indirect=True)(function)


@each_case
def test_padded_prompts_and_cached_steps_are_transformers(model):
    case, opened = model
    expected = {name: REFERENCE[f"{case}.{name}"] for name in ("prefill", "tokens", "decode")}
    network, cache = Llama(opened.config, opened.weights), KVCache()
    tokens, real = cases.prompts()
    logits = network.step(tokens, cache, real).numpy()
    assert relative(logits[real][:: cases.STRIDE], expected["prefill"]).max() < ALLOWED
    steps = [logits[:, -1]]
    for step in range(cases.STEPS - 1):
        steps.append(network.step(expected["tokens"][:, step : step + 1], cache).numpy()[:, -1])
    decode = np.stack(steps, 1)
    assert relative(decode, expected["decode"]).max() < ALLOWED
    np.testing.assert_array_equal(decode.argmax(-1), expected["tokens"])


@each_case
def test_numpys_decoder_is_the_same(model):
    case, opened = model
    if case in ("llama-dynamic", "phi3-longrope"):
        pytest.skip("its frequencies follow the longest text beside")
    tokens, _ = cases.prompts()
    for dtype, allowed in (("float32", ALLOWED), ("float64", ALLOWED)):
        found = exact.logits(opened.config, opened.weights, tokens[:1], dtype)[0]
        expected = REFERENCE[f"{case}.prefill"]
        rows = np.arange(cases.LONG)[:: cases.STRIDE]
        assert relative(found[rows], expected[: len(rows)]).max() < allowed


@pytest.mark.parametrize("case", gguf_files.CASES)
def test_a_gguf_of_the_same_weights_is_the_same_model(case, tmp_path):
    tensors = cases.weights(shapes_of(case))
    gguf_files.write(tmp_path / "m.gguf", case, tensors)
    opened = llm.open_model(str(tmp_path / "m.gguf"))
    tokens, real = cases.prompts()
    found = Llama(opened.config, opened.weights).step(tokens, KVCache(), real).numpy()[real]
    assert relative(found[:: cases.STRIDE], REFERENCE[f"{case}.prefill"]).max() < ALLOWED


# The kernels


@pytest.fixture(scope="module")
def modules(load):
    names = ("native", "native_decoder", "packed", "plain_decoder", "decoder")
    return {name: load(f"10-optimised-inference/{name}.py") for name in names}


@pytest.fixture(scope="module")
def kernels(modules):
    if shutil.which(modules["native"].COMPILER) is None:
        pytest.skip(f"there is no {modules['native'].COMPILER}")
    return modules["native"].Kernels()


def steps(decoder, tokens):
    """Logits of a text in a piece of 17 tokens, two of fewer, and then one at a time, in scattered blocks."""
    found, table, ends = [], [3, 0, 5], [0, 17, 20, 29, *range(30, len(tokens) + 1)]
    for start, end in itertools.pairwise(ends):
        places = np.arange(start, end)
        found.append(decoder.step(tokens[places], places * 0, places, [table], places - start))
    return np.concatenate(found)


@each_case
def test_the_kernels_and_the_paged_cache_compute_it(model, modules, kernels):
    _, opened = model
    tokens = cases.prompts()[0][0][: opened.config.longest]
    truth = exact.logits(opened.config, opened.weights, tokens[None])[0]
    packed = modules["packed"].pack_weights(opened.config, opened.weights, "float32", kernels.rows)
    native = modules["native_decoder"].NativeDecoder(opened.config, packed, kernels, "float32", "float32", 8)
    plain = modules["plain_decoder"].PlainDecoder(opened.config, opened.weights, "float32", "float32", 8)
    assert relative(steps(native, tokens), truth).max() < ALLOWED
    assert relative(steps(plain, tokens), truth).max() < ALLOWED
    rows = np.arange(min(len(tokens), 20))
    text = (tokens[rows], rows * 0, rows, [[3, 0, 5]], rows)
    assert relative(native.hidden(*text), plain.hidden(*text)).max() < ALLOWED


@each_case
def test_the_kernels_lose_no_more_by_four_bits_than_plain_operators(model, modules, kernels):
    """Of odd sizes, joined, and of experts that few tokens chose: groups may lie otherwise, but err as much."""
    _, opened = model
    tokens = cases.prompts()[0][0][: opened.config.longest]
    truth = exact.logits(opened.config, opened.weights, tokens[None])[0]
    packed = modules["packed"].pack_weights(opened.config, opened.weights, "int4", kernels.rows)
    native = modules["native_decoder"].NativeDecoder(opened.config, packed, kernels, "int4", "float32", 8)
    plain = modules["plain_decoder"].PlainDecoder(opened.config, opened.weights, "int4", "float32", 8)
    of_native, of_plain = (np.median(relative(steps(each, tokens), truth)) for each in (native, plain))
    assert of_native < 1.5 * of_plain
