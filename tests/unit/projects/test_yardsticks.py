"""Task 10's quality: a right decoder is where its kind's steps lead, a wrong one is found out, as is a wrong token."""

import shutil

import llm
import numpy as np
import paddle
import pytest
from llm import decoder as decoders
from test_engine import SETTINGS
from test_llm import write_folder

from harness.catalogue import entries
from harness.runs.judge import judge_metric

PART = entries.load().parts["10"]
KINDS = ["float32", "bfloat16", "int8", "int4", "float8"]
CACHE = {"float32": "float32"}  # of the kinds; float16 with the others


@pytest.fixture(scope="module")
def main(load):
    return load("10-optimised-inference/main.py")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "m"
    write_folder(folder, SETTINGS)
    return llm.open_model(str(folder))


@pytest.fixture(scope="module")
def yardstick(main, model):
    texts = np.random.default_rng(3).integers(2, 250, (2, 80)).tolist()
    return main.Yardstick(model.config, model.weights, texts)


def divergence(main, yardstick, decoder):
    found = [main.measures.order_error(decoder, text)[0] for text in yardstick.texts.tolist()]
    return main.measures.divergence(yardstick.truth, np.stack(found))


def judged(word, found, expected):
    metrics = {f"divergence_{word}": found, f"expected_{word}": expected}
    return judge_metric(PART, f"divergence_{word}", {}, metrics).verdict


def plain(main, model, kind, cache):
    return main.PlainDecoder(model.config, model.weights, kind, cache, 16)


def native(main, model, kind, cache):
    if shutil.which("g++") is None:
        pytest.skip("there is no g++")
    kernels = main.Kernels()
    packed = main.pack_weights(model.config, model.weights, kind, kernels.rows)
    return main.NativeDecoder(model.config, packed, kernels, kind, cache, 16)


# The yardstick


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8", "float8"])
def test_the_steps_of_a_kind_are_those_that_it_is_packed_in(load, kind):
    yardsticks, packing = (load(f"10-optimised-inference/{name}.py") for name in ("yardsticks", "packing"))
    weight = np.random.default_rng(1).normal(size=(8, 64)).astype("float32")
    packed = packing.dequantise(packing.quantise(weight, kind), kind)
    # Scales are float16 there, and a number between two steps may go to either.
    off = np.abs(yardsticks.WEIGHTS[kind](weight) - packed)
    assert np.median(off) <= 2**-11 * np.abs(weight).max() and off.max() <= 0.4


@pytest.mark.parametrize("shift", [0, 3, -3])
def test_four_bits_are_packed_no_worse_than_in_the_yardsticks_steps(load, shift):
    """Which are the ones that the packing begins with."""
    yardsticks, packing = (load(f"10-optimised-inference/{name}.py") for name in ("yardsticks", "packing"))
    weight = np.random.default_rng(1).normal(size=(64, 64)).astype("float32") + np.float32(shift)
    steps, packed = yardsticks.WEIGHTS["int4"](weight), packing.dequantise(packing.quantise(weight, "int4"), "int4")
    of_steps, of_packed = (np.square(x - weight).reshape(-1, 32).sum(1) for x in (steps, packed))
    assert (of_packed <= 1.001 * of_steps).all()
    assert of_packed.mean() < 0.99 * of_steps.mean()


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_the_steps_of_fused_products_are_paddles(load, kind):
    yardsticks, fused = (load(f"10-optimised-inference/{name}.py") for name in ("yardsticks", "fused"))
    weight = np.random.default_rng(1).normal(size=(32, 64)).astype("float32")
    whole = paddle.to_tensor(weight.T.copy()).astype("float16")
    _, scales = paddle.nn.quant.weight_quantize(whole, algo=fused.ALGORITHMS[kind], arch=80)
    steps = np.diff(np.unique(yardsticks.FUSED[kind](weight)[5])).min()
    assert steps == pytest.approx(float(scales[5].astype("float32")), rel=2e-3)


def test_a_group_of_zeros_is_rounded_to_zeros(load):
    yardsticks = load("10-optimised-inference/yardsticks.py")
    for rounding in (*yardsticks.WEIGHTS.values(), *yardsticks.FUSED.values()):
        assert not rounding(np.zeros((2, 64), "float32")).any()


@pytest.mark.parametrize("make", [plain, native])
@pytest.mark.parametrize(("kind", "cache"), [*((kind, CACHE.get(kind, "float16")) for kind in KINDS), ("int4", "int8")])
def test_a_right_decoder_is_where_the_steps_lead(main, model, yardstick, make, kind, cache):
    word = "kv8" if cache == "int8" else kind
    by = "plain" if make is plain else "kernels"
    found, expected = divergence(main, yardstick, make(main, model, kind, cache)), yardstick.divergence(kind, cache, by)
    assert judged(word, found, expected) == "passed"
    assert 0.02 * expected < found < 6 * expected


# Faults


def a_scale_dropped(quantise):
    """The scale of the last group of each row, or of the last row, is lost."""

    def wrong(weight, kind, *importance):
        found = quantise(weight, kind, *importance)
        if found.scales is not None:
            found.scales[-1] = found.scales[0]
            found.scales[:, -1] = 0 if found.scales.shape[1] > 1 else found.scales[:, -1]
        return found

    return wrong


@pytest.mark.plants("10", "divergence_int8", "divergence_int4", "divergence_float8")
@pytest.mark.parametrize("kind", ["int8", "int4", "float8"])
def test_a_lost_scale_fails(main, model, yardstick, monkeypatch, kind):
    packing = main.pack_weights.__globals__["Part"].packed.__globals__
    monkeypatch.setitem(packing, "quantise", a_scale_dropped(packing["quantise"]))
    found = divergence(main, yardstick, native(main, model, kind, "float16"))
    assert judged(kind, found, yardstick.divergence(kind, "float16")) == "failed"


@pytest.mark.plants("10", "divergence_float32", "divergence_bfloat16")
@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_a_wrong_turn_fails(main, model, yardstick, monkeypatch, kind):
    names = main.NativeDecoder.__init__.__globals__
    right, cache = names["angles"], CACHE.get(kind, "float16")
    half = model.config.head_dim // 2
    monkeypatch.setitem(names, "angles", lambda *given: right(*given) * np.repeat([1, -1], half).astype("float32"))
    found = divergence(main, yardstick, native(main, model, kind, cache))
    assert judged(kind, found, yardstick.divergence(kind, cache)) == "failed"


@pytest.mark.plants("10", "divergence_float32")
def test_a_position_that_is_one_too_far_from_the_cache_on_fails(main, model, yardstick):
    class Late(main.PlainDecoder):
        def step(self, tokens, sequences, positions, tables, wanted):
            late = positions + (len(tokens) == 1)
            return super().step(tokens, sequences, late, [[*table, 15] for table in tables], wanted)

    decoder = Late(model.config, model.weights, "float32", "float32", 16)
    found, expected = divergence(main, yardstick, decoder), yardstick.divergence("float32", "float32")
    assert judged("float32", found, expected) == "failed"


@pytest.mark.plants("10", "divergence_float32", "divergence_int8")
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_swapped_keys_and_values_of_groups_fail(main, model, yardstick, monkeypatch, kind):
    right = decoders.attend
    monkeypatch.setattr(decoders, "attend", lambda q, k, v, *more: right(q, k.flip([1]), v.flip([1]), *more))
    cache = CACHE.get(kind, "float16")
    found = divergence(main, yardstick, plain(main, model, kind, cache))
    assert judged(kind, found, yardstick.divergence(kind, cache, "plain")) == "failed"


@pytest.mark.plants("10", "divergence_kv8")
def test_a_cache_that_loses_its_scales_fails(main, model, yardstick):
    decoder = plain(main, model, "int4", "int8")
    eight = decoder.cache.round
    decoder.cache.round = lambda x: eight(x) / x.abs().max(-1, keepdim=True)
    found = divergence(main, yardstick, decoder)
    assert judged("kv8", found, yardstick.divergence("int4", "int8", "plain")) == "failed"


# Answers


PROMPTS = [[7, 8, 9, 7, 8, 9, 7, 8], list(range(40, 75)), [*range(40, 72), 5, 6], [3, 3, 3, 3, 3]]


def answer_gap(main, model, kind="int8", **options):
    decoder = plain(main, model, kind, "float16")
    engine = main.Engine(decoder, frozenset(), **options)
    requests, _ = main.serve(engine, PROMPTS, 24)
    _, order = main.measures.order_error(decoder, requests[1].tokens)
    gaps = [main.measures.answer_gap(decoder, request.prompt, request.answer) for request in requests]
    return main.measures.in_multiples(max(gaps), order)


def gap_judged(gap):
    return judge_metric(PART, "answer_gap", {}, {"answer_gap": gap}).verdict


@pytest.mark.parametrize("options", [{}, {"lookup": True}, {"batch": 1}, {"sharing": False, "budget": 5}])
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_every_token_is_the_likeliest_of_the_text_read_at_once(main, model, kind, options):
    assert gap_judged(answer_gap(main, model, kind, **options)) == "passed"


@pytest.mark.plants("10", "answer_gap")
def test_a_draft_that_is_taken_unseen_fails(main, model, monkeypatch):
    def believing(self, request, draft, logits, now):
        logits = [row + 1e6 * np.eye(row.size)[token] for row, token in zip(logits, draft, strict=False)] + logits[
            len(draft) :
        ]
        return accept(self, request, draft, logits, now)

    accept = main.Engine._accept
    monkeypatch.setattr(main.Engine, "_accept", believing)
    assert gap_judged(answer_gap(main, model, lookup=True)) == "failed"


@pytest.mark.plants("10", "answer_gap")
def test_a_block_of_another_text_fails(main, model, monkeypatch):
    blocks = main.Engine.__init__.__globals__["Blocks"]
    publish = blocks.publish
    monkeypatch.setattr(blocks, "publish", lambda self, held, tokens, done: publish(self, held[::-1], tokens, done))
    assert gap_judged(answer_gap(main, model, batch=1)) == "failed"


def test_a_gap_that_no_order_of_sums_explains_is_infinite(main):
    assert main.measures.in_multiples(0.0, 0.0) == 0
    assert main.measures.in_multiples(1e-9, 0.0) == float("inf")
    assert gap_judged(float("inf")) == "failed"
