"""Task 10's engine: what is batched, shared, drafted or postponed changes when a token comes and not which one."""

import json
import shutil
from itertools import islice

import llm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from llm.decoder import KVCache, Llama
from test_llm import SMALL, write_folder

SETTINGS = {**SMALL, "hidden_size": 128, "head_dim": 32, "vocab_size": 256, "max_position_embeddings": 512}


@pytest.fixture(scope="module")
def modules(load):
    names = ("engine", "fused", "native", "native_decoder", "packed", "plain_decoder")
    return {name: load(f"10-optimised-inference/{name}.py") for name in names}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    write_folder(folder, SETTINGS)
    return llm.open_model(str(folder))


class Echo:
    """A decoder whose next token is a sum of all that the cache holds, so that a wrong block shows at once."""

    config, block_size = llm.families.from_hugging_face(SETTINGS), 16

    def __init__(self, blocks):
        self.blocks, self.cache = blocks, np.zeros((blocks, 16), int)

    def step(self, tokens, sequences, positions, tables, wanted):
        for token, sequence, position in zip(tokens, sequences, positions, strict=True):
            self.cache[tables[sequence][position // 16], position % 16] = token
        logits = np.zeros((len(wanted), 256), "float32")
        for row, place in enumerate(wanted):
            seen = self.cache[tables[sequences[place]]].ravel()[: positions[place] + 1]
            # Depends on all that was seen, and repeats itself often enough for drafts to be right at times.
            logits[row, int(seen.sum() * 31 + seen[-1]) % 7 + 2] = 1
        return logits


def answers(modules, decoder, prompts, limit=20, stops=(), **options):
    engine = modules["engine"].Engine(decoder, frozenset(stops), **options)
    requests = [modules["engine"].Request(prompt, limit) for prompt in prompts]
    for request in requests:
        engine.add(request)
    engine.run()
    return [request.answer for request in requests], engine


PROMPTS = some.lists(some.lists(some.integers(2, 9), min_size=1, max_size=60), min_size=1, max_size=6)


@given(
    prompts=PROMPTS,
    batch=some.integers(1, 5),
    budget=some.integers(1, 40),
    blocks=some.integers(6, 30),
    sharing=some.booleans(),
    lookup=some.booleans(),
)
def test_no_choice_changes_an_answer(modules, prompts, batch, budget, blocks, sharing, lookup):
    alone = [answers(modules, Echo(6), [prompt], stops=[3])[0][0] for prompt in prompts]
    found, engine = answers(
        modules, Echo(blocks), prompts, stops=[3], batch=batch, budget=budget, sharing=sharing, lookup=lookup
    )
    assert found == alone
    assert engine.pool.free == blocks, "a block was lost"


def test_a_shared_beginning_is_computed_once(modules):
    beginning = list(range(2, 50))
    _, engine = answers(modules, Echo(40), [[*beginning, 1], [*beginning, 2]], batch=1)
    assert engine.counts.shared == 48
    _, engine = answers(modules, Echo(40), [[*beginning, 1], [*beginning, 2]], batch=1, sharing=False)
    assert engine.counts.shared == 0


def test_drafts_save_steps(modules):
    class Counting(Echo):
        def step(self, tokens, sequences, positions, tables, wanted):
            logits = np.zeros((len(wanted), 256), "float32")
            logits[np.arange(len(wanted)), (np.array(positions)[wanted] + 1) % 8] = 1
            return logits

    prompt = [place % 8 for place in range(24)]
    plain, slow = answers(modules, Counting(10), [prompt])
    drafted, fast = answers(modules, Counting(10), [prompt], lookup=True)
    assert plain == drafted
    assert fast.counts.accepted >= 12 and fast.counts.steps < slow.counts.steps / 2


def test_too_few_blocks_postpone_and_do_not_fail(modules):
    prompts = [[number + 2] * 30 for number in range(4)]
    found, engine = answers(modules, Echo(8), prompts, limit=40, batch=4)
    assert engine.counts.postponed > 0
    assert [len(answer) for answer in found] == [40] * 4


def test_a_request_that_can_never_fit_is_refused(modules):
    engine = modules["engine"].Engine(Echo(4), frozenset())
    with pytest.raises(ValueError, match="the cache has room for 64"):
        engine.add(modules["engine"].Request([1] * 60, 10))


# The two decoders


def step_arguments():
    """Two sequences: 20 tokens of one, 3 of another, in scattered blocks."""
    numbers = np.random.default_rng(1)
    tokens = numbers.integers(0, 256, 23)
    return tokens, np.repeat([0, 1], [20, 3]), np.r_[:20, :3], [[3, 0], [5]], np.array([19, 20, 22])


KINDS = [("float32", 1e-5), ("bfloat16", 0.02), ("int8", 0.05), ("int4", 0.05), ("float8", 0.02)]  # of the activations


@pytest.mark.parametrize("cache", ["float32", "float16", "int8"])
@pytest.mark.parametrize(("kind", "error"), KINDS)
def test_kernels_and_plain_operators_agree(modules, model, kind, error, cache):
    native = modules["native"]
    if shutil.which(native.COMPILER) is None:
        pytest.skip(f"there is no {native.COMPILER}")
    kernels = native.Kernels()
    plain = modules["plain_decoder"].PlainDecoder(model.config, model.weights, kind, cache, 8)
    packed = modules["packed"].pack_weights(model.config, model.weights, kind, kernels.rows)
    fast = modules["native_decoder"].NativeDecoder(model.config, packed, kernels, kind, cache, 8)
    later = np.array([7, 8]), np.array([0, 1]), np.array([20, 3]), [[3, 0], [5]], np.array([0, 1])
    for arguments in (step_arguments(), later):
        expected, found = plain.step(*arguments), fast.step(*arguments)
        error = max(error, {"float32": 0, "float16": 0.001, "int8": 0.005}[cache])  # ties may be rounded either way
        np.testing.assert_allclose(found, expected, atol=error * np.abs(expected).max())


def test_a_paged_cache_and_one_that_grows_give_the_same(modules, model):
    tokens = np.arange(30, 50)
    expected = Llama(model.config, model.weights).step(tokens[None], KVCache()).numpy()[0]
    plain = modules["plain_decoder"].PlainDecoder(model.config, model.weights, "float32", "float32", 4)
    found = plain.step(tokens, np.zeros(20, int), np.arange(20), [[2, 1]], np.arange(20))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


# Which product a device gets

REGISTERED = {
    "weight_only_linear": ["place[Place(gpu:0)]"],
    "weight_quantize": ["place[Place(gpu:0)]", "place[Place(cpu)]"],
}


@pytest.mark.parametrize(
    ("kind", "device", "chosen"),
    [
        ("int8", "gpu:3", "fused"),
        ("int4", "gpu:0", "fused"),
        ("bfloat16", "gpu:0", "plain"),
        ("int8", "cpu", "plain"),
        ("int8", "npu:0", "plain"),
    ],
)
def test_a_fused_product_is_taken_where_paddle_has_one(modules, kind, device, chosen):
    assert modules["fused"].choose(kind, device, REGISTERED) == chosen


# Conversations and figures


@given(cut=some.integers(0, 400))
def test_a_list_that_was_cut_off_is_read_as_far_as_it_goes(load, tmp_path_factory, cut):
    records = [{"conversations": [{"from": "human", "value": "Frage äöü " * n}]} for n in range(1, 6)]
    whole = json.dumps(records, ensure_ascii=False)
    path = tmp_path_factory.mktemp("chat") / "a.json"
    path.write_text(whole[: len(whole) - cut], encoding="utf-8")
    found = list(load("10-optimised-inference/conversations.py").records(path))
    assert found == records[: len(found)]
    assert len(found) >= 4 - cut // 60


def test_the_packages_conversations_are_there(load):
    module = load("10-optimised-inference/conversations.py")
    assert len(list(islice(module.turns(module.packaged(), "human"), 20))) == 20


def test_divergence_and_perplexity(load):
    measures = load("10-optimised-inference/measures.py")
    p, q = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.5, 0.25]])
    assert measures.divergence(p, p) == pytest.approx(0)
    assert measures.divergence(p + 7, q) == pytest.approx(0.5 * np.log(2) - 0.25 * np.log(2))
    even = np.zeros((4, 8))
    assert np.exp(measures.surprise(even, [1, 2, 3, 4])) == pytest.approx(8)


def test_the_figures_have_vllms_names(load, modules):
    measures = load("10-optimised-inference/measures.py")
    request = modules["engine"].Request([1, 2], 3, arrived=1.0, answer=[5, 6, 7], times=[1.5, 1.6, 1.8])
    figures = measures.serving([request], 2.0)
    assert figures["Output token throughput (tok/s)"] == 1.5
    assert figures["Mean TTFT (ms)"] == pytest.approx(500) and figures["Mean TPOT (ms)"] == pytest.approx(150)
    assert "----Time per Output Token (excl. 1st token)" in measures.block(figures)


# The program


def test_options_stand_beside_the_weights_they_are_tried_on(load):
    variants = load("10-optimised-inference/main.py").variants
    assert [v.name for v in variants("int8", "all")] == [
        "int8",
        "int8+lookup",
        "int8+unshared",
        "int8+single",
        "int8+kv8",
    ]
    assert [v.name for v in variants("all", "kv8")] == ["float32", "bfloat16", "int8", "int4", "int4+kv8", "float8"]


def test_without_a_compiler_the_program_says_so_and_goes_on(load, monkeypatch, capsys):
    main = load("10-optimised-inference/main.py")
    monkeypatch.setitem(main.make_kernels.__globals__, "COMPILER", "no-such-compiler")
    assert main.make_kernels("best") is None
    assert "NOTE: no kernels, because there is no C++ compiler no-such-compiler" in capsys.readouterr().out


@pytest.mark.slow
def test_drafts_change_no_answer_of_the_real_model(run_program):
    out = run_program(
        "10-optimised-inference", "--set", "weights=int4", "option=lookup", "requests=3", "tokens=8", "longest=64"
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert (metrics["same_answers"], metrics["answered"]) == (1.0, 1.0)
    assert metrics["divergence_int4"] < 0.02 and metrics["throughput_lookup"] > 0
    assert "Serving Benchmark Result" in (out / "benchmark.txt").read_text()
